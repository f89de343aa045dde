#include "segments/replay.h"

#include <algorithm>
#include <string>
#include <utility>

#include "wire/batch.h"
#include "wire/check.h"

namespace sluice::segments {

struct Replay::Building {
  GroupState state;
  TrimPoint trim;                     // newest; zeros if there is none
  std::vector<SnapshotPiece> pieces;  // since the newest trim
};

namespace {

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace

void Replay::add(const Record& record) {
  Fact fact{.kind = record.kind, .group = record.group};
  fact.batch.location = record.location;
  switch (record.kind) {
    case RecordKind::kBatch: {
      const BatchView batch = BatchView::trusted(record.bytes);
      fact.batch = {batch.first_index(), batch.header_checksum(), batch.term(), record.location,
                    batch.entry_count()};
      fact.previous_checksum = batch.previous_checksum();
      fact.more = {batch.producer(), batch.first_sequence(), batch.kind()};
      if (batch.kind() != BatchKind::kData) fact.more.bytes = copy_of(record.bytes);
      break;
    }
    case RecordKind::kHardState:
      fact.hard_state = hard_state_of(record);
      break;
    case RecordKind::kTrim:
      fact.trim = trim_point_of(record);
      break;
    case RecordKind::kProducers:
      fact.more.bytes = copy_of(record.bytes);
      break;
    case RecordKind::kPeer:
      fact.peer = peer_directory_of(record);
      break;
  }
  facts_[record.location.epoch].push_back(std::move(fact));
}

void Replay::apply_batch(Fact& fact, Building& group) {
  GroupIndex& index = group.state.index;
  std::vector<BatchFacts>& batches = group.state.batches;
  index.truncate_from(fact.batch.first_index,
                      [&](const GroupIndex::Entry&) { batches.pop_back(); });
  const bool continues = fact.batch.first_index == index.last_index().next() &&
                         fact.previous_checksum == index.last_checksum() &&
                         fact.batch.term >= index.last_term();
  if (!continues) {
    // Its predecessor is gone: the log begins here for now. settle() has the last word.
    index = GroupIndex({fact.batch.first_index.prev(), Term{}, fact.previous_checksum});
    batches.clear();
  }
  index.append(fact.batch);
  batches.push_back(std::move(fact.more));
}

void Replay::apply(Fact& fact, Building& group) {
  GroupState& state = group.state;
  switch (fact.kind) {
    case RecordKind::kBatch:
      apply_batch(fact, group);
      break;
    case RecordKind::kHardState:
      state.hard_state = fact.hard_state;
      state.hard_state_at = fact.batch.location;
      break;
    case RecordKind::kTrim:
      group.trim = fact.trim;
      state.trim_at = fact.batch.location;
      state.producers = std::exchange(group.pieces, {});
      break;
    case RecordKind::kProducers:
      group.pieces.push_back({fact.batch.location, std::move(fact.more.bytes)});
      break;
    case RecordKind::kPeer:
      SLUICE_CHECK(false);  // of no group
      break;
  }
}

namespace {

/// Brings the log to its beginning. False if there is no chain from there.
bool settle(GroupState& group, const TrimPoint& trim) {
  GroupIndex& index = group.index;
  if (index.last_index() <= trim.prev_index) {
    // Everything is trimmed; what is left of it must agree.
    const bool agrees = index.last_index() < trim.prev_index || index.batch_count() == 0 ||
                        index.last_checksum() == trim.prev_checksum;
    index = GroupIndex(trim);
    group.batches.clear();
    return agrees;
  }
  std::size_t trimmed = 0;
  index.trim_to(trim.prev_index.next(), [&](const GroupIndex::Entry&) { ++trimmed; });
  group.batches.erase(group.batches.begin(),
                      group.batches.begin() + static_cast<std::ptrdiff_t>(trimmed));
  if (index.start().prev_index != trim.prev_index ||
      index.start().prev_checksum != trim.prev_checksum || index.batch(0).term < trim.prev_term) {
    return false;
  }
  // A log that begins at a batch whose predecessor is gone does not know that one's term.
  GroupIndex settled(trim);
  for (std::size_t i = 0; i < index.batch_count(); ++i) settled.append(index.batch(i));
  index = std::move(settled);
  return true;
}

class LiveCounts {
 public:
  explicit LiveCounts(std::vector<SegmentInfo>& segments) : segments_(segments) {}
  void add(const Location& at, RecordKind kind) {
    const auto segment = std::ranges::lower_bound(segments_, at.epoch, {}, &SegmentInfo::epoch);
    SLUICE_CHECK(segment != segments_.end() && segment->epoch == at.epoch);
    ++(kind == RecordKind::kBatch ? segment->live_batches : segment->live_others);
  }

 private:
  std::vector<SegmentInfo>& segments_;
};

void count(const GroupState& group, LiveCounts& live) {
  for (std::size_t i = 0; i < group.index.batch_count(); ++i) {
    live.add(group.index.batch(i).location, RecordKind::kBatch);
  }
  if (group.hard_state_at) live.add(*group.hard_state_at, RecordKind::kHardState);
  if (group.trim_at) live.add(*group.trim_at, RecordKind::kTrim);
  for (const SnapshotPiece& piece : group.producers) {
    live.add(piece.location, RecordKind::kProducers);
  }
}

}  // namespace

std::expected<std::map<GroupId, GroupState>, std::vector<Damage>> Replay::finish(Verdict& verdict) {
  std::map<GroupId, Building> building;
  Epoch writer;
  for (const Verdict::Live& live : verdict.live) {
    if (std::exchange(writer, live.writer) != live.writer) {
      for (auto& [id, group] : building) group.pieces.clear();
    }
    for (Fact& fact : facts_[live.epoch]) {
      const ChunkSeq seq = fact.batch.location.seq;
      if (seq < live.first || seq > live.last) continue;
      if (fact.kind == RecordKind::kPeer) {
        peers_[fact.peer.node] = {fact.peer.directory, fact.batch.location};
      } else {
        apply(fact, building[fact.group]);
      }
    }
  }

  std::map<GroupId, GroupState> groups;
  std::vector<Damage> damage;
  LiveCounts live(verdict.end.segments);
  for (auto& [id, group] : building) {
    if (!settle(group.state, group.trim)) {
      damage.push_back({"group " + std::to_string(id.value()) +
                        ": its batches do not form one chain from index " +
                        std::to_string(group.trim.prev_index.next().value()) + " on"});
      continue;
    }
    count(group.state, live);
    groups.emplace(id, std::move(group.state));
  }
  if (!damage.empty()) return std::unexpected(std::move(damage));
  for (const auto& [node, peer] : peers_) live.add(peer.at, RecordKind::kPeer);
  return groups;
}

}  // namespace sluice::segments
