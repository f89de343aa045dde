#include "segments/segment_log.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "segments/file_plan.h"
#include "segments/names.h"
#include "wire/check.h"

namespace sluice::segments {
namespace {

void check_options(const Options& options) {
  SLUICE_CHECK(options.segment_bytes % kBlockBytes == 0);
  SLUICE_CHECK(options.chunk_bytes_max % kBlockBytes == 0);
  SLUICE_CHECK(options.chunk_bytes_max >= 2 * kBlockBytes);
  SLUICE_CHECK(options.segment_bytes >= 4 * std::uint64_t{options.chunk_bytes_max});
  SLUICE_CHECK(options.segment_bytes <= std::numeric_limits<std::uint32_t>::max());
}

/// Writes that the process before had under way go behind the last live chunk.
void forbid_reuse_of_tail(std::vector<SegmentInfo>& segments) {
  for (auto at = segments.rbegin(); at != segments.rend(); ++at) {
    at->never_reuse = true;
    if (at->first_seq != ChunkSeq{}) break;
  }
}

/// The segments whose chunks lie above the durable mark.
std::vector<Epoch> segments_to_sync(const StreamEnd& end) {
  std::vector<Epoch> result;
  ChunkSeq after = end.last_seq.next();  // first seq behind the segment looked at
  for (auto at = end.segments.rbegin(); at != end.segments.rend(); ++at) {
    if (at->first_seq == ChunkSeq{}) continue;
    if (after <= end.durable_seq.next()) break;
    result.push_back(at->epoch);
    after = at->first_seq;
  }
  std::ranges::reverse(result);
  return result;
}

}  // namespace

SegmentLog::SegmentLog(Options options, StreamEnd end)
    : options_(options),
      last_seq_(end.last_seq),
      written_seq_(end.last_seq),
      durable_seq_(end.durable_seq),
      marked_seq_(end.durable_seq),
      last_checksum_(end.last_chunk_checksum),
      next_epoch_(end.last_epoch.next()) {
  check_options(options_);
  SLUICE_CHECK(end.durable_seq <= end.last_seq);
  forbid_reuse_of_tail(end.segments);
  for (const SegmentInfo& segment : end.segments) {
    if (segment.epoch < end.oldest_epoch) {
      stale_.push_back(segment);
    } else {
      table_.add(segment);
    }
  }
  const bool any = !end.segments.empty() || !end.spares.empty();
  files_ = std::make_unique<FilePlan>(
      options_, StreamBase{end.last_seq, end.last_chunk_checksum, next_epoch_},
      FilePlan::Found{std::move(end.rubbish), std::move(end.spares), segments_to_sync(end), any});
  // The stream goes on in a new segment: what was found is never written to again.
  files_->prepare(next_epoch_);
  if (durable_seq_ == last_seq_) on_durable(durable_seq_);
}

SegmentLog::~SegmentLog() = default;

// --- chunks ------------------------------------------------------------------------------------

Result<void> SegmentLog::open_chunk(std::span<std::byte> buffer) {
  SLUICE_CHECK(!chunk_open_);
  SLUICE_CHECK(buffer.size() >= options_.chunk_bytes_max);
  SLUICE_CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % kBlockBytes == 0);
  const bool fits_active =
      active_ && active_->end_offset + options_.chunk_bytes_max <= options_.segment_bytes;
  if (!fits_active) {
    if (!prepared_) return fail(Errc::kNoSegment);
    active_ = Active{*std::exchange(prepared_, std::nullopt), kBlockBytes, false};
    files_->prepare(next_epoch_);
  }
  builder_.open(buffer.first(options_.chunk_bytes_max));
  chunk_open_ = true;
  chunk_durable_at_once_ = false;
  return {};
}

bool SegmentLog::fits(std::size_t size_bytes) const {
  return chunk_open_ && builder_.fits(size_bytes);
}

bool SegmentLog::chunk_empty() const { return builder_.record_count() == 0; }

std::size_t SegmentLog::chunk_bytes() const { return builder_.size_bytes(); }

ChunkSeq SegmentLog::last_seq() const { return last_seq_; }

Result<SegmentLog::Placed> SegmentLog::append(const ChunkBuilder::Identity& identity,
                                              std::span<const std::byte> bytes) {
  SLUICE_CHECK(chunk_open_);
  if (!builder_.fits(bytes.size())) return fail(Errc::kChunkFull);
  const auto offset = static_cast<std::uint32_t>(active_->end_offset + builder_.next_offset());
  const auto placed = builder_.add(identity, bytes);
  table_.count_in(active_->epoch, identity.kind);
  return Placed{
      {last_seq_.next(), active_->epoch, offset, static_cast<std::uint32_t>(placed.size())},
      placed};
}

Result<SegmentLog::Placed> SegmentLog::append_batch(BatchView batch) {
  return append({RecordKind::kBatch, batch.group(), batch.term(), batch.first_index(),
                 batch.entry_count(), batch.header_checksum()},
                batch.bytes());
}

Result<Location> SegmentLog::append_own(GroupId group, RecordKind kind,
                                        std::span<const std::byte> bytes) {
  const auto placed = append({.kind = kind, .group = group}, bytes);
  if (!placed) return fail(placed.error());
  return placed->location;
}

Result<Location> SegmentLog::append_hard_state(GroupId group, Term term, NodeId vote) {
  const HardStateRecord record(term.value(), vote.value(), 0);
  const auto location =
      append_own(group, RecordKind::kHardState, std::as_bytes(std::span(&record, 1)));
  if (location) chunk_durable_at_once_ = true;
  return location;
}

Result<Location> SegmentLog::append_trim(GroupId group, const TrimPoint& point) {
  const TrimRecord record(point.prev_index.value(), point.prev_term.value(), point.prev_checksum);
  return append_own(group, RecordKind::kTrim, std::as_bytes(std::span(&record, 1)));
}

Result<Location> SegmentLog::append_producers(GroupId group, std::span<const std::byte> bytes) {
  return append_own(group, RecordKind::kProducers, bytes);
}

Result<Location> SegmentLog::append_peer(const PeerDirectory& peer) {
  const PeerRecord record(peer.directory.high, peer.directory.low, peer.node.value(), 0);
  const auto location =
      append_own(GroupId{}, RecordKind::kPeer, std::as_bytes(std::span(&record, 1)));
  if (location) chunk_durable_at_once_ = true;
  return location;
}

ChunkWrite SegmentLog::close_chunk() {
  SLUICE_CHECK(chunk_open_);
  chunk_open_ = false;
  const ChunkSeq seq = last_seq_.next();
  const Epoch oldest = oldest_epoch();
  const std::uint64_t offset = active_->end_offset;
  const auto closed = builder_.close({.directory = options_.directory,
                                      .shard = options_.shard,
                                      .epoch = active_->epoch,
                                      .seq = seq,
                                      .durable_seq = durable_seq_,
                                      .oldest_epoch = oldest,
                                      .previous_checksum = last_checksum_,
                                      .offset = static_cast<std::uint32_t>(offset)});
  if (!std::exchange(active_->has_chunks, true)) table_.begin_chunks(active_->epoch, seq);
  active_->end_offset += closed.bytes.size();
  last_seq_ = seq;
  last_checksum_ = closed.checksum;
  marked_seq_ = std::max(marked_seq_, durable_seq_);
  if (statements_.empty() ? oldest > table_.front().epoch : oldest > statements_.back().oldest) {
    statements_.push_back({seq, oldest});
  }
  inflight_.push_back({seq, false});
  return {seq, active_->epoch, offset, closed.bytes, chunk_durable_at_once_};
}

void SegmentLog::on_written(ChunkSeq seq) {
  SLUICE_CHECK(seq > written_seq_ && seq <= last_seq_);
  inflight_[seq - inflight_.front().seq].written = true;
  // Only the contiguous prefix counts: what lies behind a missing chunk would be cut (S38).
  const auto end = std::ranges::find(inflight_, false, &Inflight::written);
  if (end == inflight_.begin()) return;
  written_seq_ = std::prev(end)->seq;
  inflight_.erase(inflight_.begin(), end);
}

void SegmentLog::on_durable(ChunkSeq seq) {
  SLUICE_CHECK(seq <= written_seq_);
  durable_seq_ = std::max(durable_seq_, seq);
  // Why the files may go now, and not before: recovery demands every segment from the one that the
  // last live chunk states as oldest. Chunk `seq` is durable and states an epoch above theirs, so
  // from now on the last live chunk, this one or a later one, does too: a crash that leaves any
  // subset of them behind leaves files that recovery does not ask for. A crash before that
  // would leave a stream whose last chunk still names a file that is gone.
  Epoch oldest = table_.empty() ? Epoch{} : table_.front().epoch;
  auto statement = statements_.begin();
  while (statement != statements_.end() && statement->seq <= durable_seq_) {
    oldest = statement->oldest;
    ++statement;
  }
  statements_.erase(statements_.begin(), statement);
  retire_below(oldest);
}

void SegmentLog::retire_below(Epoch oldest) {
  // The found chunk that made them stale was read at the start; by now it is durable as well.
  for (const SegmentInfo& segment : stale_) files_->retire(segment);
  stale_.clear();
  while (!table_.empty() && table_.front().epoch < oldest) {
    files_->retire(table_.front());
    table_.pop_front();
  }
}

// --- what is alive -----------------------------------------------------------------------------

void SegmentLog::release(Epoch epoch, RecordKind kind) { table_.count_out(epoch, kind); }

Epoch SegmentLog::oldest_epoch() const {
  return table_.oldest_alive(active_ ? active_->epoch : prepared_.value_or(next_epoch_));
}

std::optional<Epoch> SegmentLog::blocked_by_states() const {
  if (!active_) return std::nullopt;
  return table_.held_by_others(active_->epoch);
}

// --- files -------------------------------------------------------------------------------------

std::optional<FileStep> SegmentLog::next_step() { return files_->next_step(); }

bool SegmentLog::skip_zeros() { return files_->skip_zeros(); }

std::span<const std::byte> SegmentLog::header_bytes() const { return files_->header_bytes(); }

void SegmentLog::step_done() {
  switch (files_->step_done()) {
    case FilePlan::Event::kNone:
      break;
    case FilePlan::Event::kSynced:
      on_durable(last_seq_);
      break;
    case FilePlan::Event::kPrepared:
      prepared_ = next_epoch_;
      table_.add({.epoch = next_epoch_, .first_seq = {}, .file_bytes = options_.segment_bytes});
      next_epoch_ = next_epoch_.next();
      break;
  }
}

void SegmentLog::step_failed_no_space() { files_->step_failed_no_space(); }
void SegmentLog::retry_steps() { files_->retry_steps(); }
bool SegmentLog::out_of_space() const { return files_->out_of_space(); }

std::string SegmentLog::segment_name(Epoch epoch) { return segments::segment_name(epoch); }

}  // namespace sluice::segments
