#include "engine/shard/group_commit.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::shard {
namespace {

constexpr std::uint64_t kRetrySpaceNs = 1'000'000'000;
constexpr std::uint32_t kIdleTicksBeforeMark = 10;
/// The next segment is filled with zeros this many times as fast as the present one with records:
/// ready when half of it is used.
constexpr std::uint64_t kZerosPerByte = 2;
/// A tick, whatever is committed: what is to be done behind the zeros (old segments are retired
/// there) does not wait for a node that commits little to commit half a segment.
constexpr std::uint64_t kZerosPerTick = 64u << 10;
/// A tick, of an idle node.
constexpr std::uint64_t kZerosPerIdleTick = 1u << 20;

}  // namespace

GroupCommit::GroupCommit(io::Io& io, Options options, segments::StreamEnd end, Events& events)
    : io_(io),
      options_(std::move(options)),
      events_(events),
      log_(options_.segments, std::move(end)),
      tail_(options_.tail_bytes, options_.segments.chunk_bytes_max),
      files_(io, options_.directory, options_.direct, log_, *this),
      load_(std::min(WriteLoad::kLargeBytes, options_.segments.segment_bytes / 16)) {
  for (std::uint32_t i = 0; i < options_.writes_inflight_max; ++i) {
    writes_.push_back(std::make_unique<Write>(this));
  }
}

ChunkSeq GroupCommit::stable_seq() const {
  return options_.fsync.kind == FsyncPolicy::Kind::kAlways ? log_.durable_seq()
                                                           : log_.written_seq();
}

GroupCommit::Room GroupCommit::make_room(std::size_t size_bytes) {
  const Room room = find_room(size_bytes);
  room_wanted_ = room_wanted_ || room == Room::kLater;
  return room;
}

GroupCommit::Room GroupCommit::find_room(std::size_t size_bytes) {
  if (failed_) return Room::kLater;
  if (log_.chunk_open()) {
    if (log_.fits(size_bytes)) return Room::kYes;
    if (writes_inflight_ >= options_.writes_inflight_max) return Room::kLater;
    close_and_write();
  }
  const auto buffer = tail_.open(next_seq());
  if (buffer.empty()) return Room::kLater;
  if (const auto opened = log_.open_chunk(buffer); !opened) {
    tail_.abandon();
    files_.hurry(true);
    skip_needless_zeros();
    files_.pump();
    full_ = full_ || log_.out_of_space();
    return log_.out_of_space() ? Room::kNoSpace : Room::kLater;
  }
  full_ = false;
  files_.hurry(false);
  SLUICE_CHECK(log_.fits(size_bytes));
  return Room::kYes;
}

segments::SegmentLog::Placed GroupCommit::append_batch(BatchView batch) {
  const auto placed = log_.append_batch(batch);
  SLUICE_CHECK(placed.has_value());
  tail_.placed(placed->location, placed->bytes);
  last_record_seq_ = placed->location.seq;
  if (open_entries_ == 0) first_batch_ns_ = io_.now_ns();
  open_entries_ += batch.entry_count();
  return *placed;
}

segments::Location GroupCommit::append_hard_state(GroupId group, Term term, NodeId vote) {
  const auto location = log_.append_hard_state(group, term, vote);
  SLUICE_CHECK(location.has_value());
  last_record_seq_ = location->seq;
  return *location;
}

segments::Location GroupCommit::append_trim(GroupId group, const segments::TrimPoint& point) {
  const auto location = log_.append_trim(group, point);
  SLUICE_CHECK(location.has_value());
  last_record_seq_ = location->seq;
  return *location;
}

segments::Location GroupCommit::append_producers(GroupId group, std::span<const std::byte> bytes) {
  const auto location = log_.append_producers(group, bytes);
  SLUICE_CHECK(location.has_value());
  last_record_seq_ = location->seq;
  return *location;
}

segments::Location GroupCommit::append_peer(const segments::PeerDirectory& peer) {
  const auto location = log_.append_peer(peer);
  SLUICE_CHECK(location.has_value());
  last_record_seq_ = location->seq;
  return *location;
}

void GroupCommit::pump() {
  files_.pump();
  if (failed_) return;
  if (mark_wanted_ && make_room(0) == Room::kYes && writes_inflight_ == 0) {
    mark_wanted_ = false;
    close_and_write();
    return;
  }
  if (!log_.chunk_open() || log_.chunk_empty()) return;
  const bool deep =
      log_.chunk_bytes() >= options_.deep_bytes && writes_inflight_ < options_.writes_inflight_max;
  if (writes_inflight_ == 0 || deep) close_and_write();
}

void GroupCommit::write_mark() { mark_wanted_ = true; }

void GroupCommit::close_and_write() {
  const auto free_write =
      std::ranges::find_if(writes_, [](const auto& w) { return w->chunk.bytes.empty(); });
  SLUICE_CHECK(free_write != writes_.end());
  Write& write = **free_write;
  write.chunk = log_.close_chunk();
  tail_.close(write.chunk.bytes.size());
  write.file = files_.file(write.chunk.epoch);
  SLUICE_CHECK(write.file != io::Handle::kNone);
  write.done_bytes = 0;
  write.durable = options_.fsync.kind == FsyncPolicy::Kind::kAlways;
  if (write.chunk.durable_at_once) at_once_seq_ = write.chunk.seq;
  if (!write.durable && (unsynced_.empty() || unsynced_.back() != write.chunk.epoch)) {
    unsynced_.push_back(write.chunk.epoch);
  }
  ++writes_inflight_;
  idle_ticks_ = 0;
  write.submitted_ns = io_.now_ns();
  const std::uint64_t entries = std::exchange(open_entries_, 0);
  write.has_batches = entries > 0;
  if (write.has_batches) {
    stages_.queue_ns.record(write.submitted_ns - first_batch_ns_);
    stages_.chunk_entries.record(entries);
    stages_.chunk_bytes.record(write.chunk.bytes.size());
  }
  submit(write);
}

void GroupCommit::submit(Write& write) {
  io_.write(write.completion, write.file, write.chunk.bytes.subspan(write.done_bytes),
            write.chunk.offset + write.done_bytes, write.durable);
}

void GroupCommit::on_write_done(Write& write, std::int32_t result) {
  ++completions_;
  if (result <= 0) {
    fail("write of a chunk", result == 0 ? EIO : -result);
    return;
  }
  // A short write is no error: the rest is written with the same durability, and only the whole
  // counts (S37). O_DIRECT moves whole blocks; a ragged end would be a broken device.
  write.done_bytes += static_cast<std::size_t>(result);
  if (write.done_bytes < write.chunk.bytes.size()) {
    if (write.done_bytes % segments::kBlockBytes != 0) {
      write.done_bytes -= write.done_bytes % segments::kBlockBytes;
    }
    submit(write);
    return;
  }
  const std::uint64_t now_ns = io_.now_ns();
  counters_.bytes_written += write.chunk.bytes.size();
  load_.record(write.chunk.bytes.size(), write.submitted_ns, now_ns);
  files_.grant_zeros(kZerosPerByte * write.chunk.bytes.size());
  skip_needless_zeros();
  ++counters_.chunks_written;
  if (write.durable) ++counters_.flushes;
  if (write.has_batches) stages_.disk_ns.record(now_ns - write.submitted_ns);
  const ChunkSeq seq = write.chunk.seq;
  write.chunk = {};
  --writes_inflight_;
  idle_ticks_ = 0;  // a node whose disk takes longer than a tick is not idle between two writes
  tail_.on_written(seq);
  log_.on_written(seq);
  if (options_.fsync.kind == FsyncPolicy::Kind::kAlways) log_.on_durable(log_.written_seq());
  if (options_.fsync.kind == FsyncPolicy::Kind::kInterval && !sync_timer_.pending() && !stopping_) {
    io_.timer(sync_timer_, io_.now_ns() + options_.fsync.interval_ns);
  }
  sync_if_due();
  events_.on_chunks_stable(stable_seq());
}

/// They cost more than they save (WriteLoad). Or they are late, when three quarters of the segment are
/// used: the disk is at its limit, and the rest of it is for making the next one ready. Not for the first
/// segment of a process: nothing is written beside it, and all that comes goes into it.
void GroupCommit::skip_needless_zeros() {
  if (!log_.has_active()) return;
  const bool late = log_.active_bytes_left() < options_.segments.segment_bytes / 4;
  if (late || load_.bytes_bound()) files_.skip_zeros();
}

void GroupCommit::on_sync_due(std::int32_t) {
  sync_due_ = true;
  if (!failed_ && !stopping_) sync_if_due();
}

void GroupCommit::sync_if_due() {
  if (unsynced_.empty()) return;
  const bool at_once =
      at_once_seq_ > log_.durable_seq() && log_.written_seq() >= at_once_seq_;
  const bool segment_ended =
      options_.fsync.kind == FsyncPolicy::Kind::kNever && unsynced_.size() > 1;
  if (at_once || segment_ended || sync_due_) begin_sync();
}

void GroupCommit::tick() {
  if (failed_) return;
  const bool room_wanted = std::exchange(room_wanted_, false);
  const bool waited_for = writes_inflight_ > 0 || (room_wanted && files_.in_flight());
  const std::uint64_t completions = completions_ + files_.completions();
  hung_ = waited_for && completions == completions_seen_;
  completions_seen_ = completions;
  files_.tick();
  if (idle_ticks_ > 0 && writes_inflight_ == 0) {
    files_.grant_zeros(kZerosPerIdleTick);
  } else if (files_.zeros_wait()) {
    files_.grant_zeros(kZerosPerTick);
  }
  if (log_.out_of_space() && io_.now_ns() >= next_retry_ns_) {
    next_retry_ns_ = io_.now_ns() + kRetrySpaceNs;
    log_.retry_steps();
    files_.pump();
  }
  // Nobody may ask for room until this node is known to have some.
  if (full_) (void)make_room(1);
  sync_if_due();
  // The last chunk with records is proved durable by the mark of a later one. An idle node writes
  // an empty chunk for that, or rot in its last chunk would pass for a torn tail (S29).
  ++idle_ticks_;
  const bool unmarked = last_record_seq_ > log_.marked_seq() &&
                        log_.durable_seq() >= last_record_seq_ && writes_inflight_ == 0;
  if (unmarked && idle_ticks_ >= kIdleTicksBeforeMark) mark_wanted_ = true;
}

bool GroupCommit::quiet() const {
  return !sync_.pending() && !sync_timer_.pending() && !files_.in_flight() &&
         std::ranges::none_of(writes_, [](const auto& w) { return w->completion.pending(); });
}

void GroupCommit::stop() {
  stopping_ = true;
  io_.cancel(sync_timer_);
  files_.stop();
}

void GroupCommit::sync_now() {
  if (!unsynced_.empty() && writes_inflight_ == 0) begin_sync();
}

void GroupCommit::begin_sync() {
  if (sync_.pending() || !syncing_.empty()) return;
  sync_due_ = false;
  sync_target_ = log_.written_seq();
  syncing_ = unsynced_;
  // What is still on its way may complete after the sync has looked: its segments stay on the list.
  unsynced_.clear();
  for (const auto& write : writes_) {
    const bool listed = !unsynced_.empty() && unsynced_.back() == write->chunk.epoch;
    if (!write->chunk.bytes.empty() && !write->durable && !listed) {
      unsynced_.push_back(write->chunk.epoch);
    }
  }
  sync_next_file();
}

void GroupCommit::sync_next_file() {
  while (!syncing_.empty()) {
    const io::Handle file = files_.file(syncing_.back());
    if (file != io::Handle::kNone) {
      io_.sync(sync_, file);
      return;
    }
    syncing_.pop_back();
  }
  log_.on_durable(sync_target_);
  files_.pump();
  events_.on_chunks_stable(stable_seq());
  if (!stopping_) sync_if_due();
}

void GroupCommit::on_synced(std::int32_t result) {
  ++completions_;
  if (result < 0) {
    fail("sync of a segment", -result);
    return;
  }
  ++counters_.flushes;
  syncing_.pop_back();
  if (!stopping_) sync_next_file();
}

void GroupCommit::fail(const std::string& what, int error) {
  // After a failed write or sync nothing is known about what the disk holds, and trying again may
  // report success for pages that were dropped (Rebello et al., ATC '20). Stop for good (S35).
  if (std::exchange(failed_, true)) return;
  events_.on_commit_failed(what + " in " + options_.directory + " failed: " + std::strerror(error));
}

void GroupCommit::on_step_done() {
  files_.pump();
  skip_needless_zeros();  // before more than a piece of them is written, if it was their turn
  events_.on_chunks_stable(stable_seq());  // nothing new, but who waits for a segment may go on
}

void GroupCommit::on_step_failed(const std::string& what, int error) {
  fail("preparing " + what, error);
}

}  // namespace sluice::shard
