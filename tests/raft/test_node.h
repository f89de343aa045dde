// Short words for tests of a single Raft node: what it is told, and what it wants to say.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <utility>
#include <vector>

#include "engine/raft/raft.h"

namespace sluice::raft {

inline constexpr std::uint32_t kTicksMin = 10;
inline constexpr std::uint32_t kHeartbeatTicks = 2;
inline constexpr std::uint32_t kBytes = 100;  // of a batch

inline NodeId node(std::uint32_t id) { return NodeId(id); }

/// Node 1 of a cluster of `voters`.
inline Options options_for(std::uint32_t voters, std::uint32_t self = 1) {
  Options options;
  options.self = NodeId(self);
  for (std::uint32_t id = 1; id <= voters; ++id) options.voters.push_back(NodeId(id));
  options.election_timeout_ticks_min = kTicksMin;
  options.heartbeat_ticks = kHeartbeatTicks;
  options.inflight_requests_max = 4;
  options.inflight_bytes_max = 10 * kBytes;
  options.uncommitted_bytes_max = 20 * kBytes;
  return options;
}

/// A log with one entry for each term given, from index 1.
inline LogView log_of(std::initializer_list<std::uint64_t> terms) {
  LogView log;
  for (const std::uint64_t term : terms) log.append(Term(term), 1);
  return log;
}

inline std::vector<std::uint64_t> terms_of(const LogView& log) {
  std::vector<std::uint64_t> terms;
  for (Index i = log.first_index(); i <= log.last_index(); i = i.next()) {
    terms.push_back(log.term_at(i)->value());
  }
  return terms;
}

/// Batches of one entry each, that follow `prev_index`.
inline std::vector<BatchInfo> batches_of(std::uint64_t prev_index,
                                         std::initializer_list<std::uint64_t> terms) {
  std::vector<BatchInfo> batches;
  for (const std::uint64_t term : terms) {
    batches.push_back({Term(term), Index(++prev_index), 1, kBytes});
  }
  return batches;
}

inline Raft make_follower(std::uint32_t voters, std::uint64_t term,
                          std::initializer_list<std::uint64_t> terms = {}, NodeId vote = kNoNode) {
  return Raft(options_for(voters), {Term(term), vote}, log_of(terms));
}

/// What the node wants done since the last look.
inline Outbox take_outbox(Raft& raft) {
  Outbox taken = raft.outbox();
  raft.outbox().clear();
  return taken;
}

inline void hard_state_durable(Raft& raft) { raft.on_hard_state_durable(raft.hard_state()); }
inline void log_durable(Raft& raft) {
  raft.on_durable(raft.log().last_index(), raft.log().last_term());
}

inline void tick(Raft& raft, std::uint32_t times) {
  for (; times > 0; --times) raft.tick();
}

/// Ticks until the node asks for pre-votes.
inline void time_out(Raft& raft) {
  const Term term = raft.term();
  for (std::uint32_t i = 0; i < 2 * kTicksMin; ++i) {
    raft.tick();
    // A node alone is a candidate at once.
    if (!raft.outbox().vote_requests.empty() || raft.term() > term) return;
  }
  FAIL() << "no election within the longest time-out";
}

inline void grant(Raft& raft, std::uint32_t from, bool pre_vote) {
  const Term term = pre_vote ? raft.term().next() : raft.term();
  raft.step(NodeId(from), VoteReply{.term = term, .granted = true, .pre_vote = pre_vote});
}

/// A candidate whose own vote is durable, with no other vote yet.
inline void make_candidate(Raft& raft, std::uint32_t voters) {
  time_out(raft);
  for (std::uint32_t id = 2; id <= voters / 2 + 1; ++id) grant(raft, id, true);
  ASSERT_EQ(raft.role(), Role::kCandidate);
  hard_state_durable(raft);
}

/// A leader with all links up, before its no-op.
inline void make_leader_without_noop(Raft& raft, std::uint32_t voters) {
  for (std::uint32_t id = 2; id <= voters; ++id) raft.on_link_up(NodeId(id));
  make_candidate(raft, voters);
  for (std::uint32_t id = 2; id <= voters / 2 + 1; ++id) grant(raft, id, false);
  ASSERT_EQ(raft.role(), Role::kLeader);
  raft.outbox().clear();
}

inline void make_leader(Raft& raft, std::uint32_t voters) {
  make_leader_without_noop(raft, voters);
  static_cast<void>(raft.propose_noop(kBytes));
}

/// Proposes one batch of one entry.
inline Proposal propose(Raft& raft) {
  const Result<Proposal> proposal = raft.propose(1, kBytes);
  EXPECT_TRUE(proposal.has_value());
  return proposal.value_or(Proposal{});
}

/// Sends what is planned for `to`, everything up to the end of the log in one request.
inline std::optional<AppendPlan> send_all(Raft& raft, std::uint32_t to) {
  const std::optional<AppendPlan> plan = raft.plan_append(NodeId(to));
  if (!plan) return plan;
  const bool empty = plan->last_index < plan->next_index;
  raft.on_append_sent(NodeId(to), plan->last_index,
                      empty ? 0 : kBytes * (plan->last_index - plan->request.prev_index));
  return plan;
}

inline void accept(Raft& raft, std::uint32_t from, Index match_index) {
  raft.step(NodeId(from), AppendReply{.term = raft.term(), .match_index = match_index});
}

inline void reject(Raft& raft, std::uint32_t from, std::uint64_t rejected, std::uint64_t hint_index,
                   std::uint64_t hint_term) {
  raft.step(NodeId(from), AppendReply{.term = raft.term(),
                                      .rejected = true,
                                      .rejected_index = Index(rejected),
                                      .hint_index = Index(hint_index),
                                      .hint_term = Term(hint_term)});
}

/// An AppendEntries from node 2 unless said otherwise.
struct Append {
  std::uint64_t term = 0;
  std::uint64_t prev_index = 0;
  std::uint64_t prev_term = 0;
  std::uint64_t commit_index = 0;
  std::uint32_t from = 2;
};
inline AppendDecision append(Raft& raft, const Append& a,
                             std::initializer_list<std::uint64_t> terms = {}) {
  const std::vector<BatchInfo> batches = batches_of(a.prev_index, terms);
  return raft.step(NodeId(a.from),
                   AppendRequest{.term = Term(a.term),
                                 .prev_index = Index(a.prev_index),
                                 .prev_term = Term(a.prev_term),
                                 .commit_index = Index(a.commit_index)},
                   batches);
}

/// A vote request from node 2 unless said otherwise.
struct Ask {
  std::uint64_t term = 0;
  std::uint64_t last_index = 0;
  std::uint64_t last_term = 0;
  bool pre_vote = false;
  std::uint32_t from = 2;
};
inline void ask(Raft& raft, const Ask& a) {
  raft.step(NodeId(a.from), VoteRequest{.term = Term(a.term),
                                        .last_index = Index(a.last_index),
                                        .last_term = Term(a.last_term),
                                        .pre_vote = a.pre_vote});
}

/// The one answer to a vote request that is in the outbox, if there is one.
inline std::optional<VoteReply> take_vote_reply(Raft& raft) {
  const Outbox outbox = take_outbox(raft);
  EXPECT_LE(outbox.vote_replies.size(), 1u);
  if (outbox.vote_replies.empty()) return std::nullopt;
  return outbox.vote_replies.front().reply;
}

inline std::optional<AppendReply> take_append_reply(Raft& raft) {
  const Outbox outbox = take_outbox(raft);
  EXPECT_LE(outbox.append_replies.size(), 1u);
  if (outbox.append_replies.empty()) return std::nullopt;
  return outbox.append_replies.front().reply;
}

}  // namespace sluice::raft
