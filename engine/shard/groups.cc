#include "engine/shard/groups.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/check.h"

namespace sluice::shard {
namespace {
constexpr std::size_t kStateRecordBytes = 64;  // room for a hard state or trim record
}  // namespace

using segments::RecordKind;

Index trim_target(BatchView batch) {
  const auto entry = *batch.begin();
  std::uint64_t first = 0;
  if (entry.size() == sizeof(first)) std::memcpy(&first, entry.data(), sizeof(first));
  return Index(first);
}

Group* Groups::find(GroupId id) {
  if (id.value() % shards_ != shard_.value()) return nullptr;
  const std::size_t position = id.value() / shards_;
  return position < groups_.size() ? groups_[position].get() : nullptr;
}

void Groups::append(Group& group, BatchView batch) {
  SLUICE_CHECK(group.index.continues(batch));
  const auto placed = commit_.append_batch(batch);
  for (const Epoch epoch : truncated_) commit_.log().release(epoch, RecordKind::kBatch);
  truncated_.clear();
  group.index.append(batch, placed.location);
  group.sessions.add(batch, group.raft.commit_index());
  ++counters_.batches_appended;
  counters_.entries_appended += batch.entry_count();

  const bool same = !pending_.empty() && pending_.back().group == &group &&
                    pending_.back().seq == placed.location.seq;
  if (!same) {
    Pending pending;
    pending.seq = placed.location.seq;
    pending.group = &group;
    pending_.push_back(pending);
  }
  pending_.back().last_index = batch.last_index();
  pending_.back().term = batch.term();
  if (batch.kind() == BatchKind::kTrim) {
    group.pending_trims.push_back({batch.last_index(), trim_target(batch)});
  }
  mark_dirty(group);
}

void Groups::truncate(Group& group, Index from) {
  // Released with the batch that comes instead (append()): until that one is written, the old ones
  // are what tells a recovery where the log ends.
  group.index.truncate_from(from, [&](const segments::GroupIndex::Entry& entry) {
    truncated_.push_back(entry.location.epoch);
  });
  group.sessions.truncate_from(from);
  std::erase_if(group.pending_trims, [&](const PendingTrim& t) { return t.index >= from; });
}

void Groups::replace(segments::Location& at, const segments::Location& by, RecordKind kind) {
  if (at.seq != ChunkSeq{}) commit_.log().release(at.epoch, kind);
  at = by;
}

void Groups::set_due(Group& group) {
  if (group.due) return;
  group.due = true;
  due_.push_back(&group);
}

void Groups::do_due_work() {
  for (std::size_t left = due_.size(); left > 0; --left) {
    Group& group = *due_.front();
    due_.pop_front();
    group.due = false;
    write_hard_state(group);
    if (group.trim_due != Index{}) trim(group, group.trim_due);
  }
}

void Groups::write_hard_state(Group& group) {
  if (!group.hard_state_due) return;
  if (commit_.make_room(kStateRecordBytes) != GroupCommit::Room::kYes) {
    set_due(group);
    return;
  }
  const auto& state = group.raft.hard_state();
  replace(group.hard_state_at, commit_.append_hard_state(group.id, state.term, state.vote),
          RecordKind::kHardState);
  group.hard_state_due = false;

  pending_states_.push_back({group.hard_state_at.seq, &group, state});
}

void Groups::append_trim_records(Group& group, std::span<const std::byte> snapshot) {
  // Both in one chunk: a trim without the snapshot would let retries of trimmed entries land twice.
  auto old = std::move(group.producers_at);
  group.producers_at.clear();
  if (!snapshot.empty()) {
    group.producers_at.push_back(commit_.append_producers(group.id, snapshot));
  }
  replace(group.trim_at, commit_.append_trim(group.id, group.index.start()), RecordKind::kTrim);
  for (const auto& at : old) commit_.log().release(at.epoch, RecordKind::kProducers);
}

std::size_t Groups::record_bytes_max() const {
  return commit_.log().options().chunk_bytes_max - 2 * segments::kBlockBytes;
}

void Groups::trim(Group& group, Index first) {
  group.trim_due = Index{};
  if (const auto* entry = group.index.find(first)) first = entry->first_index;
  if (first <= group.index.first_index()) return;
  const auto snapshot = group.sessions.encode_below(first);
  const std::size_t bytes = snapshot.size() + 2 * kStateRecordBytes;
  if (bytes > record_bytes_max()) return;
  if (commit_.make_room(bytes) != GroupCommit::Room::kYes) {
    group.trim_due = first;
    set_due(group);
    return;
  }
  std::vector<segments::Location> dropped;
  group.raft.trim_to(first);
  group.index.trim_to(
      first, [&](const segments::GroupIndex::Entry& entry) { dropped.push_back(entry.location); });
  append_trim_records(group, snapshot);
  for (const auto& location : dropped) {
    commit_.log().release(location.epoch, RecordKind::kBatch);
  }
}

void Groups::move_old_states() {
  const auto blocked = commit_.log().blocked_by_states();
  if (!blocked) return;
  const auto old = [&](const segments::Location& at) {
    return at.seq != ChunkSeq{} && at.epoch <= *blocked;
  };
  for (const auto& entry : groups_) {
    Group& group = *entry;
    if (old(group.hard_state_at)) {
      group.hard_state_due = true;
      write_hard_state(group);
    }
    if (!old(group.trim_at) && std::ranges::none_of(group.producers_at, old)) continue;
    const auto snapshot = group.sessions.encode_below(group.index.first_index());
    const std::size_t bytes = snapshot.size() + 2 * kStateRecordBytes;
    if (bytes > record_bytes_max()) continue;  // made with larger chunks: its segment stays
    if (commit_.make_room(bytes) != GroupCommit::Room::kYes) return;
    append_trim_records(group, snapshot);
  }
}

void Groups::on_chunks_stable(ChunkSeq stable, ChunkSeq durable) {
  while (!pending_states_.empty() && pending_states_.front().seq <= durable) {
    const PendingState pending = pending_states_.front();
    pending_states_.pop_front();
    pending.group->raft.on_hard_state_durable(pending.state);
    mark_dirty(*pending.group);
  }
  Lookahead lookahead;
  const std::size_t count = pending_.size();
  for (std::size_t i = 0; i < count && pending_.front().seq <= stable; ++i) {
    lookahead.at(i, count, [&](std::size_t at) { return pending_[at - i].group; });
    const Pending pending = pending_.front();
    pending_.pop_front();
    pending.group->raft.on_durable(pending.last_index, pending.term);
    mark_dirty(*pending.group);
  }
}

}  // namespace sluice::shard
