#include "segments/replay.h"

#include <algorithm>
#include <string>
#include <utility>

#include "wire/batch.h"
#include "wire/check.h"

namespace sluice::segments {

struct Replay::Building {
  GroupState state;
  TrimPoint trim;  // newest; zeros if there is none
};

void Replay::add(const Record& record) {
  Fact fact{.kind = record.kind, .group = record.group};
  fact.batch.location = record.location;
  switch (record.kind) {
    case RecordKind::kBatch: {
      const BatchView batch = BatchView::trusted(record.bytes);
      fact.batch = {batch.first_index(), batch.header_checksum(), batch.term(), record.location,
                    batch.entry_count()};
      fact.previous_checksum = batch.previous_checksum();
      break;
    }
    case RecordKind::kHardState:
      fact.hard_state = hard_state_of(record);
      break;
    case RecordKind::kTrim:
      fact.trim = trim_point_of(record);
      break;
    case RecordKind::kProducers:
      break;
  }
  facts_[record.location.epoch].push_back(fact);
}

void Replay::apply_batch(const Fact& fact, Building& group) {
  GroupIndex& index = group.state.index;
  index.truncate_from(fact.batch.first_index, [](const GroupIndex::Entry&) {});
  const bool continues = fact.batch.first_index == index.last_index().next() &&
                         fact.previous_checksum == index.last_checksum() &&
                         fact.batch.term >= index.last_term();
  if (!continues) {
    // Its predecessor is gone: the log begins here for now. settle() has the last word.
    index = GroupIndex({fact.batch.first_index.prev(), Term{}, fact.previous_checksum});
  }
  index.append(fact.batch);
}

void Replay::apply(const Fact& fact, Building& group) {
  switch (fact.kind) {
    case RecordKind::kBatch:
      apply_batch(fact, group);
      break;
    case RecordKind::kHardState:
      group.state.hard_state = fact.hard_state;
      group.state.hard_state_at = fact.batch.location;
      break;
    case RecordKind::kTrim:
      group.trim = fact.trim;
      group.state.trim_at = fact.batch.location;
      break;
    case RecordKind::kProducers:
      group.state.producers_at = fact.batch.location;
      break;
  }
}

namespace {

/// Brings the log to its beginning. False if there is no chain from there.
bool settle(GroupIndex& index, const TrimPoint& trim) {
  if (index.last_index() <= trim.prev_index) {
    // Everything is trimmed; what is left of it must agree.
    const bool agrees = index.last_index() < trim.prev_index || index.batch_count() == 0 ||
                        index.last_checksum() == trim.prev_checksum;
    index = GroupIndex(trim);
    return agrees;
  }
  index.trim_to(trim.prev_index.next(), [](const GroupIndex::Entry&) {});
  if (index.start().prev_index != trim.prev_index ||
      index.start().prev_checksum != trim.prev_checksum) {
    return false;
  }
  // A log that begins at a batch whose predecessor is gone does not know that one's term.
  GroupIndex settled(trim);
  if (index.batch(0).term < trim.prev_term) return false;
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
  if (group.producers_at) live.add(*group.producers_at, RecordKind::kProducers);
}

}  // namespace

std::expected<std::map<GroupId, GroupState>, std::vector<Damage>> Replay::finish(Verdict& verdict) {
  std::map<GroupId, Building> building;
  for (const Verdict::Live& live : verdict.live) {
    for (const Fact& fact : facts_[live.epoch]) {
      const ChunkSeq seq = fact.batch.location.seq;
      if (seq >= live.first && seq <= live.last) apply(fact, building[fact.group]);
    }
  }

  std::map<GroupId, GroupState> groups;
  std::vector<Damage> damage;
  LiveCounts live(verdict.end.segments);
  for (auto& [id, group] : building) {
    if (!settle(group.state.index, group.trim)) {
      damage.push_back({"group " + std::to_string(id.value()) +
                        ": its batches do not form one chain from index " +
                        std::to_string(group.trim.prev_index.next().value()) + " on"});
      continue;
    }
    count(group.state, live);
    groups.emplace(id, std::move(group.state));
  }
  if (!damage.empty()) return std::unexpected(std::move(damage));
  return groups;
}

}  // namespace sluice::segments
