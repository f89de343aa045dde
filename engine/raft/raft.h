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

#include "engine/raft/byte_ledger.h"
#include "engine/raft/log_view.h"
#include "engine/raft/messages.h"
#include "engine/raft/progress.h"
#include "engine/raft/random.h"
#include "wire/ids.h"
#include "wire/prefetch.h"
#include "wire/result.h"

namespace sluice::raft {

struct Options {
  NodeId self;
  std::vector<NodeId> voters;  // 1 to 7, self among them, no duplicates
  /// Without a word from a leader for a random number of ticks in [min, 2 * min) an election
  /// starts.
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
  struct Vote {
    NodeId to;
    VoteRequest request;
  };
  struct VoteAnswer {
    NodeId to;
    VoteReply reply;
  };
  struct AppendAnswer {
    NodeId to;
    AppendReply reply;
  };
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
  AppendRequest request{};
  Index next_index{};  // of the first entry to send: request.prev_index + 1
  Index last_index;    // of the leader's log; < next_index: an empty request (heartbeat, probe)
  std::uint64_t bytes_max = 0;
};

/// What to do with the batches of an AppendRequest.
struct AppendDecision {
  bool accepted = false;
  /// Entries from here on contradict the leader and must be dropped before anything is written.
  std::optional<Index> truncate_from{};
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
  /// A log whose last term is above the hard state's raises it (entries and hard state are written
  /// separately, and a crash may fall between); the outbox is to be drained after construction too.
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

  /// A leader's AppendEntries whose entries this node has no room for: it heard from the leader, so it
  /// does not run for election, and it takes and acknowledges nothing. No answer either (but to a leader
  /// of the past): one that said how far this log goes would be the answer to a probe, upon which the
  /// leader sends what follows the entries that were dropped, is refused, and probes again, as fast as
  /// the network goes, until there is room (S36). The leader learns by its next heartbeat how things stand.
  void hear(NodeId from, const AppendRequest& request);

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
  /// nothing about what stands there now (S6). Facts come in the order of the writes: a batch is
  /// reported only when everything that was handed out before it is on stable storage too.
  void on_durable(Index index, Term term);
  /// Likewise in the order of the writes; a newer state may stand for those before it.
  void on_hard_state_durable(const HardState& state);

  /// The disk takes nothing at present: it is full, or hangs with what other groups gave it. While
  /// that lasts this node is as one whose own writes hang: it hands its leadership over and does not
  /// run for it.
  void on_storage_blocked(bool blocked) { storage_blocked_ = blocked; }

  /// A connection to `peer` was made or lost: what was in flight on it is gone.
  void on_link_up(NodeId peer);
  void on_link_down(NodeId peer);

  /// Everything below `first` may be forgotten. Precondition: first <= commit_index + 1.
  void trim_to(Index first);

  // --- decisions -----------------------------------------------------------------------------

  [[nodiscard]] Outbox& outbox() { return outbox_; }

  /// The next AppendRequest for `to`, if this node leads and the follower's window has room: new
  /// entries, a heartbeat that is due, a probe, or a commit index the follower has not heard of.
  /// Changes nothing: call on_append_sent() when (and only when) it was handed to the link, before
  /// any other fact. For an empty request last_sent is request.prev_index and size_bytes is 0.
  [[nodiscard]] std::optional<AppendPlan> plan_append(NodeId to) const;
  /// The heartbeat that is due, although plan_append() may have entries: for when these have to be read
  /// first. Without it a follower would take its leader for gone meanwhile, and the leader the follower.
  /// Sent like a plan of plan_append().
  [[nodiscard]] std::optional<AppendPlan> plan_heartbeat(NodeId to) const;
  /// Whether plan_append() has something. Costs less.
  [[nodiscard]] bool append_due(NodeId to) const;
  void on_append_sent(NodeId to, Index last_sent, std::uint64_t size_bytes);

  // --- state ---------------------------------------------------------------------------------

  [[nodiscard]] Role role() const { return role_; }
  [[nodiscard]] Term term() const { return hard_state_.term; }
  [[nodiscard]] const HardState& hard_state() const { return hard_state_; }
  /// The newest that is known to be on stable storage; hard_state() once that was reported durable.
  [[nodiscard]] const HardState& durable_hard_state() const { return durable_hard_state_; }
  /// Leader of the current term, kNoNode while none is known.
  [[nodiscard]] NodeId leader() const { return leader_; }
  [[nodiscard]] Index commit_index() const { return commit_index_; }
  [[nodiscard]] Index durable_index() const { return durable_index_; }
  [[nodiscard]] const LogView& log() const { return log_; }
  [[nodiscard]] const Progress* progress(NodeId peer) const;
  /// Smallest match_index over all voters (leader only): below it nobody needs an entry any more.
  [[nodiscard]] Index match_index_min() const;
  /// Bytes of batches in the log that are not committed yet (S52).
  [[nodiscard]] std::uint64_t uncommitted_bytes() const { return uncommitted_.total_bytes(); }

  /// Fetches what the next fact will touch outside of this object.
  void prefetch() const {
    for (const Peer& peer : peers_) prefetch_object(peer);
    uncommitted_.prefetch();
  }
  /// And what it will touch from there. Once that is there.
  void prefetch_windows() const {
    for (const Peer& peer : peers_) peer.progress.prefetch();
  }

 private:
  friend class Invariants;

  struct Peer {
    NodeId id;
    Progress progress;
  };
  /// What a follower is to get now.
  enum class Due : std::uint8_t {
    kNothing,
    kEntries,
    kEmpty,         // a heartbeat, a probe, or news of the commit index
    kEmptyAtStart,  // a heartbeat, about the place where this log begins
  };
  struct PendingAnswer {
    NodeId to;
    AppendReply reply;
  };

  // raft.cc: roles and terms
  [[nodiscard]] Peer* find_peer(NodeId id);
  [[nodiscard]] bool is_peer(NodeId id) const;
  [[nodiscard]] bool plausible(Term term) const;
  void enter_term(Term term, NodeId vote);
  void become_follower(Term term);
  void step_down();
  void reset_election_timer();
  void count_stalled_tick();
  [[nodiscard]] bool disk_stalled() const;
  void commit_to(Index index);

  // election.cc
  void tick_election();
  void start_pre_vote();
  void start_election();
  void count_vote(NodeId from);
  [[nodiscard]] VoteRequest vote_request() const;
  [[nodiscard]] bool hears_leader() const;
  [[nodiscard]] bool log_up_to_date(const VoteRequest& request) const;
  void answer_pre_vote(NodeId from, const VoteRequest& request);
  void answer_vote(NodeId from, const VoteRequest& request);
  void grant_if_durable();

  // leader.cc
  void become_leader();
  void tick_leader();
  [[nodiscard]] bool quorum_in_contact() const;
  void advance_commit();
  [[nodiscard]] bool commit_stalled();
  void on_rejected(Progress& progress, const AppendReply& reply);
  [[nodiscard]] Due due_for(const Progress& progress) const;
  [[nodiscard]] AppendPlan plan_empty(Index prev_index) const;

  // follower.cc
  void follow(NodeId leader, Term term);
  [[nodiscard]] bool matches(const AppendRequest& request) const;
  [[nodiscard]] AppendDecision take(const AppendRequest& request,
                                    std::span<const BatchInfo> batches);
  [[nodiscard]] bool has(const BatchInfo& batch) const;
  void truncate_from(Index from);
  [[nodiscard]] Index acknowledged_index() const;
  void answer_accepted();
  void answer_rejected(Index rejected_index, Term prev_term);
  void refuse_stale_leader(NodeId from, const AppendRequest& request);
  void emit_pending_answers();

  Options options_;
  HardState hard_state_;
  HardState durable_hard_state_;  // newest that is known to be on stable storage
  LogView log_;
  Index commit_index_;
  Index durable_index_;
  Role role_ = Role::kFollower;
  NodeId leader_;       // as far as is known now
  NodeId term_leader_;  // who ever led the current term here: there is only one (Raft §5.2)
  std::vector<Peer> peers_;
  ByteLedger uncommitted_;
  Outbox outbox_;
  Random random_;

  // Time, in ticks.
  std::uint64_t election_elapsed_ = 0;
  std::uint64_t election_timeout_ = 0;
  std::uint64_t ticks_since_leader_ = 0;
  std::uint64_t heartbeat_elapsed_ = 0;
  bool storage_blocked_ = false;
  Index majority_index_;  // leader: what a majority was last seen to hold durably
  std::uint64_t ticks_without_majority_ = 0;  // since that rose, while entries are uncommitted
  std::uint64_t stalled_ticks_ = 0;  // without durable progress, while something waits for it

  std::uint32_t fruitless_terms_ = 0;  // led and given up in a row, nothing committed in them or since

  // As a candidate or voter.
  std::uint32_t votes_ = 0;  // bit i: options_.voters[i] granted
  NodeId pending_grant_;     // voted for in this term, answer waits for the hard state

  // As a leader.
  bool noop_due_ = false;

  // As a follower.
  Index verified_index_;  // this log equals the current leader's up to here (0: nothing known)
  Index answered_index_;  // last acknowledged to it
  // Entries that were still on their way to the disk were dropped at this index and others stand
  // there now, not durable yet. See truncate_from().
  std::optional<Index> unsettled_from_;
  std::optional<PendingAnswer> pending_answer_;   // to the leader, waits for the hard state
  std::optional<PendingAnswer> pending_refusal_;  // to the leader of an older term, likewise
};

}  // namespace sluice::raft
