// One replicated log on this node: its Raft state, where its batches lie, what it remembers of its
// producers, and who waits for what.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/raft/raft.h"
#include "engine/shard/sessions.h"
#include "segments/group_index.h"
#include "wire/ids.h"
#include "wire/prefetch.h"
#include "wire/ring.h"

namespace sluice::shard {

/// Who asked: a connection by slot and generation (a slot that was given to another connection since
/// is told from the one that was meant), or a client in this process by generation alone.
struct ClientRef {
  std::uint32_t slot = 0;
  bool local = false;  // in this process (local_side.h)
  std::uint64_t generation = 0;
};

/// A client that is to hear when entries [first, last] are committed.
struct Waiter {
  ClientRef client;
  std::uint64_t request_id = 0;
  Index first, last;
  Term term;
  std::uint32_t offset = 0;  // of the entry at `first` within the client's batch
  bool has_producer = false;
  std::uint64_t taken_ns = 0;  // when it came (StageTimes)
};

/// A request to give up the prefix of the log, on its way through it.
struct TrimWaiter {
  ClientRef client;
  std::uint64_t request_id = 0;
  Index index;  // of the trim batch
  Term term;
};

/// A trim batch in the log: when it commits, the log may begin at `first`.
struct PendingTrim {
  Index index;
  Index first;
};

struct Group {
  Group(GroupId group_id, raft::Options options, raft::HardState hard_state, raft::LogView log,
        segments::GroupIndex group_index, Sessions group_sessions)
      : id(group_id),
        raft(std::move(options), hard_state, std::move(log)),
        index(std::move(group_index)),
        sessions(std::move(group_sessions)) {}

  GroupId id;
  raft::Raft raft;
  segments::GroupIndex index;
  Sessions sessions;

  /// Appended here as leader, in index order.
  Ring<Waiter> waiters;
  /// Retries of entries that were in the log already but not committed; any order, few.
  std::vector<Waiter> retry_waiters;
  std::vector<TrimWaiter> trim_waiters;

  /// Records of this node's own state; released when a newer one replaces them. seq 0: none.
  segments::Location hard_state_at, trim_at;
  std::vector<segments::Location> producers_at;  // the snapshot that belongs to the trim

  std::vector<PendingTrim> pending_trims;  // by index, uncommitted or not yet applied
  Index trim_due;                          // committed, waits for room in a chunk; 0: none

  bool dirty = false;           // in Groups::dirty_
  bool hard_state_due = false;  // changed, not yet in a chunk
  raft::Role role_seen = raft::Role::kFollower;
  Index commit_seen;               // up to here waiters were answered and trims applied
  bool due = false;                // in Groups::due_
  std::uint32_t parked_reads = 0;  // reads that wait for something to commit
  std::uint32_t links_wanted = 0;  // bit per peer: something may have to be sent

  void prefetch() const { prefetch_object(*this); }
  /// What the members refer to. Once they are there themselves.
  void prefetch_reached() const {
    raft.prefetch();
    index.prefetch();
    waiters.prefetch_ends();
  }
  /// What that refers to. Likewise.
  void prefetch_behind() const { raft.prefetch_windows(); }
};

/// For a loop over facts, each about another group: asks for the memory of those that come next, while
/// one is worked on. Thousands of groups do not fit into a core's cache, and a fact is a few dozen steps
/// and, without this, as many waits for memory. One object for one loop.
class Lookahead {
 public:
  /// Before number `i` of `count` is worked on. `i` rises.
  ///   group_at  the group of a number in [i, count), as a pointer; nullptr if there is none
  template <class GroupAt>
  void at(std::size_t i, std::size_t count, GroupAt&& group_at) {
    const auto fetch = [&](std::size_t& next, std::size_t ahead, void (Group::*what)() const) {
      const std::size_t end = std::min(i + ahead + 1, count);
      for (next = std::max(next, i); next < end; ++next) {
        if (const Group* group = group_at(next)) (group->*what)();
      }
    };
    fetch(object_, 9, &Group::prefetch);
    fetch(reached_, 6, &Group::prefetch_reached);
    fetch(behind_, 3, &Group::prefetch_behind);
  }

 private:
  // The next to be asked for, of each kind.
  std::size_t object_ = 0, reached_ = 0, behind_ = 0;
};

}  // namespace sluice::shard
