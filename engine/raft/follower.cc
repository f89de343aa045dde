// Following: AppendEntries (Raft §5.3, Figure 2) and its answers.
#include <algorithm>

#include "engine/raft/raft.h"
#include "wire/check.h"

namespace sluice::raft {

namespace {

/// What any correct leader's request looks like. The caller has checked that the batches follow
/// each other; a frame that contradicts itself is ignored, not believed and not a reason to crash.
bool well_formed(const AppendRequest& request, std::span<const BatchInfo> batches) {
  if (request.term == Term{} || request.prev_term > request.term) return false;
  Index next = request.prev_index.next();
  Term term = request.prev_term;
  for (const BatchInfo& batch : batches) {
    const bool fits = batch.entry_count > 0 && batch.first_index == next && next > Index{} &&
                      batch.term >= term && batch.term <= request.term;
    if (!fits || batch.last_index() < next) return false;
    next = batch.last_index().next();
    term = batch.term;
  }
  return true;
}

}  // namespace

AppendDecision Raft::step(NodeId from, const AppendRequest& request,
                          std::span<const BatchInfo> batches) {
  if (!is_peer(from) || !plausible(request.term) || !well_formed(request, batches)) return {};
  if (request.term < hard_state_.term) {
    refuse_stale_leader(from, request);
    return {};
  }
  follow(from, request.term);
  if (!matches(request)) {
    answer_rejected(request.prev_index, request.prev_term);
    return {};
  }
  return take(request, batches);
}

void Raft::hear(NodeId from, const AppendRequest& request) {
  if (!is_peer(from) || !plausible(request.term) || !well_formed(request, {})) return;
  if (request.term < hard_state_.term) return refuse_stale_leader(from, request);
  follow(from, request.term);
}

void Raft::follow(NodeId leader, Term term) {
  if (term > hard_state_.term) become_follower(term);
  // S2: whoever goes on here serves two histories.
  SLUICE_CHECK((term_leader_ == kNoNode || term_leader_ == leader) &&
               "two leaders in one term (S2)");
  role_ = Role::kFollower;
  // Drawn anew, for a node that stays away from the office (step_down()) need not do so beside a leader.
  if (leader_ != leader) reset_election_timer();
  leader_ = term_leader_ = leader;
  votes_ = 0;
  election_elapsed_ = 0;
  ticks_since_leader_ = 0;
}

/// The consistency check (Raft §5.3): by the Log Matching property, equal term at prev_index means
/// equal logs up to there. Up to the commit index every leader's log is the same anyway (Leader
/// Completeness, §5.4.3), also where this node has trimmed it away.
bool Raft::matches(const AppendRequest& request) const {
  if (log_.has(request.prev_index, request.prev_term)) return true;
  if (request.prev_index > commit_index_) return false;
  SLUICE_CHECK(!log_.term_at(request.prev_index) && "a leader contradicts a committed entry");
  return true;
}

/// Batches are immutable, so the last entry stands for the whole.
bool Raft::has(const BatchInfo& batch) const {
  if (log_.has(batch.last_index(), batch.term)) return true;
  if (batch.last_index() > commit_index_) return false;
  SLUICE_CHECK(!log_.term_at(batch.last_index()) && "a leader contradicts a committed entry");
  return true;
}

AppendDecision Raft::take(const AppendRequest& request, std::span<const BatchInfo> batches) {
  AppendDecision decision{.accepted = true};
  while (decision.first_new < batches.size() && has(batches[decision.first_new])) {
    ++decision.first_new;
  }
  const auto fresh = batches.subspan(decision.first_new);
  if (!fresh.empty() && fresh.front().first_index <= log_.last_index()) {
    // A second overwriting has to wait for the first to reach the disk; the leader asks again with
    // its next heartbeat. See truncate_from().
    if (unsettled_from_) {
      decision.accepted = false;
      return decision;
    }
    decision.truncate_from = fresh.front().first_index;
    truncate_from(*decision.truncate_from);
  }
  for (const BatchInfo& batch : fresh) {
    SLUICE_CHECK(batch.first_index == log_.last_index().next());
    log_.append(batch.term, batch.entry_count);
    uncommitted_.add(log_.last_index(), batch.size_bytes);
  }

  const Index verified = batches.empty() ? request.prev_index : batches.back().last_index();
  verified_index_ = std::max(verified_index_, verified);
  // S8: the leader's commit index may lie beyond what was compared with its log.
  const Index commit_index = std::min(request.commit_index, verified_index_);
  if (commit_index > commit_index_) commit_to(commit_index);

  // What is new is answered when it is durable. A heartbeat is answered at once, with what is
  // durable so far: the leader sees that this node lives.
  const bool nothing_to_wait_for = batches.empty() || verified <= durable_index_;
  if (nothing_to_wait_for || acknowledged_index() > answered_index_) answer_accepted();
  return decision;
}

/// Drops the conflicting suffix (Raft §5.3, S5).
///
/// If some of it is still on its way to the disk, its completions are yet to come. on_durable()
/// tells them by their term from what stands there now: the logs differ at `from`, so by Log
/// Matching no entry from there on has both index and term in common with a dropped one. With a
/// third history on top that argument would fail (the third may equal the first, and the completion
/// of the first write would be taken for that of the third, while the disk still ends with the
/// second: S6). Hence unsettled_from_: until something at or behind `from` is durable nothing is
/// truncated again.
void Raft::truncate_from(Index from) {
  SLUICE_CHECK(from > commit_index_ && "a leader contradicts a committed entry");
  SLUICE_CHECK(from > verified_index_);
  if (log_.last_index() > durable_index_) unsettled_from_ = from;
  log_.truncate_from(from);
  uncommitted_.truncate_from(from);
  durable_index_ = std::min(durable_index_, from.prev());
}

/// What may be acknowledged to the leader: durable, and known to be equal to its log.
Index Raft::acknowledged_index() const { return std::min(durable_index_, verified_index_); }

void Raft::answer_accepted() {
  answered_index_ = acknowledged_index();
  pending_answer_ = {leader_, {.term = hard_state_.term, .match_index = answered_index_}};
  emit_pending_answers();
}

/// The hint (Raft §5.3, end): the largest index at which this log may still equal the leader's.
/// Where its term is above prev_term it cannot, terms never fall along a log.
void Raft::answer_rejected(Index rejected_index, Term prev_term) {
  const Index hint_index = log_.last_index_with_term_at_most(rejected_index, prev_term);
  pending_answer_ = {leader_,
                     {.term = hard_state_.term,
                      .rejected = true,
                      .rejected_index = rejected_index,
                      .hint_index = hint_index,
                      .hint_term = log_.known_term(hint_index)}};
  emit_pending_answers();
}

/// Raft §5.1: a leader of the past learns the new term from the refusal. Without an answer two
/// nodes could deadlock, one with a term that the others will not take over (S22).
void Raft::refuse_stale_leader(NodeId from, const AppendRequest& request) {
  pending_refusal_ = {
      from, {.term = hard_state_.term, .rejected = true, .rejected_index = request.prev_index}};
  emit_pending_answers();
}

/// Answers name a term, so they wait until this node cannot forget it any more. One slot is
/// enough: positions are cumulative, the newest says all.
void Raft::emit_pending_answers() {
  if (durable_hard_state_.term < hard_state_.term) return;
  if (pending_refusal_) {
    outbox_.append_replies.push_back({pending_refusal_->to, pending_refusal_->reply});
    pending_refusal_.reset();
  }
  if (!pending_answer_) return;
  Outbox::AppendAnswer answer{pending_answer_->to, pending_answer_->reply};
  pending_answer_.reset();
  auto& replies = outbox_.append_replies;
  const bool replaces_last = !answer.reply.rejected && !replies.empty() &&
                             replies.back().to == answer.to && !replies.back().reply.rejected &&
                             replies.back().reply.term == answer.reply.term;
  if (replaces_last) {
    replies.back() = answer;
  } else {
    replies.push_back(answer);
  }
}

}  // namespace sluice::raft
