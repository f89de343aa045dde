// The groups of a shard and the stream that they share: everything that enters or leaves a log
// passes here, so that Raft's view, the index, the producers' table and the segments' counts never
// disagree.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/shard/group.h"
#include "engine/shard/group_commit.h"
#include "wire/batch.h"
#include "wire/ids.h"
#include "wire/ring.h"

namespace sluice::shard {

struct LogCounters {
  std::uint64_t batches_appended = 0;
  std::uint64_t entries_appended = 0;
};

/// What a kTrim batch asks for: the new first index (its one entry, eight bytes). 0 if malformed.
[[nodiscard]] Index trim_target(BatchView batch);

class Groups {
 public:
  /// Groups of this shard: shard, shard + shards, shard + 2 * shards, ... below the total.
  Groups(ShardId shard, std::uint32_t shards, GroupCommit& commit)
      : shard_(shard), shards_(shards), commit_(commit) {}

  /// In ascending order of id, without gaps (start-up).
  void add(std::unique_ptr<Group> group) { groups_.push_back(std::move(group)); }

  /// nullptr: not a group of this shard.
  [[nodiscard]] Group* find(GroupId id);
  [[nodiscard]] std::span<const std::unique_ptr<Group>> all() const { return groups_; }

  /// Puts a sealed batch, which Raft has taken into its view, into the stream.
  /// Precondition: make_room() said yes for its size; group.index.continues(batch).
  void append(Group& group, BatchView batch);

  /// Raft dropped everything from `from` on, a batch boundary. append() of the batch that begins
  /// there follows at once.
  void truncate(Group& group, Index from);

  /// Writes the hard state if it changed and there is room. Until it is durable Raft holds back
  /// what depends on it.
  void write_hard_state(Group& group);

  /// The group's log begins at `first` or a little before (batches go whole): writes that down,
  /// with what is to be remembered of the producers, and lets the segments go. Without room now it
  /// stays due (Group::trim_due) and is tried again by do_due_work(). A log with so many producers
  /// that what is to be remembered does not fit into one chunk is kept.
  void trim(Group& group, Index first);

  /// What waited for room: hard states, trims. Cheap if there is none.
  void do_due_work();

  /// Moves the records of this node's own state out of old segments that nothing else holds.
  void move_old_states();

  /// Tells Raft what became stable.
  /// `stable` by the fsync policy for entries; votes and terms count only when they are `durable`.
  void on_chunks_stable(ChunkSeq stable, ChunkSeq durable);

  void mark_dirty(Group& group) {
    if (group.dirty) return;
    group.dirty = true;
    dirty_.push_back(&group);
  }
  /// The groups to look after; calls visit(group) once for each, also for those marked meanwhile.
  template <class F>
  void drain_dirty(F&& visit) {
    Lookahead lookahead;
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      lookahead.at(i, dirty_.size(), [this](std::size_t at) { return dirty_[at]; });
      dirty_[i]->dirty = false;
      visit(*dirty_[i]);
    }
    dirty_.clear();
  }

  [[nodiscard]] const LogCounters& counters() const { return counters_; }

 private:
  [[nodiscard]] std::size_t record_bytes_max() const;
  void set_due(Group& group);
  void append_trim_records(Group& group, std::span<const std::byte> snapshot);
  void replace(segments::Location& at, const segments::Location& by, segments::RecordKind kind);

  /// What a chunk that is on its way will make stable.
  struct Pending {
    ChunkSeq seq;
    Group* group = nullptr;
    Index last_index;
    Term term;
  };
  struct PendingState {
    ChunkSeq seq;
    Group* group = nullptr;
    raft::HardState state;
  };

  ShardId shard_;
  std::uint32_t shards_;
  GroupCommit& commit_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<Group*> dirty_;
  Ring<Group*> due_;              // groups that wait for room
  std::vector<Epoch> truncated_;  // of batches that the next append() replaces
  Ring<Pending> pending_;
  Ring<PendingState> pending_states_;
  LogCounters counters_;
};

}  // namespace sluice::shard
