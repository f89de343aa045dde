// Raft for one group, as a pure state machine: facts in, decisions out. No IO, clock, thread,
// randomness (but a seeded generator), logging; no bytes of entries.
//
// Source: D. Ongaro, "Consensus: Bridging Theory and Practice" (2014) and the Raft paper (2014);
// sections are named where a rule is applied.
//
// How it is driven, by one thread:
//   - step(), tick(), propose(), on_durable(), on_hard_state_durable(), on_link_*() report facts.
//   - After any of them the caller drains outbox(): writes the hard state if it changed, writes the
//     no-op if one is due, sends the messages.
//   - For each follower, as often as its link can take more, the caller pulls plan_append().
//
// Durability. Nothing that depends on term, vote or entries leaves before these are durable:
//   - a vote is granted to others, and counted by the candidate itself, only after
//     on_hard_state_durable() named it. Without that a node that crashes votes twice in a term and
//     two leaders overwrite each other's acknowledged entries.
//   - a follower's AppendReply names only entries that on_durable() named *and* that were verified
//     against the log of the leader of the current term, and leaves only when that term is durable.
//   - the leader counts itself only for what on_durable() named (Raft dissertation §10.2.1).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/raft/log_view.h"
#include "engine/raft/messages.h"
#include "engine/raft/progress.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice::raft {

struct Options {
  NodeId self;
  std::vector<NodeId> voters;  // 1 to 7, self among them, no duplicates
  /// Without a word from a leader for a random number of ticks in [min, 2 * min) an election starts.
  std::uint32_t election_timeout_ticks_min = 50;
  std::uint32_t heartbeat_ticks = 5;  // must be < election_timeout_ticks_min / 2
  /// Window per follower: what is sent and not yet acknowledged (Raft dissertation §10.2.1).
  std::uint32_t inflight_requests_max = 256;
  std::uint64_t inflight_bytes_max = 8u << 20;
  /// A leader takes no proposal while so many bytes of its log are uncommitted (S52).
  std::uint64_t uncommitted_bytes_max = 64u << 20;
  std::uint64_t random_seed = 1;
};

/// What must be done. Appended to by Raft, emptied by its caller; keeps its capacity.
struct Outbox {
  struct Vote { NodeId to; VoteRequest request; };
  struct VoteAnswer { NodeId to; VoteReply reply; };
  struct AppendAnswer { NodeId to; AppendReply reply; };
  std::vector<Vote> vote_requests;
  std::vector<VoteAnswer> vote_replies;
  std::vector<AppendAnswer> append_replies;
  /// Write hard_state() to stable storage and report it by on_hard_state_durable().
  bool hard_state_changed = false;
  void clear();
};

/// What to send next to one follower. The caller takes batches from `next_index` on, as many as it
/// likes up to bytes_max and at least one if last_index >= next_index, and reports what it sent.
struct AppendPlan {
  AppendRequest request;
  Index next_index;        // of the first entry to send: request.prev_index + 1
  Index last_index;        // of the leader's log; < next_index: an empty request (heartbeat, probe)
  std::uint64_t bytes_max = 0;
};

/// What to do with the batches of an AppendRequest.
struct AppendDecision {
  bool accepted = false;
  /// Entries from here on contradict the leader and must be dropped before anything is written.
  std::optional<Index> truncate_from;
  /// batches[first_new ...] are new and must be written in order; those before are already here.
  std::size_t first_new = 0;
};

struct Proposal {
  Term term;
  Index first_index;
};

class Raft {
 public:
  /// `hard_state` and `log` are what recovery found durable: everything in them counts as such.
  Raft(Options options, HardState hard_state, LogView log);

  // --- facts ---------------------------------------------------------------------------------

  /// One tick of the clock. Elections, heartbeats, check-quorum.
  void tick();

  void step(NodeId from, const VoteRequest& request);
  void step(NodeId from, const VoteReply& reply);
  void step(NodeId from, const AppendReply& reply);

  /// A leader's AppendEntries. On acceptance Raft's view of the log already holds the new batches;
  /// the caller must write them (or stop). `batches` are contiguous, checked by the caller:
  /// batches[0].first_index == request.prev_index + 1, each next one follows, terms do not decrease
  /// and none exceeds request.term.
  [[nodiscard]] AppendDecision step(NodeId from, const AppendRequest& request,
                                    std::span<const BatchInfo> batches);

  /// Leader only: takes the next `entry_count` indexes. The caller writes the sealed batch.
  /// Errors  kNotLeader; kOverloaded: bound on uncommitted bytes reached, or this term's no-op has
  ///         not been proposed yet.
  [[nodiscard]] Result<Proposal> propose(std::uint32_t entry_count, std::uint64_t size_bytes);

  /// True from winning an election until propose_noop(). Nothing else can be proposed before.
  [[nodiscard]] bool noop_due() const;
  /// The first entry of a leader's term (Raft §8): without it entries of older terms could not be
  /// committed until a client happens to write.
  [[nodiscard]] Proposal propose_noop(std::uint64_t size_bytes);

  /// Everything of this node's log up to `index` is on stable storage, if `term` still stands
  /// there. Otherwise the entry was overwritten while the write was in flight, and the fact says
  /// nothing about what stands there now (S6).
  void on_durable(Index index, Term term);
  void on_hard_state_durable(const HardState& state);

  /// A connection to `peer` was made or lost: what was in flight on it is gone.
  void on_link_up(NodeId peer);
  void on_link_down(NodeId peer);

  /// Everything below `first` may be forgotten. Precondition: first <= commit_index + 1.
  void trim_to(Index first);

  // --- decisions -----------------------------------------------------------------------------

  [[nodiscard]] Outbox& outbox() { return outbox_; }

  /// The next AppendRequest for `to`, if this node leads and the follower's window has room: new
  /// entries, a heartbeat that is due, a probe, or a commit index the follower has not heard of.
  /// Changes nothing: call on_append_sent() when (and only when) it was handed to the link.
  [[nodiscard]] std::optional<AppendPlan> plan_append(NodeId to) const;
  void on_append_sent(NodeId to, Index last_sent, std::uint64_t size_bytes);

  // --- state ---------------------------------------------------------------------------------

  [[nodiscard]] Role role() const { return role_; }
  [[nodiscard]] Term term() const { return hard_state_.term; }
  [[nodiscard]] const HardState& hard_state() const { return hard_state_; }
  /// Leader of the current term, kNoNode while none is known.
  [[nodiscard]] NodeId leader() const { return leader_; }
  [[nodiscard]] Index commit_index() const { return commit_index_; }
  [[nodiscard]] Index durable_index() const { return durable_index_; }
  [[nodiscard]] const LogView& log() const { return log_; }
  [[nodiscard]] const Progress* progress(NodeId peer) const;
  /// Smallest match_index over all voters (leader only): below it nobody needs an entry any more.
  [[nodiscard]] Index match_index_min() const;

 private:
  // (filled in by the implementation)
};

}  // namespace sluice::raft
