// Leading: proposals, replication (Raft §5.3), commitment (§5.4.2), check-quorum (dissertation
// §6.2) and the watch over the own disk.
#include <algorithm>
#include <array>

#include "engine/raft/quorum.h"
#include "engine/raft/raft.h"
#include "wire/check.h"

namespace sluice::raft {

void Raft::become_leader() {
  SLUICE_CHECK(role_ == Role::kCandidate);
  SLUICE_CHECK(durable_hard_state_ == hard_state_ && hard_state_.vote == options_.self);
  SLUICE_CHECK(term_leader_ == kNoNode && "two leaders in one term (S2)");
  role_ = Role::kLeader;
  leader_ = term_leader_ = options_.self;
  votes_ = 0;
  heartbeat_elapsed_ = 0;
  for (Peer& peer : peers_) peer.progress.start_term(log_.last_index());
  noop_due_ = true;
  majority_index_ = Index{};
  ticks_without_majority_ = 0;
}

bool Raft::noop_due() const { return noop_due_; }

Proposal Raft::propose_noop(std::uint64_t size_bytes) {
  SLUICE_CHECK(role_ == Role::kLeader && noop_due_);
  noop_due_ = false;
  // Not held back by the bound on uncommitted bytes: it is what gets the inherited tail committed.
  const Index first_index = log_.last_index().next();
  log_.append(hard_state_.term, 1);
  uncommitted_.add(log_.last_index(), size_bytes);
  return {hard_state_.term, first_index};
}

Result<Proposal> Raft::propose(std::uint32_t entry_count, std::uint64_t size_bytes) {
  SLUICE_CHECK(entry_count > 0);
  if (role_ != Role::kLeader) return fail(Errc::kNotLeader);
  if (noop_due_) return fail(Errc::kOverloaded);
  const std::uint64_t total_bytes = uncommitted_.total_bytes();
  const bool fits = size_bytes <= options_.uncommitted_bytes_max &&
                    total_bytes <= options_.uncommitted_bytes_max - size_bytes;
  // With nothing else outstanding even an oversize batch passes, or it never could.
  if (!fits && total_bytes > 0) return fail(Errc::kOverloaded);
  const Index first_index = log_.last_index().next();
  log_.append(hard_state_.term, entry_count);
  uncommitted_.add(log_.last_index(), size_bytes);
  return Proposal{hard_state_.term, first_index};
}

void Raft::tick_leader() {
  for (Peer& peer : peers_) peer.progress.on_tick();
  // Check-quorum: a leader that is cut off must not keep clients waiting, nor keep the followers
  // that still hear it from electing another (one-way links, S20).
  if (!quorum_in_contact()) return step_down();
  // S23: heartbeats need no disk, so a leader whose disk hangs would keep its place for ever while
  // it can acknowledge little or nothing. A node alone has nobody to hand over to.
  if (disk_stalled() && !peers_.empty()) return step_down();

  if (commit_stalled()) return step_down();

  const bool heartbeat = ++heartbeat_elapsed_ >= options_.heartbeat_ticks;
  if (heartbeat) heartbeat_elapsed_ = 0;
  for (Peer& peer : peers_) {
    Progress& progress = peer.progress;
    if (heartbeat) progress.mark_heartbeat_due();
    // Usually the next request carries the commit index. When nothing flows, tell it separately.
    if (commit_index_ > progress.commit_sent() && progress.inflight_requests() == 0 &&
        progress.state() == Progress::State::kReplicate) {
      progress.mark_commit_due();
    }
  }
}

/// S23 once more: followers answer heartbeats though their disks hang. A leader that hears a majority
/// but whose entries reach the disks of none keeps those who hear it from a leader that could do
/// better. While what a majority holds rises, however slowly, it stays (S25).
bool Raft::commit_stalled() {
  if (commit_index_ >= log_.last_index() || peers_.empty()) {
    ticks_without_majority_ = 0;
    return false;
  }
  return ++ticks_without_majority_ >= 4 * std::uint64_t{options_.election_timeout_ticks_min};
}

bool Raft::quorum_in_contact() const {
  std::size_t in_contact = 1;  // this node itself
  for (const Peer& peer : peers_) {
    if (peer.progress.ticks_since_contact() < options_.election_timeout_ticks_min) ++in_contact;
  }
  return in_contact >= quorum_size(options_.voters.size());
}

Raft::Due Raft::due_for(const Progress& progress) const {
  if (!progress.link_up()) return Due::kNothing;
  const Index prev_index = progress.next_index().prev();
  if (prev_index < log_.first_index().prev()) {
    // What it needs next is gone here. It is kept from starting elections, at least.
    return progress.heartbeat_due() ? Due::kEmptyAtStart : Due::kNothing;
  }
  if (log_.last_index() > prev_index && progress.may_send_entries()) return Due::kEntries;
  // Passes a full window too: a follower with a slow disk must still know that its leader lives.
  return progress.empty_request_due() ? Due::kEmpty : Due::kNothing;
}

bool Raft::append_due(NodeId to) const {
  if (role_ != Role::kLeader) return false;
  const Progress* progress = this->progress(to);
  return progress != nullptr && due_for(*progress) != Due::kNothing;
}

std::optional<AppendPlan> Raft::plan_append(NodeId to) const {
  if (role_ != Role::kLeader) return std::nullopt;
  const Progress* progress = this->progress(to);
  if (progress == nullptr) return std::nullopt;
  switch (due_for(*progress)) {
    case Due::kNothing:
      return std::nullopt;
    case Due::kEmptyAtStart:
      return plan_empty(log_.first_index().prev());
    case Due::kEmpty:
      return plan_empty(progress->next_index().prev());
    case Due::kEntries:
      break;
  }
  AppendPlan plan = plan_empty(progress->next_index().prev());
  plan.last_index = log_.last_index();
  plan.bytes_max = progress->bytes_room();
  return plan;
}

std::optional<AppendPlan> Raft::plan_heartbeat(NodeId to) const {
  if (role_ != Role::kLeader) return std::nullopt;
  const Progress* progress = this->progress(to);
  if (progress == nullptr || !progress->link_up() || !progress->heartbeat_due()) return std::nullopt;
  return plan_empty(std::max(progress->next_index().prev(), log_.first_index().prev()));
}

AppendPlan Raft::plan_empty(Index prev_index) const {
  return {.request = {.term = hard_state_.term,
                      .prev_index = prev_index,
                      .prev_term = log_.known_term(prev_index),
                      .commit_index = commit_index_},
          .next_index = prev_index.next(),
          .last_index = prev_index,
          .bytes_max = 0};
}

void Raft::on_append_sent(NodeId to, Index last_sent, std::uint64_t size_bytes) {
  Peer* peer = find_peer(to);
  if (role_ != Role::kLeader || peer == nullptr) return;
  Progress& progress = peer->progress;
  if (size_bytes == 0) {
    const Index prev_index = std::max(progress.next_index().prev(), log_.first_index().prev());
    progress.on_empty_sent(prev_index, commit_index_);
  } else {
    SLUICE_CHECK(last_sent <= log_.last_index());
    progress.on_entries_sent(last_sent, size_bytes, commit_index_);
  }
}

void Raft::step(NodeId from, const AppendReply& reply) {
  Peer* peer = find_peer(from);
  if (peer == nullptr || !plausible(reply.term)) return;
  if (reply.term > hard_state_.term) return become_follower(reply.term);
  if (role_ != Role::kLeader || reply.term < hard_state_.term) return;
  peer->progress.on_contact();
  if (reply.rejected) {
    on_rejected(peer->progress, reply);
  } else if (reply.match_index <= log_.last_index()) {
    if (peer->progress.on_accepted(reply.match_index)) advance_commit();
  }
}

/// Raft §5.3, end: skips a whole term of the conflict at each step instead of one index. The
/// follower named the last place of its log that could match, and its term there; this log cannot
/// match it above its own last entry of a term as low as that.
void Raft::on_rejected(Progress& progress, const AppendReply& reply) {
  if (!progress.rejection_fits(reply.rejected_index)) return;
  if (reply.hint_index > reply.rejected_index) return;  // nonsense
  const Index at_most = std::min(reply.hint_index, reply.rejected_index.prev());
  const Index may_match = log_.last_index_with_term_at_most(at_most, reply.hint_term);
  // Equal index and term: the logs agree there. A lower term at the very place of the hint: they
  // do not, and the place is the follower's, so it may lie within a batch of this log. Anywhere
  // else it is the end of a term here, and so the end of a batch.
  const bool known_differ =
      may_match == reply.hint_index && log_.known_term(may_match) != reply.hint_term;
  progress.on_rejected(may_match, known_differ);
}

/// Raft §5.3, §5.4.2. Positions are durable ones, the own as much as the followers' (S7).
void Raft::advance_commit() {
  std::array<Index, kVotersMax> positions;
  std::size_t count = 0;
  positions[count++] = durable_index_;
  for (const Peer& peer : peers_) positions[count++] = peer.progress.counted_index();
  const Index reached = quorum_index(std::span(positions).first(count));
  if (reached > majority_index_) {
    majority_index_ = reached;
    ticks_without_majority_ = 0;
  }
  if (reached <= commit_index_) return;
  // An entry of an older term is not safe by its copies alone: a later leader may still overwrite
  // it (Figure 8, S1). It commits with the first entry of this term above it.
  if (!log_.has(reached, hard_state_.term)) return;
  commit_to(reached);
}

Index Raft::match_index_min() const {
  Index min = durable_index_;
  for (const Peer& peer : peers_) min = std::min(min, peer.progress.held_index());
  return min;
}

}  // namespace sluice::raft
