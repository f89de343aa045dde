// The rules of the Raft paper (Ongaro and Ousterhout, extended version, 2014), section by section.
#include <set>

#include "tests/raft/test_node.h"

namespace sluice::raft {
namespace {

// --- §5.1 Raft basics
// ------------------------------------------------------------------------------

TEST(RaftPaper, S5_1_StartsAsFollowerInTheTermItRemembers) {
  Raft raft = make_follower(3, 4, {1, 2});
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_EQ(raft.term(), Term(4));
  EXPECT_EQ(raft.leader(), kNoNode);
  EXPECT_EQ(raft.commit_index(), Index(0));
  EXPECT_EQ(raft.durable_index(), Index(2));
}

TEST(RaftPaper, S5_1_AnyoneTakesOverAHigherTermFromALeader) {
  for (const bool leading : {false, true}) {
    Raft raft = make_follower(3, 1);
    if (leading) make_leader(raft, 3);
    append(raft, {.term = 9});
    EXPECT_EQ(raft.term(), Term(9));
    EXPECT_EQ(raft.role(), Role::kFollower);
    EXPECT_EQ(raft.leader(), node(2));
    EXPECT_TRUE(raft.outbox().hard_state_changed);
  }
}

TEST(RaftPaper, S5_1_AFollowerTakesOverAHigherTermFromACandidate) {
  Raft raft = make_follower(3, 1, {1});
  ask(raft, {.term = 5, .last_index = 0, .last_term = 0});
  EXPECT_EQ(raft.term(), Term(5));
  EXPECT_EQ(raft.hard_state().vote, kNoNode) << "the candidate's log is shorter";
}

TEST(RaftPaper, S5_1_ALeaderStepsDownWhenAReplyNamesAHigherTerm) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  raft.step(node(3), AppendReply{.term = Term(7), .rejected = true});
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_EQ(raft.term(), Term(7));
  EXPECT_EQ(raft.leader(), kNoNode);
  EXPECT_EQ(raft.plan_append(node(2)), std::nullopt);
  EXPECT_EQ(raft.propose(1, kBytes).error(), Errc::kNotLeader);
}

TEST(RaftPaper, S5_1_ACandidateStepsDownWhenAReplyNamesAHigherTerm) {
  Raft raft = make_follower(3, 1);
  make_candidate(raft, 3);
  raft.step(node(3), VoteReply{.term = Term(7)});
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_EQ(raft.term(), Term(7));
}

TEST(RaftPaper, S5_1_RequestsOfAnOldTermAreRefusedWithTheNewOne) {
  Raft raft = make_follower(3, 5, {1});
  const AppendDecision decision = append(raft, {.term = 4, .prev_index = 1, .prev_term = 1}, {4});
  EXPECT_FALSE(decision.accepted);
  EXPECT_EQ(raft.log().last_index(), Index(1));
  const auto reply = take_append_reply(raft);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->rejected);
  EXPECT_EQ(reply->term, Term(5));

  ask(raft, {.term = 4, .last_index = 9, .last_term = 4});
  const auto vote = take_vote_reply(raft);
  ASSERT_TRUE(vote);
  EXPECT_FALSE(vote->granted);
  EXPECT_EQ(vote->term, Term(5));
}

TEST(RaftPaper, S5_1_RepliesOfAnOldTermAreIgnored) {
  Raft raft = make_follower(3, 5);
  make_candidate(raft, 3);
  raft.step(node(2), VoteReply{.term = Term(5), .granted = true});
  EXPECT_EQ(raft.role(), Role::kCandidate);
  grant(raft, 2, false);
  ASSERT_EQ(raft.role(), Role::kLeader);
  static_cast<void>(raft.propose_noop(kBytes));
  log_durable(raft);
  raft.on_link_up(node(2));
  send_all(raft, 2);
  raft.step(node(2), AppendReply{.term = Term(5), .match_index = Index(1)});
  EXPECT_EQ(raft.commit_index(), Index(0));
}

// --- §5.2 Leader election
// --------------------------------------------------------------------------

TEST(RaftPaper, S5_2_AFollowerThatHearsNothingCampaigns) {
  Raft raft = make_follower(3, 3, {1, 3});
  time_out(raft);
  Outbox outbox = take_outbox(raft);
  ASSERT_EQ(outbox.vote_requests.size(), 2u);
  EXPECT_TRUE(outbox.vote_requests[0].request.pre_vote);
  EXPECT_EQ(outbox.vote_requests[0].request.term, Term(4));
  EXPECT_EQ(raft.term(), Term(3)) << "a pre-vote raises no term";

  grant(raft, 3, true);
  EXPECT_EQ(raft.role(), Role::kCandidate);
  EXPECT_EQ(raft.hard_state(), (HardState{Term(4), node(1)}));
  hard_state_durable(raft);
  outbox = take_outbox(raft);
  ASSERT_EQ(outbox.vote_requests.size(), 2u);
  std::set<NodeId> asked;
  for (const auto& [to, request] : outbox.vote_requests) {
    asked.insert(to);
    EXPECT_FALSE(request.pre_vote);
    EXPECT_EQ(request.term, Term(4));
    EXPECT_EQ(request.last_index, Index(2));
    EXPECT_EQ(request.last_term, Term(3));
  }
  EXPECT_EQ(asked, (std::set<NodeId>{node(2), node(3)}));
}

TEST(RaftPaper, S5_2_AMajorityOfVotesWinsInClustersOfAnySize) {
  for (std::uint32_t voters = 1; voters <= 7; ++voters) {
    Raft raft = make_follower(voters, 0);
    time_out(raft);
    for (std::uint32_t votes = 1;; ++votes) {
      const bool majority = votes > voters / 2;
      ASSERT_EQ(raft.role() == Role::kCandidate, majority) << votes << " of " << voters;
      if (majority) break;
      grant(raft, votes + 1, true);
    }
    hard_state_durable(raft);
    for (std::uint32_t votes = 1;; ++votes) {
      const bool majority = votes > voters / 2;
      ASSERT_EQ(raft.role() == Role::kLeader, majority) << votes << " of " << voters;
      if (majority) break;
      grant(raft, votes + 1, false);
    }
    EXPECT_EQ(raft.leader(), node(1));
    EXPECT_EQ(raft.term(), Term(1));
  }
}

TEST(RaftPaper, S5_2_AVoterCountsOnce) {
  Raft raft = make_follower(5, 0);
  time_out(raft);
  grant(raft, 2, true);
  grant(raft, 2, true);
  EXPECT_EQ(raft.role(), Role::kPreCandidate);
  grant(raft, 3, true);
  hard_state_durable(raft);
  grant(raft, 2, false);
  grant(raft, 2, false);
  EXPECT_EQ(raft.role(), Role::kCandidate);
}

TEST(RaftPaper, S5_2_VotesFirstComeFirstServedAndOnceATerm) {
  Raft raft = make_follower(3, 1);
  ask(raft, {.term = 2, .from = 2});
  hard_state_durable(raft);
  EXPECT_TRUE(take_vote_reply(raft).value().granted);
  ask(raft, {.term = 2, .last_index = 9, .last_term = 1, .from = 3});
  EXPECT_FALSE(take_vote_reply(raft).value().granted);
  ask(raft, {.term = 2, .from = 2});
  EXPECT_TRUE(take_vote_reply(raft).value().granted) << "the same vote may be told again";
}

TEST(RaftPaper, S5_2_AVoteIsRememberedAcrossARestart) {
  Raft raft = make_follower(3, 2, {}, node(3));
  ask(raft, {.term = 2, .from = 2});
  EXPECT_FALSE(take_vote_reply(raft).value().granted);
}

TEST(RaftPaper, S5_2_ACandidateFollowsTheLeaderOfItsTerm) {
  Raft raft = make_follower(3, 1);
  make_candidate(raft, 3);
  append(raft, {.term = 2, .from = 3});
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_EQ(raft.leader(), node(3));
  EXPECT_EQ(raft.hard_state(), (HardState{Term(2), node(1)})) << "its own vote stays given";
  grant(raft, 2, false);
  EXPECT_EQ(raft.role(), Role::kFollower);
}

TEST(RaftPaper, S5_2_AnElectionWithoutAWinnerIsRepeatedInANewTerm) {
  Raft raft = make_follower(3, 1);
  make_candidate(raft, 3);
  take_outbox(raft);
  time_out(raft);
  EXPECT_EQ(raft.role(), Role::kPreCandidate);
  grant(raft, 3, true);
  EXPECT_EQ(raft.term(), Term(3));
}

TEST(RaftPaper, S5_2_HeartbeatsKeepAFollowerFromCampaigning) {
  Raft raft = make_follower(3, 1);
  for (int i = 0; i < 50; ++i) {
    append(raft, {.term = 1});
    tick(raft, kTicksMin - 1);
  }
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_TRUE(take_outbox(raft).vote_requests.empty());
}

TEST(RaftPaper, S5_2_ALeaderSendsHeartbeatsAtItsInterval) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  send_all(raft, 2);
  accept(raft, 2, Index(1));
  for (int i = 0; i < 3; ++i) {
    tick(raft, kHeartbeatTicks - 1);
    EXPECT_EQ(send_all(raft, 2), std::nullopt);
    tick(raft, 1);
    const auto heartbeat = send_all(raft, 2);
    ASSERT_TRUE(heartbeat);
    EXPECT_LT(heartbeat->last_index, heartbeat->next_index) << "empty";
    EXPECT_EQ(heartbeat->request.prev_index, Index(1));
    EXPECT_EQ(send_all(raft, 2), std::nullopt) << "one is enough";
    accept(raft, 2, Index(1));
    accept(raft, 3, Index(0));
  }
}

/// Ticks until the next attempt.
std::uint32_t attempt_after(Raft& raft) {
  raft.outbox().clear();
  std::uint32_t ticks = 0;
  while (raft.outbox().vote_requests.empty() && ticks < 1000) {
    raft.tick();
    ++ticks;
  }
  return ticks;
}

TEST(RaftPaper, S5_2_TimeOutsAreRandomWithinBoundsAndDrawnAnewForEachAttempt) {
  Raft raft = make_follower(3, 1);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 300; ++i) {
    const std::uint32_t ticks = attempt_after(raft);
    EXPECT_GE(ticks, kTicksMin);
    EXPECT_LT(ticks, 2 * kTicksMin);
    seen.insert(ticks);
  }
  EXPECT_EQ(seen.size(), kTicksMin) << "every value of the range is drawn";
}

TEST(RaftPaper, S5_2_NodesWithTheSameSeedTimeOutDifferently) {
  std::set<std::vector<std::uint32_t>> sequences;
  for (std::uint32_t self = 1; self <= 7; ++self) {
    Raft raft(options_for(7, self), {}, LogView());
    std::vector<std::uint32_t> sequence;
    for (int i = 0; i < 10; ++i) sequence.push_back(attempt_after(raft));
    sequences.insert(sequence);
  }
  EXPECT_EQ(sequences.size(), 7u);
}

// --- §5.3 Log replication
// --------------------------------------------------------------------------

TEST(RaftPaper, S5_3_ALeaderAppendsProposalsAndSendsThemBehindTheEntryBefore) {
  Raft raft = make_follower(3, 1, {1});
  make_leader(raft, 3);
  const Proposal proposal = propose(raft);
  EXPECT_EQ(proposal.term, Term(2));
  EXPECT_EQ(proposal.first_index, Index(3));
  const auto plan = raft.plan_append(node(2));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->request.term, Term(2));
  EXPECT_EQ(plan->request.prev_index, Index(1));
  EXPECT_EQ(plan->request.prev_term, Term(1));
  EXPECT_EQ(plan->next_index, Index(2));
  EXPECT_EQ(plan->last_index, Index(3));
}

TEST(RaftPaper, S5_3_AnEntryIsCommittedWhenAMajorityHoldsIt) {
  for (std::uint32_t voters = 1; voters <= 7; ++voters) {
    Raft raft = make_follower(voters, 0);
    make_leader(raft, voters);
    for (std::uint32_t copies = 1; copies <= voters; ++copies) {
      if (copies == 1) {
        log_durable(raft);
      } else {
        send_all(raft, copies);
        accept(raft, copies, Index(1));
      }
      EXPECT_EQ(raft.commit_index(), Index(copies > voters / 2 ? 1 : 0))
          << copies << " of " << voters;
    }
  }
}

TEST(RaftPaper, S5_3_CommittingAnEntryCommitsAllBeforeIt) {
  Raft raft = make_follower(3, 2, {1, 2});
  make_leader(raft, 3);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(3));
  EXPECT_EQ(raft.commit_index(), Index(3));
}

TEST(RaftPaper, S5_3_FollowersLearnTheCommitIndex) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1, .commit_index = 1}, {1, 1});
  EXPECT_EQ(raft.commit_index(), Index(1));
  append(raft, {.term = 1, .prev_index = 2, .prev_term = 1, .commit_index = 2});
  EXPECT_EQ(raft.commit_index(), Index(2));
  append(raft, {.term = 1, .prev_index = 2, .prev_term = 1, .commit_index = 1});
  EXPECT_EQ(raft.commit_index(), Index(2)) << "it never falls";
}

TEST(RaftPaper, S5_3_AnIdleLeaderTellsTheCommitIndexWithoutWaitingForAHeartbeat) {
  Raft raft = make_follower(3, 0);
  make_leader(raft, 3);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(1));
  ASSERT_EQ(raft.commit_index(), Index(1));
  EXPECT_EQ(raft.plan_append(node(2)), std::nullopt);
  raft.tick();
  const auto plan = send_all(raft, 2);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->request.commit_index, Index(1));
}

TEST(RaftPaper, S5_3_TheConsistencyCheckComparesTheEntryBefore) {
  struct {
    std::uint64_t prev_index, prev_term;
    bool accepted;
  } const cases[] = {
      {0, 0, true},  {1, 1, true},  {2, 2, true},   // equal
      {1, 2, false}, {2, 1, false}, {2, 3, false},  // another term
      {3, 2, false}, {9, 3, false},                 // missing
  };
  for (const auto& c : cases) {
    Raft raft = make_follower(3, 3, {1, 2});
    const AppendDecision decision =
        append(raft, {.term = 3, .prev_index = c.prev_index, .prev_term = c.prev_term});
    EXPECT_EQ(decision.accepted, c.accepted) << c.prev_index << " " << c.prev_term;
    const auto reply = take_append_reply(raft);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->rejected, !c.accepted);
    if (reply->rejected) {
      EXPECT_EQ(reply->rejected_index, Index(c.prev_index));
      EXPECT_LE(reply->hint_index, Index(c.prev_index));
      EXPECT_EQ(raft.log().term_at(reply->hint_index), reply->hint_term);
      EXPECT_LE(reply->hint_term, Term(c.prev_term));
    } else {
      EXPECT_EQ(reply->match_index, Index(c.prev_index));
    }
  }
}

TEST(RaftPaper, S5_3_AConflictingSuffixIsDeletedAndAnEqualOneKept) {
  struct {
    std::vector<std::uint64_t> before;
    std::uint64_t prev_index, prev_term;
    std::initializer_list<std::uint64_t> sent;
    std::uint64_t truncate_from;  // 0: nothing
    std::size_t first_new;
    std::vector<std::uint64_t> after;
  } const cases[] = {
      {{1, 2}, 2, 2, {3}, 0, 0, {1, 2, 3}},           // simply behind
      {{1, 2}, 1, 1, {3, 4}, 2, 0, {1, 3, 4}},        // all in conflict
      {{1, 2, 2, 2}, 1, 1, {2, 3}, 3, 1, {1, 2, 3}},  // the first differing term
      {{1, 2, 2}, 0, 0, {1}, 0, 1, {1, 2, 2}},        // a late, shorter request deletes nothing
      {{1, 2, 2}, 0, 0, {1, 2, 2}, 0, 3, {1, 2, 2}},  // a repeated one neither
      {{1, 2, 2}, 1, 1, {2, 2, 4}, 0, 2, {1, 2, 2, 4}},
      {{2, 2}, 0, 0, {1}, 1, 0, {1}},  // a longer log is no better one
  };
  for (const auto& c : cases) {
    LogView log;
    for (const std::uint64_t term : c.before) log.append(Term(term), 1);
    Raft raft(options_for(3), {Term(5), kNoNode}, log);
    const AppendDecision decision =
        append(raft, {.term = 5, .prev_index = c.prev_index, .prev_term = c.prev_term}, c.sent);
    EXPECT_TRUE(decision.accepted);
    EXPECT_EQ(decision.truncate_from.value_or(Index(0)), Index(c.truncate_from));
    EXPECT_EQ(decision.first_new, c.first_new);
    EXPECT_EQ(terms_of(raft.log()), c.after);
  }
}

TEST(RaftPaper, S5_3_BatchesOfManyEntriesAreTakenWholeOrNotAtAll) {
  Raft raft = make_follower(3, 1);
  const BatchInfo batches[] = {{Term(1), Index(1), 4, kBytes}, {Term(1), Index(5), 2, kBytes}};
  const AppendRequest request{.term = Term(1)};
  EXPECT_EQ(raft.step(node(2), request, batches).first_new, 0u);
  EXPECT_EQ(raft.log().last_index(), Index(6));
  EXPECT_EQ(raft.step(node(2), request, batches).first_new, 2u);
  const BatchInfo other{Term(2), Index(5), 7, kBytes};
  const auto decision = raft.step(
      node(2), AppendRequest{.term = Term(2), .prev_index = Index(4), .prev_term = Term(1)},
      std::span(&other, 1));
  EXPECT_EQ(decision.truncate_from, Index(5));
  EXPECT_EQ(raft.log().last_index(), Index(11));
}

/// Lets a leader and one follower talk, with instant disks, until nothing is left to say. Returns
/// the number of rejections.
std::uint32_t synchronise(Raft& leader, Raft& follower) {
  std::uint32_t rejections = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto plan = leader.plan_append(node(2));
    if (!plan) return rejections;
    std::vector<BatchInfo> batches;
    for (Index at = plan->next_index; at <= plan->last_index; at = at.next()) {
      batches.push_back({*leader.log().term_at(at), at, 1, kBytes});
    }
    leader.on_append_sent(node(2), plan->last_index, batches.size() * kBytes);
    static_cast<void>(follower.step(node(1), plan->request, batches));
    hard_state_durable(follower);
    log_durable(follower);
    const Outbox outbox = take_outbox(follower);
    for (const auto& [to, reply] : outbox.append_replies) {
      rejections += reply.rejected ? 1 : 0;
      leader.step(node(2), reply);
    }
  }
  ADD_FAILURE() << "they never stop talking";
  return rejections;
}

TEST(RaftPaper, Figure7_ALeaderMakesEveryFollowersLogEqualToItsOwn) {
  const std::initializer_list<std::uint64_t> leaders_log = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<std::uint64_t> expected = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8};
  const std::initializer_list<std::uint64_t> followers[] = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6},           // (a)
      {1, 1, 1, 4},                          // (b)
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},     // (c)
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},  // (d)
      {1, 1, 1, 4, 4, 4, 4},                 // (e)
      {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},     // (f)
  };
  for (const auto& terms : followers) {
    Raft leader = make_follower(3, 7, leaders_log);
    make_leader(leader, 3);
    ASSERT_EQ(leader.term(), Term(8));
    Raft follower(options_for(3, 2), {Term(7), kNoNode}, log_of(terms));
    const std::uint32_t rejections = synchronise(leader, follower);
    EXPECT_EQ(terms_of(follower.log()), expected);
    EXPECT_EQ(leader.progress(node(2))->match_index(), Index(11));
    EXPECT_LE(rejections, 2u) << "a whole term is skipped at a time";
  }
}

TEST(RaftPaper, S5_3_BacktrackingTakesOneRoundPerTermAndNotPerEntry) {
  LogView leaders_log;
  leaders_log.append(Term(1), 1000);
  leaders_log.append(Term(5), 1000);
  LogView followers_log;
  followers_log.append(Term(1), 500);
  followers_log.append(Term(2), 500);
  followers_log.append(Term(3), 400);
  Raft leader(options_for(3), {Term(5), kNoNode}, leaders_log);
  make_leader(leader, 3);
  Raft follower(options_for(3, 2), {Term(5), kNoNode}, followers_log);
  EXPECT_LE(synchronise(leader, follower), 3u);
  EXPECT_EQ(follower.log().last_index(), Index(2001));
  EXPECT_EQ(follower.log().term_at(Index(501)), Term(1));
}

TEST(RaftPaper, S5_3_ALeaderNeverOverwritesItsOwnLog) {
  Raft raft = make_follower(3, 1, {1, 1});
  make_leader(raft, 3);
  ask(raft, {.term = 2, .last_index = 9, .last_term = 1});
  raft.step(node(2), AppendReply{.term = Term(2), .rejected = true, .rejected_index = Index(2)});
  EXPECT_EQ(terms_of(raft.log()), (std::vector<std::uint64_t>{1, 1, 2}));
  EXPECT_EQ(raft.role(), Role::kLeader);
}

// --- §5.4 Safety
// -----------------------------------------------------------------------------------

TEST(RaftPaper, S5_4_1_AVoterRefusesACandidateWithALessCompleteLog) {
  struct {
    std::initializer_list<std::uint64_t> own;
    std::uint64_t last_index, last_term;
    bool granted;
  } const cases[] = {
      {{1}, 1, 1, true},        {{1}, 2, 1, true},    {{1, 1}, 1, 1, false},  // same term: length
      {{1}, 1, 2, true},        {{1, 1}, 1, 2, true},                         // later term wins
      {{2}, 1, 1, false},       {{2}, 9, 1, false},   {{}, 0, 0, true},       // earlier term loses
      {{1, 2, 3}, 3, 2, false},
  };
  for (const auto& c : cases) {
    for (const bool pre_vote : {false, true}) {
      Raft raft = make_follower(3, 4, c.own);
      ask(raft,
          {.term = 5, .last_index = c.last_index, .last_term = c.last_term, .pre_vote = pre_vote});
      hard_state_durable(raft);
      const auto reply = take_vote_reply(raft);
      ASSERT_TRUE(reply);
      EXPECT_EQ(reply->granted, c.granted) << c.last_index << " " << c.last_term << " " << pre_vote;
    }
  }
}

TEST(RaftPaper, S5_4_2_LeaderCommitsOnlyEntriesOfItsOwnTerm) {
  Raft raft = make_follower(3, 2, {1, 2});
  make_leader_without_noop(raft, 3);
  send_all(raft, 2);
  accept(raft, 2, Index(2));
  send_all(raft, 3);
  accept(raft, 3, Index(2));
  EXPECT_EQ(raft.commit_index(), Index(0)) << "on all disks, and still not committed";
  static_cast<void>(raft.propose_noop(kBytes));
  log_durable(raft);
  send_all(raft, 3);
  accept(raft, 3, Index(3));
  EXPECT_EQ(raft.commit_index(), Index(3));
}

TEST(RaftPaper, Figure8_AnEntryOnAMajorityMayStillBeOverwritten) {
  // (c): S1 leads term 4, has spread its entry of term 2 to S2 and S3, and must not commit it...
  Raft s1 = make_follower(5, 3, {1, 2});
  make_leader_without_noop(s1, 5);
  ASSERT_EQ(s1.term(), Term(4));
  for (const std::uint32_t follower : {2u, 3u}) {
    send_all(s1, follower);
    accept(s1, follower, Index(2));
  }
  EXPECT_EQ(s1.commit_index(), Index(0));
  // (d): ...for S5, with an entry of term 3, can win with the votes of S2, S3 and S4,
  Raft s3(options_for(5, 3), {Term(4), kNoNode}, log_of({1, 2}));
  ask(s3, {.term = 5, .last_index = 2, .last_term = 3, .from = 5});
  hard_state_durable(s3);
  EXPECT_TRUE(take_vote_reply(s3).value().granted);
  // and overwrites it.
  EXPECT_EQ(append(s3, {.term = 5, .prev_index = 1, .prev_term = 1, .from = 5}, {3}).truncate_from,
            Index(2));
  EXPECT_EQ(terms_of(s3.log()), (std::vector<std::uint64_t>{1, 3}));
}

TEST(RaftPaper, Figure8_AnEntryOfTheOwnTermOnAMajorityProtectsAllBeforeIt) {
  // (e): S1 has spread an entry of its own term 4 as well, and commits both...
  Raft s1 = make_follower(5, 3, {1, 2});
  make_leader(s1, 5);
  log_durable(s1);
  for (const std::uint32_t follower : {2u, 3u}) {
    send_all(s1, follower);
    accept(s1, follower, Index(3));
  }
  EXPECT_EQ(s1.commit_index(), Index(3));
  // ...for now S5 cannot win: S3 refuses.
  Raft s3(options_for(5, 3), {Term(4), kNoNode}, log_of({1, 2, 4}));
  ask(s3, {.term = 5, .last_index = 2, .last_term = 3, .from = 5});
  EXPECT_FALSE(take_vote_reply(s3).value().granted);
}

TEST(RaftPaper, S5_4_3_ACommittedEntryIsNeverDeleted) {
  Raft raft = make_follower(3, 2);
  append(raft, {.term = 2, .commit_index = 2}, {1, 2});
  EXPECT_DEATH(append(raft, {.term = 3, .prev_index = 1, .prev_term = 1}, {3}),
               "contradicts a committed entry|from > commit_index_");
  EXPECT_DEATH(append(raft, {.term = 3, .prev_index = 2, .prev_term = 3}),
               "contradicts a committed entry");
}

// --- §8 Client interaction
// -------------------------------------------------------------------------

TEST(RaftPaper, S8_ALeaderBeginsItsTermWithANoOp) {
  Raft raft = make_follower(3, 1);
  EXPECT_FALSE(raft.noop_due());
  make_leader_without_noop(raft, 3);
  EXPECT_TRUE(raft.noop_due());
  EXPECT_EQ(raft.propose(1, kBytes).error(), Errc::kOverloaded);
  const Proposal noop = raft.propose_noop(kBytes);
  EXPECT_EQ(noop.term, Term(2));
  EXPECT_EQ(noop.first_index, Index(1));
  EXPECT_FALSE(raft.noop_due());
  EXPECT_EQ(propose(raft).first_index, Index(2));
}

}  // namespace
}  // namespace sluice::raft
