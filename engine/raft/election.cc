// Elections: time-outs and votes (Raft §5.2), the election restriction (§5.4.1), PreVote
// (dissertation §9.6) and stickiness to a leader that is heard (dissertation §4.2.3).
#include <bit>

#include "engine/raft/quorum.h"
#include "engine/raft/raft.h"
#include "wire/check.h"

namespace sluice::raft {

void Raft::tick_election() {
  ++ticks_since_leader_;
  if (++election_elapsed_ < election_timeout_) return;
  reset_election_timer();
  leader_ = kNoNode;
  // A disk that keeps a vote or entries waiting would keep the leader waiting that it makes (S23),
  // and a new attempt would only raise the term while the vote of the last one is not written yet.
  if (disk_stalled() || durable_hard_state_ != hard_state_) return;
  start_pre_vote();
}

/// Asks who would vote for this node before it raises its term, so that a node that cannot win
/// disturbs nobody (S15, S20, S21). Nothing is promised, so nothing needs to be durable.
void Raft::start_pre_vote() {
  role_ = Role::kPreCandidate;
  votes_ = 0;
  for (const Peer& peer : peers_) outbox_.vote_requests.push_back({peer.id, vote_request()});
  count_vote(options_.self);
}

/// Raft §5.2. The requests leave, and the own vote counts, when on_hard_state_durable() says that
/// the vote cannot be forgotten. After a crash before that the term is simply used again.
void Raft::start_election() {
  enter_term(hard_state_.term.next(), options_.self);
  role_ = Role::kCandidate;
  votes_ = 0;
  reset_election_timer();
}

VoteRequest Raft::vote_request() const {
  const bool pre_vote = role_ == Role::kPreCandidate;
  return {.term = pre_vote ? hard_state_.term.next() : hard_state_.term,
          .last_index = log_.last_index(),
          .last_term = log_.last_term(),
          .pre_vote = pre_vote};
}

void Raft::count_vote(NodeId from) {
  for (std::size_t i = 0; i < options_.voters.size(); ++i) {
    if (options_.voters[i] == from) votes_ |= 1u << i;
  }
  const auto granted = static_cast<std::size_t>(std::popcount(votes_));
  if (granted < quorum_size(options_.voters.size())) return;
  if (role_ == Role::kPreCandidate) {
    start_election();
  } else {
    become_leader();
  }
}

void Raft::step(NodeId from, const VoteReply& reply) {
  if (!is_peer(from) || !plausible(reply.term)) return;
  // A granted pre-vote names the term that was asked about, which is not anybody's term yet. Every
  // other reply names the sender's own. A refused pre-vote must be able to raise the term: of two
  // nodes, one with the longer log and one with the higher term, neither could win otherwise (S22).
  const bool senders_own_term = !(reply.pre_vote && reply.granted);
  if (senders_own_term && reply.term > hard_state_.term) {
    become_follower(reply.term);
    return;
  }
  if (!reply.granted) return;
  if (reply.pre_vote) {
    if (role_ == Role::kPreCandidate && reply.term == hard_state_.term.next()) count_vote(from);
  } else {
    if (role_ == Role::kCandidate && reply.term == hard_state_.term) count_vote(from);
  }
}

void Raft::step(NodeId from, const VoteRequest& request) {
  if (!is_peer(from) || !plausible(request.term)) return;
  if (request.pre_vote) {
    answer_pre_vote(from, request);
  } else {
    answer_vote(from, request);
  }
}

/// Whoever hears from a leader helps nobody to replace it, and does not take over the term
/// (dissertation §4.2.3). A leader that lost its followers steps down by itself (tick_leader()), so
/// this ends.
bool Raft::hears_leader() const {
  if (role_ == Role::kLeader) return true;
  return leader_ != kNoNode && ticks_since_leader_ < options_.election_timeout_ticks_min;
}

/// Raft §5.4.1: the later last term wins; of equal ones, the longer log (S4).
bool Raft::log_up_to_date(const VoteRequest& request) const {
  if (request.last_term != log_.last_term()) return request.last_term > log_.last_term();
  return request.last_index >= log_.last_index();
}

void Raft::answer_pre_vote(NodeId from, const VoteRequest& request) {
  // Would a vote be given in that term? In a later one it is free.
  const bool vote_free =
      request.term > hard_state_.term ||
      (request.term == hard_state_.term &&
       (hard_state_.vote == from || (hard_state_.vote == kNoNode && term_leader_ == kNoNode)));
  const bool granted = vote_free && !hears_leader() && log_up_to_date(request);
  outbox_.vote_replies.push_back(
      {from,
       {.term = granted ? request.term : hard_state_.term, .granted = granted, .pre_vote = true}});
}

void Raft::answer_vote(NodeId from, const VoteRequest& request) {
  if (!hears_leader() && request.term > hard_state_.term) become_follower(request.term);
  const bool vote_free =
      request.term == hard_state_.term &&
      (hard_state_.vote == from || (hard_state_.vote == kNoNode && term_leader_ == kNoNode));
  if (!vote_free || hears_leader() || !log_up_to_date(request)) {
    outbox_.vote_replies.push_back({from, {.term = hard_state_.term}});
    return;
  }
  if (hard_state_.vote == kNoNode) {
    hard_state_.vote = from;
    outbox_.hard_state_changed = true;
    // The candidate gets its time: no attempt of the own goes on beside it. And the time-out is drawn
    // anew, as the candidate's is: with a long one that stays, this node would come second in every
    // term to a candidate that never wins, and may be the only one that could (S23).
    role_ = Role::kFollower;
    votes_ = 0;
    reset_election_timer();
  }
  pending_grant_ = from;
  grant_if_durable();
}

/// Sends the grant that waits, once a crash cannot make this node forget it (S3).
void Raft::grant_if_durable() {
  if (pending_grant_ == kNoNode || durable_hard_state_ != hard_state_) return;
  SLUICE_CHECK(hard_state_.vote == pending_grant_);
  outbox_.vote_replies.push_back({pending_grant_, {.term = hard_state_.term, .granted = true}});
  pending_grant_ = kNoNode;
}

}  // namespace sluice::raft
