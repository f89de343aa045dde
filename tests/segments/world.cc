#include "tests/segments/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "segments/names.h"
#include "segments/segment_header.h"
#include "wire/check.h"

namespace sluice::segments::test {
namespace {

constexpr std::size_t kWritesMax = 4;

std::uint64_t checksum_in(std::span<const std::byte> chunk) {
  return reinterpret_cast<const ChunkHeader*>(chunk.data())->checksum();
}

std::string text(const Location& at) {
  return "@" + std::to_string(at.seq.value()) + ":" + std::to_string(at.epoch.value()) + ":" +
         std::to_string(at.offset) + "+" + std::to_string(at.size_bytes);
}

std::string text(const TrimPoint& at) {
  return std::to_string(at.prev_index.value()) + "," + std::to_string(at.prev_term.value()) + "," +
         std::to_string(at.prev_checksum);
}

void describe_group(GroupId id, const GroupState& group, std::string& out) {
  out += "group " + std::to_string(id.value()) + " from " + text(group.index.start()) + "\n";
  for (std::size_t i = 0; i < group.index.batch_count(); ++i) {
    const GroupIndex::Entry& entry = group.index.batch(i);
    out += "  " + std::to_string(entry.first_index.value()) + "x" +
           std::to_string(entry.entry_count) + " term " + std::to_string(entry.term.value()) + " " +
           std::to_string(entry.header_checksum) + text(entry.location) + " producer " +
           std::to_string(group.batches[i].producer.value()) + "." +
           std::to_string(group.batches[i].first_sequence.value()) + "\n";
  }
  out += "  term " + std::to_string(group.hard_state.term.value()) + " vote " +
         std::to_string(group.hard_state.vote.value());
  if (group.hard_state_at) out += text(*group.hard_state_at);
  if (group.trim_at) out += " trim" + text(*group.trim_at);
  for (const SnapshotPiece& piece : group.producers) {
    out += " piece" + text(piece.location) + "=" + std::to_string(checksum(piece.bytes));
  }
  out += "\n";
}

/// Live records of a state, by segment: batches and others.
std::map<Epoch, std::pair<std::uint64_t, std::uint64_t>> live_counts(
    const std::map<GroupId, GroupState>& groups, const std::map<NodeId, PeerState>& peers) {
  std::map<Epoch, std::pair<std::uint64_t, std::uint64_t>> counts;
  for (const auto& [node, peer] : peers) ++counts[peer.at.epoch].second;
  for (const auto& [id, group] : groups) {
    for (std::size_t i = 0; i < group.index.batch_count(); ++i) {
      ++counts[group.index.batch(i).location.epoch].first;
    }
    if (group.hard_state_at) ++counts[group.hard_state_at->epoch].second;
    if (group.trim_at) ++counts[group.trim_at->epoch].second;
    for (const SnapshotPiece& piece : group.producers) ++counts[piece.location.epoch].second;
  }
  return counts;
}

}  // namespace

std::string describe(const std::map<GroupId, GroupState>& groups) {
  std::string out;
  for (const auto& [id, group] : groups) describe_group(id, group, out);
  return out;
}

std::string describe(const std::map<NodeId, PeerState>& peers) {
  std::string out;
  for (const auto& [node, peer] : peers) {
    out += "peer " + std::to_string(node.value()) + " directory " +
           std::to_string(peer.directory.high) + "." + std::to_string(peer.directory.low) +
           text(peer.at) + "\n";
  }
  return out;
}

World::Counts& World::Counts::operator+=(const Counts& o) {
  chunks += o.chunks, rollovers += o.rollovers, retired += o.retired, cuts += o.cuts;
  dead_came_back += o.dead_came_back, truncations += o.truncations, trims += o.trims;
  rewrites += o.rewrites, full_disks += o.full_disks, recoveries += o.recoveries;
  peers_moved += o.peers_moved;
  return *this;
}

World::World(std::uint64_t seed, Kind kind) : kind_(kind), random_(seed) {
  for (std::size_t i = 0; i < kWritesMax + 1; ++i) {
    buffers_.push_back(std::make_unique<DirtyBuffer>(options_.chunk_bytes_max));
    free_buffers_.push_back(i);
  }
  nodes_.push_back({ChunkSeq{}, 0, std::make_shared<const Groups>(),
                    std::make_shared<const Peers>()});
  node_of_[{0, 0}] = 0;
  path_ = {0};
  log_ = std::make_unique<SegmentLog>(options_, StreamEnd{});
}

World::~World() = default;

// --- actions -------------------------------------------------------------------------------------

void World::act() {
  if (!late_writes_.empty() && random_.one_in(150)) {
    // What a killed process had submitted arrives after all.
    disk_.land(late_writes_.back(), false);
    late_writes_.pop_back();
  }
  const std::uint64_t what = random_.below(100);
  if (what < 34) {
    append();
  } else if (what < 38) {
    random_.one_in(4) ? meet() : vote();
  } else if (what < 42) {
    truncate();
  } else if (what < 50) {
    trim();
  } else if (what < 58) {
    if (log_->chunk_open() && writes_.size() < kWritesMax) close_chunk();
  } else if (what < 74) {
    complete_one();
  } else if (what < 95) {
    file_step();
  } else if (what < 97) {
    rewrite_blocking();
  } else if (kind_.durable_writes) {
    complete_one();
  } else {
    sync_segments();
  }
  durable_ = path_[log_->durable_seq().value()];
}

void World::settle() {
  for (int i = 0; i < 3; ++i) {  // records, a mark for them
    while (!writes_.empty()) complete(0);
    if (!kind_.durable_writes) sync_segments();
    if (!make_room(0)) {
      for (int steps = 0; steps < 200; ++steps) file_step();
      if (!make_room(0)) FAIL() << "no segment";
    }
    close_chunk();
    while (!writes_.empty()) complete(0);
    if (!kind_.durable_writes) sync_segments();
  }
  if (step_) finish_step();
  log_->retry_steps();
  while ((step_ = log_->next_step())) {
    do_step();
    finish_step();
  }
  durable_ = path_[log_->durable_seq().value()];
}

bool World::make_room(std::size_t record_bytes) {
  if (log_->chunk_open() && log_->fits(record_bytes)) return true;
  if (log_->chunk_open()) {
    if (writes_.size() >= kWritesMax) return false;
    close_chunk();
  }
  const std::size_t buffer = free_buffers_.back();
  if (!log_->open_chunk(buffers_[buffer]->span())) return false;
  free_buffers_.pop_back();
  open_buffer_ = buffer;
  return log_->fits(record_bytes);
}

void World::close_chunk() {
  const ChunkWrite chunk = log_->close_chunk();
  const std::string name = segment_name(chunk.epoch);
  // The promise that everything rests on: name and header are stable before the first chunk (S33).
  ASSERT_TRUE(disk_.exists(name) && disk_.name_is_stable(name)) << name;
  ASSERT_LE(chunk.offset + chunk.bytes.size(), options_.segment_bytes);
  ASSERT_EQ(chunk.offset % kBlockBytes, 0u);
  ASSERT_EQ(chunk.bytes.size() % kBlockBytes, 0u);
  if (chunk.epoch > last_written_epoch_) ++counts_.rollovers;
  last_written_epoch_ = chunk.epoch;
  ++counts_.chunks;

  const std::uint64_t sum = checksum_in(chunk.bytes);
  nodes_.push_back({chunk.seq, path_.back(), std::make_shared<const Groups>(groups_),
                    std::make_shared<const Peers>(peers_)});
  path_.push_back(nodes_.size() - 1);
  ASSERT_EQ(path_.size() - 1, chunk.seq.value());
  node_of_[{chunk.seq.value(), sum}] = nodes_.size() - 1;
  writes_.push_back(
      {chunk.seq, disk_.submit(disk_.inode(name), chunk.offset, chunk.bytes), open_buffer_});
}

void World::complete_one() {
  if (!writes_.empty()) complete(random_.below(writes_.size()));
}

void World::complete(std::size_t i) {
  const Write write = writes_[i];
  writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(i));
  free_buffers_.push_back(write.buffer);
  disk_.land(write.id, kind_.durable_writes);
  log_->on_written(write.seq);
  if (kind_.durable_writes) log_->on_durable(log_->written_seq());
}

void World::sync_segments() {
  const ChunkSeq target = log_->written_seq();
  for (const std::string& name : disk_.names()) {
    if (parse_segment_name(name)) disk_.sync(disk_.inode(name));
  }
  log_->on_durable(target);
}

const std::vector<MemoryDisk::WriteId> World::writes_under_way() const { return disk_.submitted(); }

// --- records -------------------------------------------------------------------------------------

SealedBatch World::next_batch(const GroupState& group, GroupId id, Index first, Term term,
                              std::uint64_t previous) {
  std::vector<std::string> entries(1 + random_.below(3));
  const std::size_t bytes = random_.one_in(4) ? 2000 : 200;
  for (std::string& entry : entries)
    entry.assign(random_.below(bytes), static_cast<char>('a' + id.value()));
  (void)group;
  return SealedBatch({.group = id,
                      .term = term,
                      .first_index = first,
                      .previous_checksum = previous,
                      .entries = std::move(entries),
                      .producer = ProducerId(random_.below(3)),
                      .first_sequence = Sequence(random_.below(1000))},
                     options_);
}

void World::append() {
  const GroupId id(static_cast<std::uint32_t>(random_.below(kind_.groups)));
  GroupState& group = groups_[id];
  if (random_.one_in(8)) ++next_term_;
  const Term term = std::max(group.index.last_term(), Term(next_term_));
  const SealedBatch batch =
      next_batch(group, id, group.index.last_index().next(), term, group.index.last_checksum());
  if (!make_room(batch.view().size_bytes())) return;
  const auto placed = log_->append_batch(batch.view());
  ASSERT_TRUE(placed);
  ASSERT_TRUE(std::ranges::equal(placed->bytes, batch.view().bytes()));
  group.index.append(batch.view(), placed->location);
  group.batches.push_back(
      {batch.view().producer(), batch.view().first_sequence(), BatchKind::kData});
}

void World::vote(GroupId id) {
  GroupState& group = groups_[id];
  if (!make_room(64)) return;
  const auto at = log_->append_hard_state(id, group.hard_state.term, group.hard_state.vote);
  ASSERT_TRUE(at);
  if (group.hard_state_at) log_->release(group.hard_state_at->epoch, RecordKind::kHardState);
  group.hard_state_at = *at;
}

void World::vote() {
  const GroupId id(static_cast<std::uint32_t>(random_.below(kind_.groups)));
  if (!make_room(64)) return;
  groups_[id].hard_state = {Term(++next_term_),
                            NodeId(1 + static_cast<std::uint32_t>(random_.below(3)))};
  vote(id);
}

/// A new leader's batch replaces the end of the log (Raft §5.3).
void World::truncate() {
  const GroupId id(static_cast<std::uint32_t>(random_.below(kind_.groups)));
  GroupState& group = groups_[id];
  if (group.index.batch_count() == 0) return;
  // Often all of it: what is left of the dead batches then has no predecessor.
  const std::size_t keep = random_.one_in(3) ? 0 : random_.below(group.index.batch_count());
  const Index from = group.index.batch(keep).first_index;
  const std::uint64_t previous =
      keep == 0 ? group.index.start().prev_checksum : group.index.batch(keep - 1).header_checksum;
  const SealedBatch batch = next_batch(group, id, from, Term(++next_term_), previous);
  if (!make_room(batch.view().size_bytes())) return;
  std::vector<Epoch> dead;
  group.index.truncate_from(from,
                            [&](const GroupIndex::Entry& e) { dead.push_back(e.location.epoch); });
  group.batches.resize(keep);
  const auto placed = log_->append_batch(batch.view());
  ASSERT_TRUE(placed);
  group.index.append(batch.view(), placed->location);
  group.batches.push_back(
      {batch.view().producer(), batch.view().first_sequence(), BatchKind::kData});
  for (const Epoch epoch : dead) log_->release(epoch, RecordKind::kBatch);
  ++counts_.truncations;
}

void World::trim() {
  const GroupId id(static_cast<std::uint32_t>(random_.below(kind_.groups)));
  const std::size_t batches = groups_[id].index.batch_count();
  trim(id, batches - random_.below(std::min<std::size_t>(batches, 3) + 1));
}

/// Snapshot pieces, then the trim record, as the shard does it.
void World::trim(GroupId id, std::size_t batches) {
  GroupState& group = groups_[id];
  std::vector<SnapshotPiece>& pieces = unfinished_[id];
  for (std::uint64_t i = random_.below(3); i > 0; --i) {
    std::vector<std::byte> bytes(8 * random_.below(60), static_cast<std::byte>(random_.below(256)));
    if (!make_room(bytes.size())) return;  // goes on when the group is trimmed the next time
    const auto at = log_->append_producers(id, bytes);
    ASSERT_TRUE(at);
    pieces.push_back({*at, std::move(bytes)});
  }
  if (!make_room(64)) return;
  TrimPoint point = group.index.start();
  if (batches > 0) {
    const GroupIndex::Entry& last = group.index.batch(batches - 1);
    point = {last.last_index(), last.term, last.header_checksum};
  }
  const auto at = log_->append_trim(id, point);
  ASSERT_TRUE(at);
  group.index.trim_to(point.prev_index.next(), [&](const GroupIndex::Entry& entry) {
    log_->release(entry.location.epoch, RecordKind::kBatch);
  });
  ASSERT_EQ(group.index.start(), point);
  group.batches.erase(group.batches.begin(),
                      group.batches.begin() + static_cast<std::ptrdiff_t>(batches));
  if (group.trim_at) log_->release(group.trim_at->epoch, RecordKind::kTrim);
  for (const SnapshotPiece& piece : group.producers) {
    log_->release(piece.location.epoch, RecordKind::kProducers);
  }
  group.trim_at = *at;
  group.producers = std::exchange(pieces, {});
  ++counts_.trims;
}

void World::meet(NodeId node, DirectoryId directory) {
  if (!make_room(64)) return;
  const auto at = log_->append_peer({node, directory});
  ASSERT_TRUE(at);
  const auto before = peers_.find(node);
  if (before != peers_.end()) log_->release(before->second.at.epoch, RecordKind::kPeer);
  peers_[node] = {directory, *at};
}

/// A peer is met, or trusted again with another directory.
void World::meet() {
  meet(NodeId(1 + static_cast<std::uint32_t>(random_.below(3))), {random_.next(), random_.next()});
}

/// Old segments that are held by a few small records get free by writing those again.
void World::rewrite_blocking() {
  const auto blocked = log_->blocked_by_states();
  if (!blocked) return;
  ++counts_.rewrites;
  for (auto& [id, group] : groups_) {
    if (group.hard_state_at && group.hard_state_at->epoch <= *blocked) vote(id);
    const bool piece_there = std::ranges::any_of(group.producers, [&](const SnapshotPiece& piece) {
      return piece.location.epoch <= *blocked;
    });
    if (piece_there || (group.trim_at && group.trim_at->epoch <= *blocked)) trim(id, 0);
  }
  for (const auto& [node, peer] : Peers(peers_)) {
    if (peer.at.epoch > *blocked) continue;
    ++counts_.peers_moved;
    meet(node, peer.directory);
  }
}

// --- files ---------------------------------------------------------------------------------------

void World::file_step() {
  if (step_) {
    finish_step();
    return;
  }
  if (log_->out_of_space() && random_.one_in(4)) log_->retry_steps();
  if (random_.one_in(16)) (void)log_->skip_zeros();
  begin_step();
}

void World::begin_step() {
  step_ = log_->next_step();
  if (!step_) return;
  step_took_effect_ = false;
  const bool needs_space = step_->kind == FileStep::Kind::kCreate ||
                           step_->kind == FileStep::Kind::kAllocate ||
                           step_->kind == FileStep::Kind::kZeroFill;
  if (needs_space && random_.one_in(10)) {
    ++counts_.full_disks;
    log_->step_failed_no_space();
    step_.reset();
    return;
  }
  if (random_.one_in(2)) do_step();
}

void World::do_step() {
  if (std::exchange(step_took_effect_, true)) return;
  const bool removes =
      step_->kind == FileStep::Kind::kRename || step_->kind == FileStep::Kind::kUnlink;
  if (removes && parse_segment_name(step_->name)) ++counts_.retired;
  apply_step(disk_, *log_, *step_);
}

void World::finish_step() {
  do_step();
  step_.reset();
  step_took_effect_ = false;
  log_->step_done();
}

// --- crash and recovery --------------------------------------------------------------------------

void World::lose_power(MemoryDisk::Fate fate) {
  disk_.lose_power(random_, fate);
  late_writes_.clear();
}

void World::kill() {
  for (const auto id : late_writes_) disk_.drop(id);  // those of the process before: never
  if (step_ && random_.one_in(2)) do_step();
  late_writes_ = disk_.submitted();
  // Some of them arrive before the new process looks, some while it runs, some never.
  for (auto at = late_writes_.begin(); at != late_writes_.end();) {
    if (random_.one_in(3)) {
      disk_.land(*at, false);
      at = late_writes_.erase(at);
    } else {
      ++at;
    }
  }
}

bool World::is_ancestor(std::size_t node, std::size_t of) const {
  while (nodes_[of].seq > nodes_[node].seq) of = nodes_[of].parent;
  return of == node;
}

void World::verify(const Recovered& found, const MemoryDisk& disk, std::size_t& tip) const {
  const StreamEnd& end = found.verdict.end;
  const auto node = node_of_.find({end.last_seq.value(), end.last_chunk_checksum});
  ASSERT_NE(node, node_of_.end()) << "chunk " << end.last_seq.value() << " was never written";
  tip = node->second;
  ASSERT_TRUE(is_ancestor(durable_, tip))
      << "chunk " << nodes_[durable_].seq.value() << " was durable; found " << end.last_seq.value();

  const Groups& expected = *nodes_[tip].after;
  Groups spoken_of;  // groups that never wrote anything leave no trace
  for (const auto& [id, group] : expected) {
    if (group.index.last_index() > Index(0) || group.hard_state_at || group.trim_at) {
      spoken_of.emplace(id, group);
    }
  }
  Groups replayed;
  for (const auto& [id, group] : found.groups) {
    if (group.index.last_index() > Index(0) || group.hard_state_at || group.trim_at) {
      replayed.emplace(id, group);
    }
  }
  ASSERT_EQ(describe(replayed), describe(spoken_of));

  ASSERT_EQ(describe(found.peers), describe(*nodes_[tip].peers));

  auto counts = live_counts(expected, found.peers);
  for (const SegmentInfo& segment : end.segments) {
    ASSERT_EQ(segment.live_batches, counts[segment.epoch].first) << segment.epoch.value();
    ASSERT_EQ(segment.live_others, counts[segment.epoch].second) << segment.epoch.value();
  }
  for (const auto& [id, group] : found.groups) {
    for (std::size_t i = 0; i < group.index.batch_count(); ++i) {
      const GroupIndex::Entry& entry = group.index.batch(i);
      const auto file = disk.read(segment_name(entry.location.epoch));
      const auto bytes = std::span(file).subspan(entry.location.offset, entry.location.size_bytes);
      const auto batch = BatchView::parse_sealed(bytes, bytes.size());
      ASSERT_TRUE(batch);
      ASSERT_EQ(batch->header_checksum(), entry.header_checksum);
    }
  }
}

ChunkSeq World::check(const MemoryDisk& disk) const {
  const auto found = recover_directory(options_, disk);
  if (!found) {
    ADD_FAILURE() << "a crash was taken for damage: " << found.error().front().what;
    return {};
  }
  std::size_t tip = 0;
  verify(*found, disk, tip);
  return nodes_[tip].seq;
}

void World::recover() {
  ++counts_.recoveries;
  auto found = recover_directory(options_, disk_);
  ASSERT_TRUE(found) << "a crash was taken for damage: " << found.error().front().what;
  std::size_t tip = 0;
  verify(*found, disk_, tip);
  if (testing::Test::HasFatalFailure()) return;
  if (nodes_[tip].seq < nodes_[path_.back()].seq) ++counts_.cuts;
  if (!is_ancestor(tip, path_.back())) ++counts_.dead_came_back;

  groups_ = *nodes_[tip].after;
  peers_ = *nodes_[tip].peers;
  path_.assign(nodes_[tip].seq.value() + 1, 0);
  for (std::size_t at = tip;; at = nodes_[at].parent) {
    path_[nodes_[at].seq.value()] = at;
    if (at == 0) break;
  }
  unfinished_.clear();
  writes_.clear();
  step_.reset();
  free_buffers_.clear();
  for (std::size_t i = 0; i < buffers_.size(); ++i) free_buffers_.push_back(i);
  log_ = std::make_unique<SegmentLog>(options_, found->verdict.end);
}

}  // namespace sluice::segments::test
