#include "engine/raft/invariants.h"

#include <algorithm>

namespace sluice::raft {

const char* Invariants::check(const Raft& raft) {
  const char* broken = check_log(raft);
  if (broken == nullptr) broken = check_role(raft);
  if (broken == nullptr) broken = check_following(raft);
  if (broken == nullptr && raft.role() == Role::kLeader) broken = check_leading(raft);
  if (broken == nullptr && last_) broken = check_step(raft);
  remember(raft);
  return broken;
}

const char* Invariants::check_log(const Raft& raft) {
  const LogView& log = raft.log_;
  if (raft.commit_index_.next() < log.first_index()) return "commit_index below the log";
  if (raft.commit_index_ > log.last_index()) return "commit_index above the log";
  if (raft.durable_index_ > log.last_index()) return "durable_index above the log";
  if (log.last_term() > raft.hard_state_.term) return "an entry of a term not entered yet";
  if (raft.durable_hard_state_.term > raft.hard_state_.term)
    return "a term from the future durable";
  return nullptr;
}

const char* Invariants::check_role(const Raft& raft) {
  const NodeId self = raft.options_.self;
  const bool stands = raft.role_ == Role::kCandidate || raft.role_ == Role::kLeader;
  if (stands && raft.hard_state_.vote != self) return "a candidate that voted for another";
  if (raft.role_ == Role::kLeader) {
    if (raft.durable_hard_state_ != raft.hard_state_) return "a leader whose vote is not durable";
    if (raft.leader_ != self) return "a leader that follows another";
  } else {
    if (raft.leader_ == self) return "a follower that follows itself";
    if (raft.noop_due_) return "a no-op due without leadership";
  }
  const bool campaigns = raft.role_ == Role::kPreCandidate || raft.role_ == Role::kCandidate;
  if (campaigns && raft.leader_ != kNoNode) return "a candidate that knows a leader";
  return nullptr;
}

const char* Invariants::check_following(const Raft& raft) {
  if (raft.verified_index_ > raft.log_.last_index()) return "verified beyond the log";
  if (raft.answered_index_ > raft.acknowledged_index()) {
    return "acknowledged what is not durable or not verified";
  }
  return nullptr;
}

const char* Invariants::check_leading(const Raft& raft) {
  for (const auto& peer : raft.peers_) {
    const Progress& progress = peer.progress;
    if (progress.held_index() > progress.match_index()) return "held_index above match_index";
    if (progress.match_index() > raft.log_.last_index()) return "match_index above the log";
    if (progress.held_index() >= progress.next_index()) return "next_index not above held_index";
    if (progress.next_index() > raft.log_.last_index().next()) return "next_index above the log";
    if (!progress.regressed() && progress.held_index() != progress.match_index()) {
      return "held_index below match_index without a regression";
    }
  }
  return nullptr;
}

const char* Invariants::check_step(const Raft& raft) const {
  const HardState& now = raft.hard_state_;
  if (now.term < last_->hard_state.term) return "the term fell";
  const bool same_term = now.term == last_->hard_state.term;
  if (same_term && last_->hard_state.vote != kNoNode && now.vote != last_->hard_state.vote) {
    return "a vote changed within its term";
  }
  if (raft.commit_index_ < last_->commit_index) return "commit_index fell";
  if (raft.log_.first_index() < last_->first_index) return "first_index fell";
  if (!same_term || last_->role != Role::kLeader) return nullptr;
  if (raft.log_.last_index() < last_->last_index && raft.role_ == Role::kLeader) {
    return "a leader's log got shorter";
  }
  if (raft.commit_index_ > last_->commit_index && raft.role_ == Role::kLeader &&
      raft.log_.term_at(raft.commit_index_) != now.term) {
    return "a leader committed an entry of an older term by its copies";
  }
  for (std::size_t i = 0; i < raft.peers_.size() && raft.role_ == Role::kLeader; ++i) {
    if (raft.peers_[i].progress.match_index() < last_->match_indexes[i]) return "match_index fell";
  }
  return nullptr;
}

void Invariants::remember(const Raft& raft) {
  if (!last_) last_ = Snapshot();
  last_->hard_state = raft.hard_state_;
  last_->role = raft.role_;
  last_->first_index = raft.log_.first_index();
  last_->last_index = raft.log_.last_index();
  last_->commit_index = raft.commit_index_;
  last_->match_indexes.clear();
  for (const auto& peer : raft.peers_) {
    last_->match_indexes.push_back(peer.progress.match_index());
  }
}

}  // namespace sluice::raft
