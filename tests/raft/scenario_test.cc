// Ways in which systems like this one lost or invented data: S1 to S10, S36, S52, S57, S60, and
// what a peer may say that no correct peer says.
#include <limits>

#include "tests/raft/lab.h"

namespace sluice::raft {
namespace {

// --- consensus
// ---------------------------------------------------------------------------------------

TEST(RaftScenario, S1_CopiesOfAnOldTermDoNotCommit) {
  Raft raft = make_follower(3, 4, {1, 2, 4});
  make_leader_without_noop(raft, 3);
  for (const std::uint32_t follower : {2u, 3u}) {
    send_all(raft, follower);
    accept(raft, follower, Index(3));
  }
  tick(raft, kHeartbeatTicks);
  EXPECT_EQ(raft.commit_index(), Index(0));
}

TEST(RaftScenario, S2_ASecondLeaderInOneTermStopsTheNode) {
  Raft follower = make_follower(3, 1);
  append(follower, {.term = 2, .from = 2});
  EXPECT_DEATH(append(follower, {.term = 2, .from = 3}), "two leaders in one term");

  Raft leader = make_follower(3, 1);
  make_leader(leader, 3);
  EXPECT_DEATH(append(leader, {.term = 2, .from = 3}), "two leaders in one term");
  // It is remembered after the leadership was given up, too.
  tick(leader, kTicksMin + 1);
  ASSERT_EQ(leader.role(), Role::kFollower);
  EXPECT_DEATH(append(leader, {.term = 2, .from = 3}), "two leaders in one term");
}

TEST(RaftScenario, S4_AStaleCandidateDoesNotWin) {
  Lab lab(3);
  lab.start(1, {Term(8), node(1)}, log_of({1, 1, 1, 1, 1, 1}));  // long, but of an old term
  lab.start(2, {Term(3), node(2)}, log_of({1, 3}));
  lab.start(3, {Term(3), node(2)}, log_of({1, 3}));
  lab.elect();
  lab.run(5 * kTicksMin);
  EXPECT_EQ(lab.at(1).log().term_at(Index(2)), Term(3)) << "the committed entry survives";
}

TEST(RaftScenario, S5_S10_TruncatesAtTheFirstDifferingTermAndNotAtTheCommitIndex) {
  // Committed up to 1 only; 2 and 3 are equal to the leader's and stay, 4 and 5 are not.
  Raft raft = make_follower(3, 3);
  append(raft, {.term = 3, .commit_index = 1}, {1, 2, 2, 3, 3});
  const auto decision = append(
      raft, {.term = 5, .prev_index = 1, .prev_term = 1, .commit_index = 1, .from = 3}, {2, 2, 5});
  EXPECT_EQ(decision.truncate_from, Index(4));
  EXPECT_EQ(decision.first_new, 2u);
  EXPECT_EQ(terms_of(raft.log()), (std::vector<std::uint64_t>{1, 2, 2, 5}));
}

TEST(RaftScenario, S8_TheCommitIndexStopsAtWhatWasVerified) {
  Raft raft = make_follower(3, 2, {1, 1, 2, 2});
  append(raft, {.term = 3, .prev_index = 2, .prev_term = 1, .commit_index = 4});
  EXPECT_EQ(raft.commit_index(), Index(2)) << "3 and 4 may contradict the leader";
  append(raft, {.term = 3, .prev_index = 2, .prev_term = 1, .commit_index = 4}, {3});
  EXPECT_EQ(raft.commit_index(), Index(3));
}

TEST(RaftScenario, S9_RepliesThatComeLateOrTwiceMoveNothingBack) {
  Raft raft = make_follower(3, 1, {1, 1, 1, 1});
  make_leader(raft, 3);
  send_all(raft, 2);
  reject(raft, 2, 4, 2, 1);
  EXPECT_EQ(raft.progress(node(2))->next_index(), Index(3));
  send_all(raft, 2);
  accept(raft, 2, Index(5));
  ASSERT_EQ(raft.progress(node(2))->match_index(), Index(5));

  const auto expect_unmoved = [&] {
    EXPECT_EQ(raft.progress(node(2))->match_index(), Index(5));
    EXPECT_EQ(raft.progress(node(2))->next_index(), Index(6));
    EXPECT_FALSE(raft.progress(node(2))->regressed());
  };
  reject(raft, 2, 4, 2, 1);
  accept(raft, 2, Index(3));
  expect_unmoved();
  raft.on_link_down(node(2));
  reject(raft, 2, 4, 2, 1);
  raft.on_link_up(node(2));
  reject(raft, 2, 4, 2, 1);
  accept(raft, 2, Index(2));
  expect_unmoved();
  send_all(raft, 2);
  reject(raft, 2, 4, 2, 1);
  expect_unmoved();
}

TEST(RaftScenario, S11_APausedLeaderLearnsThatItIsNoneFromTheFirstReply) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  raft.step(node(2), AppendReply{.term = Term(3), .rejected = true});
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_EQ(raft.leader(), kNoNode);
}

// --- the window and the links
// --------------------------------------------------------------------------

TEST(RaftScenario, NothingIsPlannedForALinkThatIsDown) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  raft.on_link_down(node(2));
  tick(raft, kHeartbeatTicks);
  EXPECT_EQ(raft.plan_append(node(2)), std::nullopt);
  raft.on_link_up(node(2));
  EXPECT_TRUE(raft.plan_append(node(2)));
  EXPECT_EQ(raft.plan_append(node(1)), std::nullopt);
  EXPECT_EQ(raft.plan_append(node(9)), std::nullopt);
}

TEST(RaftScenario, AFullWindowLetsHeartbeatsPass) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  send_all(raft, 2);
  accept(raft, 2, Index(1));
  for (int i = 0; i < 4; ++i) {
    propose(raft);
    EXPECT_TRUE(send_all(raft, 2));
  }
  propose(raft);
  EXPECT_EQ(raft.plan_append(node(2)), std::nullopt);
  tick(raft, kHeartbeatTicks);
  const auto heartbeat = send_all(raft, 2);
  ASSERT_TRUE(heartbeat);
  EXPECT_LT(heartbeat->last_index, heartbeat->next_index);
  EXPECT_EQ(heartbeat->request.prev_index, Index(5));
  accept(raft, 2, Index(3));
  EXPECT_EQ(send_all(raft, 2)->next_index, Index(6));
}

TEST(RaftScenario, APlanChangesNothingUntilItWasSent) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  const auto first = raft.plan_append(node(2));
  const auto second = raft.plan_append(node(2));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->next_index, second->next_index);
}

TEST(RaftScenario, AFollowerWhoseEntriesHaveToBeReadFirstStillHearsThatItsLeaderLives) {
  Raft raft = make_follower(3, 1, {1, 1, 1});
  make_leader(raft, 3);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(2));
  EXPECT_EQ(raft.plan_heartbeat(node(2)), std::nullopt) << "none is due";
  EXPECT_EQ(raft.plan_heartbeat(node(9)), std::nullopt);
  ASSERT_TRUE(raft.propose(1, 100));
  tick(raft, kHeartbeatTicks);
  const auto entries = raft.plan_append(node(2));
  ASSERT_TRUE(entries);
  ASSERT_GE(entries->last_index, entries->next_index);
  const auto heartbeat = raft.plan_heartbeat(node(2));
  ASSERT_TRUE(heartbeat);
  EXPECT_LT(heartbeat->last_index, heartbeat->next_index) << "without entries";
  EXPECT_EQ(heartbeat->request.prev_index, entries->request.prev_index);
  EXPECT_EQ(heartbeat->request.prev_term, entries->request.prev_term);
  raft.on_append_sent(node(2), heartbeat->request.prev_index, 0);
  EXPECT_EQ(raft.plan_heartbeat(node(2)), std::nullopt) << "one a time";
  EXPECT_TRUE(raft.plan_append(node(2))) << "the entries are still to come";
}

TEST(RaftScenario, AFollowerBelowTheTrimmedLogStillHearsThatItsLeaderLives) {
  Raft raft = make_follower(3, 1, {1, 1, 1});
  make_leader(raft, 3);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(4));
  send_all(raft, 3);
  reject(raft, 3, 3, 1, 1);
  raft.trim_to(Index(4));
  EXPECT_EQ(raft.plan_append(node(3)), std::nullopt);
  tick(raft, kHeartbeatTicks);
  const auto heartbeat = send_all(raft, 3);
  ASSERT_TRUE(heartbeat);
  EXPECT_EQ(heartbeat->request.prev_index, Index(3));
  EXPECT_EQ(heartbeat->request.prev_term, Term(1));
  EXPECT_EQ(heartbeat->next_index, Index(4));
  EXPECT_LT(heartbeat->last_index, heartbeat->next_index);
  reject(raft, 3, 3, 1, 1);
  EXPECT_EQ(raft.plan_append(node(3)), std::nullopt) << "no question at the pace of the answers";
  // If it turns out to hold that entry, replication goes on.
  accept(raft, 3, Index(3));
  EXPECT_EQ(send_all(raft, 3)->next_index, Index(4));
}

TEST(RaftScenario, AFollowerThatTrimmedMoreThanItsLeaderAcceptsWhatItKnowsAsCommitted) {
  Raft raft(options_for(3), {Term(2), kNoNode}, [] {
    LogView log(Index(5), Term(1));
    log.append(Term(2), 1);
    return log;
  }());
  const auto decision = append(raft, {.term = 2, .prev_index = 3, .prev_term = 1}, {1, 1, 2, 2});
  EXPECT_TRUE(decision.accepted);
  EXPECT_EQ(decision.first_new, 3u);
  EXPECT_EQ(raft.log().last_index(), Index(7));
}

TEST(RaftScenario, TrimmingIsBoundedByTheCommitIndex) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1, .commit_index = 2}, {1, 1, 1});
  raft.trim_to(Index(3));
  EXPECT_EQ(raft.log().first_index(), Index(3));
  EXPECT_DEATH(raft.trim_to(Index(4)), "first <= commit_index");
}

TEST(RaftScenario, MatchIndexMinIsWhatEveryVoterHolds) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(1));
  EXPECT_EQ(raft.match_index_min(), Index(0));
  send_all(raft, 3);
  accept(raft, 3, Index(1));
  EXPECT_EQ(raft.match_index_min(), Index(1));
}

// --- bounds
// --------------------------------------------------------------------------------------------

TEST(RaftScenario, S52_TheUncommittedTailIsBounded) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  for (int i = 0; i < 19; ++i) propose(raft);
  EXPECT_EQ(raft.uncommitted_bytes(), 20 * kBytes);
  const Index last_index = raft.log().last_index();
  EXPECT_EQ(raft.propose(1, kBytes).error(), Errc::kOverloaded);
  EXPECT_EQ(raft.log().last_index(), last_index);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(10));
  EXPECT_EQ(raft.uncommitted_bytes(), 10 * kBytes);
  EXPECT_TRUE(raft.propose(1, kBytes).has_value());
}

TEST(RaftScenario, S52_AnOversizeBatchPassesAloneAndSizesDoNotOverflow) {
  Raft raft = make_follower(1, 0);
  make_leader(raft, 1);
  log_durable(raft);
  EXPECT_TRUE(raft.propose(1, 1000 * kBytes).has_value());
  EXPECT_EQ(raft.propose(1, kBytes).error(), Errc::kOverloaded);
  EXPECT_EQ(raft.propose(1, std::numeric_limits<std::uint64_t>::max()).error(), Errc::kOverloaded);
}

TEST(RaftScenario, S52_TheBoundSurvivesAChangeOfLeader) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  log_durable(raft);
  make_leader(raft, 3);
  EXPECT_EQ(raft.uncommitted_bytes(), 20 * kBytes) << "the tail it took as a follower counts";
  EXPECT_EQ(raft.propose(1, kBytes).error(), Errc::kOverloaded);
  log_durable(raft);
  send_all(raft, 2);
  accept(raft, 2, raft.log().last_index());
  EXPECT_EQ(raft.uncommitted_bytes(), 0u);
  EXPECT_TRUE(raft.propose(1, kBytes).has_value());
}

TEST(RaftScenario, S52_WhatANewLeaderTruncatesIsNotCountedAnyMore) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  for (int i = 0; i < 5; ++i) propose(raft);
  log_durable(raft);
  append(raft, {.term = 3}, {3});
  EXPECT_EQ(raft.uncommitted_bytes(), 1 * kBytes);
  hard_state_durable(raft);
  log_durable(raft);
  make_leader(raft, 3);
  EXPECT_EQ(raft.uncommitted_bytes(), 2 * kBytes);
}

// --- a follower that forgot
// ----------------------------------------------------------------------------

TEST(RaftScenario, S57_ARegressedFollowerIsNotCountedForNewCommitsUntilItIsRepaired) {
  Raft raft = make_follower(3, 0);
  make_leader(raft, 3);
  log_durable(raft);
  for (int i = 0; i < 3; ++i) propose(raft);
  send_all(raft, 2);
  accept(raft, 2, Index(4));
  tick(raft, kHeartbeatTicks);
  send_all(raft, 3);
  accept(raft, 3, Index(1));
  ASSERT_EQ(raft.match_index_min(), Index(1));
  ASSERT_EQ(raft.commit_index(), Index(1)) << "2 to 4 are not on the leader's disk yet";

  raft.on_link_down(node(2));
  raft.on_link_up(node(2));
  send_all(raft, 2);
  reject(raft, 2, 4, 0, 0);
  EXPECT_TRUE(raft.progress(node(2))->regressed());
  EXPECT_EQ(raft.progress(node(2))->match_index(), Index(4));
  EXPECT_EQ(raft.match_index_min(), Index(0)) << "it needs everything again";
  log_durable(raft);
  EXPECT_EQ(raft.commit_index(), Index(1)) << "only the leader's disk holds 2 to 4";

  EXPECT_EQ(send_all(raft, 2)->next_index, Index(1));
  accept(raft, 2, Index(4));
  EXPECT_FALSE(raft.progress(node(2))->regressed());
  EXPECT_EQ(raft.commit_index(), Index(4));
}

// --- what no correct peer says
// -------------------------------------------------------------------------

TEST(RaftScenario, S60_AbsurdTermsAreIgnored) {
  const std::uint64_t absurd[] = {std::numeric_limits<std::uint64_t>::max(),
                                  std::numeric_limits<std::uint64_t>::max() - 1,
                                  std::uint64_t{1} << 63, (std::uint64_t{1} << 32) + 100};
  for (const std::uint64_t term : absurd) {
    Raft raft = make_follower(3, 1);
    make_candidate(raft, 3);
    take_outbox(raft);
    ask(raft, {.term = term, .last_index = 1, .last_term = 1});
    ask(raft, {.term = term, .last_index = 1, .last_term = 1, .pre_vote = true});
    EXPECT_FALSE(append(raft, {.term = term}).accepted);
    raft.step(node(2), VoteReply{.term = Term(term)});
    raft.step(node(2), VoteReply{.term = Term(term), .granted = true});
    raft.step(node(2), AppendReply{.term = Term(term), .rejected = true});
    EXPECT_EQ(raft.term(), Term(2)) << term;
    EXPECT_EQ(raft.role(), Role::kCandidate);
    const Outbox outbox = take_outbox(raft);
    EXPECT_TRUE(outbox.vote_replies.empty());
    EXPECT_TRUE(outbox.append_replies.empty());
  }
}

TEST(RaftScenario, S60_AFarTermWithinReasonIsBelieved) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1'000'000});
  EXPECT_EQ(raft.term(), Term(1'000'000));
}

TEST(RaftScenario, StrangersAreNotHeard) {
  for (const std::uint32_t stranger : {0u, 1u, 4u, 99u}) {  // nobody, itself, others
    Raft raft = make_follower(3, 1);
    time_out(raft);
    take_outbox(raft);
    grant(raft, stranger, true);
    EXPECT_EQ(raft.role(), Role::kPreCandidate);
    ask(raft, {.term = 9, .from = stranger});
    EXPECT_FALSE(append(raft, {.term = 9, .from = stranger}).accepted);
    raft.step(NodeId(stranger), VoteReply{.term = Term(9)});
    raft.step(NodeId(stranger), AppendReply{.term = Term(9), .rejected = true});
    raft.on_link_up(NodeId(stranger));
    raft.on_link_down(NodeId(stranger));
    raft.on_append_sent(NodeId(stranger), Index(1), kBytes);
    EXPECT_EQ(raft.term(), Term(1));
    EXPECT_EQ(take_outbox(raft).vote_replies.size(), 0u);
  }
}

TEST(RaftScenario, S45_ARequestThatContradictsItselfIsIgnored) {
  const auto batch = [](std::uint64_t term, std::uint64_t first, std::uint32_t count) {
    return BatchInfo{Term(term), Index(first), count, kBytes};
  };
  const std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  struct {
    AppendRequest request;
    std::vector<BatchInfo> batches;
  } const cases[] = {
      {{.term = Term(0)}, {}},
      {{.term = Term(2), .prev_index = Index(1), .prev_term = Term(3)}, {}},
      {{.term = Term(2)}, {batch(3, 1, 1)}},                  // from the future
      {{.term = Term(2)}, {batch(1, 2, 1)}},                  // a gap
      {{.term = Term(2)}, {batch(1, 1, 0)}},                  // empty
      {{.term = Term(2)}, {batch(2, 1, 1), batch(1, 2, 1)}},  // terms fall
      {{.term = Term(2), .prev_index = Index(1), .prev_term = Term(1)}, {batch(0, 2, 1)}},
      {{.term = Term(2), .prev_index = Index(max), .prev_term = Term(1)}, {batch(1, 0, 1)}},
      {{.term = Term(2), .prev_index = Index(max - 1), .prev_term = Term(1)}, {batch(1, max, 9)}},
  };
  for (const auto& c : cases) {
    Raft raft = make_follower(3, 1, {1});
    EXPECT_FALSE(raft.step(node(2), c.request, c.batches).accepted);
    EXPECT_EQ(raft.term(), Term(1));
    EXPECT_EQ(raft.leader(), kNoNode);
    EXPECT_EQ(raft.log().last_index(), Index(1));
    EXPECT_TRUE(take_outbox(raft).append_replies.empty());
  }
}

TEST(RaftScenario, S45_RepliesAboutWhatNeverWasMoveNothing) {
  Raft raft = make_follower(3, 1, {1, 1});
  make_leader(raft, 3);
  log_durable(raft);
  send_all(raft, 2);
  const std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  accept(raft, 2, Index(max));
  EXPECT_EQ(raft.progress(node(2))->match_index(), Index(0));
  reject(raft, 2, max, max, max);
  reject(raft, 2, 2, 3, 1);  // a hint above what was rejected
  reject(raft, 2, 0, 0, 0);
  EXPECT_EQ(raft.progress(node(2))->next_index(), Index(3));
  reject(raft, 2, 2, 0, max);  // nonsense, but harmless
  EXPECT_EQ(raft.progress(node(2))->next_index(), Index(1));
  EXPECT_EQ(raft.commit_index(), Index(0));
}

TEST(RaftScenarioDeathTest, OptionsAreChecked) {
  const auto make = [](Options options) { Raft(std::move(options), {}, LogView()); };
  Options options = options_for(3);
  options.voters.clear();
  EXPECT_DEATH(make(options), "voters.empty");
  options = options_for(3);
  options.self = node(9);
  EXPECT_DEATH(make(options), "options.self");
  options = options_for(3);
  options.voters.push_back(node(3));
  EXPECT_DEATH(make(options), "voter");
  options = options_for(3);
  options.heartbeat_ticks = options.election_timeout_ticks_min / 2;
  EXPECT_DEATH(make(options), "heartbeat_ticks");
}

TEST(RaftScenario, AVoteRequestIsRepeatedWhenTheLinkComesUp) {
  Raft raft = make_follower(3, 1);
  time_out(raft);
  take_outbox(raft);
  raft.on_link_up(node(2));
  Outbox outbox = take_outbox(raft);
  ASSERT_EQ(outbox.vote_requests.size(), 1u);
  EXPECT_TRUE(outbox.vote_requests[0].request.pre_vote);
  grant(raft, 3, true);
  hard_state_durable(raft);
  take_outbox(raft);
  raft.on_link_up(node(2));
  outbox = take_outbox(raft);
  ASSERT_EQ(outbox.vote_requests.size(), 1u);
  EXPECT_FALSE(outbox.vote_requests[0].request.pre_vote);
}

TEST(RaftScenario, APreCandidateThatGivesItsVoteStandsBack) {
  Raft raft = make_follower(3, 2);  // it has not voted in term 2
  time_out(raft);
  ASSERT_EQ(raft.role(), Role::kPreCandidate);
  take_outbox(raft);
  ask(raft, {.term = 2, .from = 2});
  EXPECT_EQ(raft.role(), Role::kFollower);
  hard_state_durable(raft);
  EXPECT_TRUE(take_vote_reply(raft).value().granted);
  grant(raft, 3, true);
  EXPECT_EQ(raft.term(), Term(2)) << "a late pre-vote does not start an election against it";
}

// --- a full disk -------------------------------------------------------------------------------

constexpr std::uint32_t kStallTicks = 2 * kTicksMin;  // after which a disk counts as hanging (S23)

/// Hears from its leader (node 2, term 1) for so long without new entries.
void hear_leader(Raft& raft, std::uint32_t ticks) {
  for (; ticks > 0; --ticks) {
    append(raft, {.term = 1, .prev_index = 1, .prev_term = 1});
    raft.tick();
  }
}

TEST(RaftScenario, S36_ALeaderWithAFullDiskHandsOverAfterTheSameTimeAsOneWhoseDiskHangs) {
  Lab lab(3);
  const std::uint32_t old = lab.elect();
  lab.at(old).on_storage_blocked(true);
  lab.run(kStallTicks - 1);
  EXPECT_EQ(lab.leader(), old) << "a trim may make room any moment";
  lab.run(1);
  EXPECT_NE(lab.at(old).role(), Role::kLeader);
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() != 0; }));
  const std::uint32_t leader = lab.leader();
  EXPECT_NE(leader, old);
  EXPECT_TRUE(lab.propose(leader));
  const Term term = lab.at(leader).term();
  lab.run(20 * kTicksMin);
  EXPECT_EQ(lab.leader(), leader) << "the full one does not come back";
  EXPECT_EQ(lab.at(leader).term(), term) << "and disturbs nobody";
}

TEST(RaftScenario, S36_AShortageThatPassesCostsNoLeadership) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const Term term = lab.at(leader).term();
  for (int i = 0; i < 10; ++i) {
    lab.at(leader).on_storage_blocked(true);
    lab.run(kStallTicks - 1);
    lab.at(leader).on_storage_blocked(false);
    lab.run(1);
  }
  EXPECT_EQ(lab.leader(), leader);
  EXPECT_EQ(lab.at(leader).term(), term);
  EXPECT_TRUE(lab.propose(leader));
}

TEST(RaftScenario, S36_AFollowerWithAFullDiskDoesNotRunUntilThereIsRoom) {
  Raft raft = make_follower(3, 1, {1});
  raft.on_storage_blocked(true);
  hear_leader(raft, kStallTicks);
  take_outbox(raft);
  tick(raft, 20 * kTicksMin);
  EXPECT_TRUE(take_outbox(raft).vote_requests.empty());
  EXPECT_EQ(raft.role(), Role::kFollower);
  EXPECT_EQ(raft.leader(), kNoNode) << "it knows that nobody leads";
  raft.on_storage_blocked(false);
  tick(raft, 2 * kTicksMin);
  EXPECT_FALSE(take_outbox(raft).vote_requests.empty());
}

TEST(RaftScenario, S36_AFollowerWithAFullDiskVotesAndAnswersItsLeader) {
  Raft raft = make_follower(3, 1, {1});
  raft.on_storage_blocked(true);
  hear_leader(raft, kStallTicks);
  take_outbox(raft);
  append(raft, {.term = 1, .prev_index = 1, .prev_term = 1});
  const auto answer = take_append_reply(raft);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->rejected);
  EXPECT_EQ(answer->match_index, Index(1));

  tick(raft, 2 * kTicksMin);  // its leader is gone
  ask(raft, {.term = 2, .last_index = 1, .last_term = 1, .pre_vote = true, .from = 3});
  EXPECT_TRUE(take_vote_reply(raft).value().granted);
  ask(raft, {.term = 2, .last_index = 1, .last_term = 1, .from = 3});
  EXPECT_EQ(take_vote_reply(raft), std::nullopt) << "not before it is durable (S3)";
  hard_state_durable(raft);
  EXPECT_TRUE(take_vote_reply(raft).value().granted);
}

TEST(RaftScenario, S36_WithoutRoomWhereTheLogIsNobodyLeadsAndWithRoomServiceResumes) {
  Lab lab(3);
  const std::uint32_t old = lab.elect();
  const std::uint32_t whole = lab.follower(0), behind = lab.follower(1);
  lab.isolate(behind);
  ASSERT_TRUE(lab.propose(old));
  const Index committed = lab.at(old).commit_index();
  ASSERT_GT(committed, lab.at(behind).log().last_index());
  lab.at(old).on_storage_blocked(true);
  lab.at(whole).on_storage_blocked(true);
  lab.run(kStallTicks);
  EXPECT_EQ(lab.leader(), 0u);
  lab.mend();
  lab.run(20 * kTicksMin);
  EXPECT_EQ(lab.leader(), 0u) << "the one with room lacks an entry that was acknowledged";
  lab.at(whole).on_storage_blocked(false);
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() != 0; }, 10 * kTicksMin));
  EXPECT_EQ(lab.leader(), whole);
  EXPECT_TRUE(lab.propose(whole));
  lab.run(kTicksMin);
  EXPECT_GT(lab.at(behind).commit_index(), committed);
}

TEST(RaftScenario, S36_ANodeAloneKeepsItsPlaceAndServesAgain) {
  Raft raft = make_follower(1, 0);
  make_leader(raft, 1);
  log_durable(raft);
  raft.on_storage_blocked(true);
  tick(raft, 20 * kTicksMin);
  EXPECT_EQ(raft.role(), Role::kLeader) << "there is nobody to hand over to";
  raft.on_storage_blocked(false);
  propose(raft);
  log_durable(raft);
  EXPECT_EQ(raft.commit_index(), Index(2));
}

}  // namespace
}  // namespace sluice::raft
