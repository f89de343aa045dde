// Scenarios in which systems like this one stopped working though a majority was up (S15, S19 to
// S24), and the ones with a paused or slow node (S53, S54).
#include <set>

#include "tests/raft/lab.h"

namespace sluice::raft {
namespace {

constexpr std::uint32_t kLong = 20 * kTicksMin;

TEST(RaftLiveness, AFreshClusterOfAnySizeElectsOneLeaderAndCommits) {
  for (std::uint32_t voters = 1; voters <= 7; ++voters) {
    Lab lab(voters);
    const std::uint32_t leader = lab.elect();
    ASSERT_TRUE(lab.propose(leader));
    lab.run(kHeartbeatTicks);
    for (std::uint32_t id = 1; id <= voters; ++id) {
      EXPECT_EQ(lab.at(id).commit_index(), Index(2)) << id << " of " << voters;
      EXPECT_EQ(lab.at(id).leader(), NodeId(leader));
    }
  }
}

TEST(RaftLiveness, AnIdleClusterKeepsItsLeaderAndSendsOnlyHeartbeats) {
  Lab lab(5);
  const std::uint32_t leader = lab.elect();
  const Term term = lab.at(leader).term();
  std::size_t messages = 0;
  for (std::uint32_t i = 0; i < kLong; ++i) messages += lab.tick();
  EXPECT_EQ(lab.leader(), leader);
  EXPECT_EQ(lab.at(leader).term(), term);
  EXPECT_LE(messages, 2u * 4u * (kLong / kHeartbeatTicks + 2));
}

TEST(RaftLiveness, ANewLeaderTakesOverWhenTheOldOneIsGone) {
  Lab lab(3);
  const std::uint32_t old = lab.elect();
  lab.propose(old);
  const Index committed = lab.at(old).commit_index();
  lab.stop(old);
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() != 0; }, 6 * kTicksMin));
  const std::uint32_t leader = lab.leader();
  EXPECT_GE(lab.at(leader).commit_index(), committed);
  EXPECT_TRUE(lab.propose(leader));
  EXPECT_GE(lab.at(leader).commit_index(), committed + 2);
}

TEST(RaftLiveness, SplitVotesResolveBecauseTimeOutsAreDrawnAnew) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Lab lab(4, seed);
    // Nobody can win yet, and everybody has tried.
    for (std::uint32_t id = 1; id <= 4; ++id) lab.isolate(id);
    lab.run(3 * kTicksMin);
    lab.mend();
    EXPECT_TRUE(lab.run_until([&] { return lab.leader() != 0; }, 10 * kTicksMin));
  }
}

TEST(RaftLiveness, S15_ANodeThatHearsNobodyDisturbsNobody) {
  // As a node does that was taken out of the cluster and does not know it.
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const Term term = lab.at(leader).term();
  const std::uint32_t deaf = lab.follower();
  for (std::uint32_t id = 1; id <= 3; ++id) {
    if (id != deaf) lab.cut_one_way(id, deaf);
  }
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), leader);
  EXPECT_EQ(lab.at(leader).term(), term);
  EXPECT_EQ(lab.at(deaf).term(), term);
}

TEST(RaftLiveness, S15_WhoHearsItsLeaderIgnoresEvenARealVoteRequestAndItsTerm) {
  Raft follower = make_follower(3, 5);
  append(follower, {.term = 5});
  take_outbox(follower);
  tick(follower, kTicksMin - 1);
  ask(follower, {.term = 9, .last_index = 9, .last_term = 5, .from = 3});
  EXPECT_FALSE(take_vote_reply(follower).value().granted);
  EXPECT_EQ(follower.term(), Term(5));
  ask(follower, {.term = 9, .last_index = 9, .last_term = 5, .pre_vote = true, .from = 3});
  EXPECT_FALSE(take_vote_reply(follower).value().granted);
  // A silence as long as the shortest time-out ends it.
  tick(follower, 1);
  ask(follower, {.term = 9, .last_index = 9, .last_term = 5, .from = 3});
  hard_state_durable(follower);
  EXPECT_TRUE(take_vote_reply(follower).value().granted);

  Raft leader = make_follower(3, 5);
  make_leader(leader, 3);
  ask(leader, {.term = 9, .last_index = 9, .last_term = 5});
  EXPECT_EQ(leader.role(), Role::kLeader);
  EXPECT_EQ(leader.term(), Term(6));
}

TEST(RaftLiveness, S19_APartialPartitionLeavesOneStableLeader) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const Term term = lab.at(leader).term();
  lab.cut(leader, lab.follower());
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), leader) << "the third node hears it and helps nobody to replace it";
  EXPECT_EQ(lab.at(leader).term(), term);
  EXPECT_TRUE(lab.propose(leader));
  EXPECT_EQ(lab.at(leader).commit_index(), lab.at(leader).log().last_index());
}

TEST(RaftLiveness, S19_WhenAllLinksButThoseOfOneNodeAreCutThatNodeLeads) {
  Lab lab(5);
  const std::uint32_t old = lab.elect();
  const std::uint32_t hub = lab.follower();
  for (std::uint32_t a = 1; a <= 5; ++a) {
    for (std::uint32_t b = a + 1; b <= 5; ++b) {
      if (a != hub && b != hub) lab.cut(a, b);
    }
  }
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() == hub; }));
  EXPECT_NE(lab.at(old).role(), Role::kLeader);
  const Term term = lab.at(hub).term();
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), hub);
  EXPECT_EQ(lab.at(hub).term(), term);
}

/// Ticks from the end of a leadership to the next attempt; ends the attempt with a leadership.
std::uint32_t ticks_to_next_leadership(Raft& raft) {
  std::uint32_t ticks = 0;
  for (take_outbox(raft); raft.role() != Role::kPreCandidate; ++ticks) raft.tick();
  grant(raft, 2, true);
  hard_state_durable(raft);
  grant(raft, 2, false);
  EXPECT_EQ(raft.role(), Role::kLeader);
  static_cast<void>(raft.propose_noop(kBytes));
  log_durable(raft);
  return ticks;
}
void lead_until_nobody_answers(Raft& raft) {
  tick(raft, kTicksMin);
  ASSERT_EQ(raft.role(), Role::kFollower);
}

// A node with slow links got votes in time and answers to its entries never: elected again as soon as
// its followers might forget it, it kept two healthy ones from ever electing each other.
TEST(RaftLiveness, S19_ALeaderThatCommitsNothingGivesTheOthersEverMoreTime) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  log_durable(raft);
  for (const std::uint32_t times : {2u, 4u, 4u}) {  // and no longer: it may be the only one that can win
    lead_until_nobody_answers(raft);
    const std::uint32_t ticks = ticks_to_next_leadership(raft);
    EXPECT_GE(ticks, times * kTicksMin);
    EXPECT_LT(ticks, times * 2 * kTicksMin);
  }
  // A leadership that was good for something makes good for those that were not.
  send_all(raft, 2);
  accept(raft, 2, raft.log().last_index());
  ASSERT_EQ(raft.commit_index(), raft.log().last_index());
  lead_until_nobody_answers(raft);
  EXPECT_LT(ticks_to_next_leadership(raft), 2 * kTicksMin);
  lead_until_nobody_answers(raft);
  const std::uint32_t ticks = ticks_to_next_leadership(raft);
  EXPECT_GE(ticks, 2 * kTicksMin) << "counted from the start again";
  EXPECT_LT(ticks, 4 * kTicksMin);
}

TEST(RaftLiveness, S19_WhoStaysAwayStandsInWhenTheLeaderItFollowedIsGone) {
  Raft raft = make_follower(3, 1);
  make_leader(raft, 3);
  log_durable(raft);
  for (int i = 0; i < 3; ++i) {
    lead_until_nobody_answers(raft);
    ticks_to_next_leadership(raft);
  }
  lead_until_nobody_answers(raft);
  append(raft, {.term = raft.term().value() + 1, .from = 3});
  hard_state_durable(raft);
  EXPECT_LT(ticks_to_next_leadership(raft), 2 * kTicksMin);
}

TEST(RaftLiveness, S20_AFollowerThatCannotHearItsLeaderInflatesNoTerm) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const Term term = lab.at(leader).term();
  lab.cut_one_way(leader, lab.follower());
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), leader);
  EXPECT_EQ(lab.at(lab.follower()).term(), term);
}

TEST(RaftLiveness, S20_ALeaderThatHearsNobodyStepsDownThoughAllHearIt) {
  Lab lab(3);
  const std::uint32_t old = lab.elect();
  for (std::uint32_t id = 1; id <= 3; ++id) lab.cut_one_way(id, old);
  lab.run(kTicksMin + 1);
  EXPECT_NE(lab.at(old).role(), Role::kLeader);
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() != 0 && lab.leader() != old; }));
  EXPECT_TRUE(lab.propose(lab.leader()));
}

TEST(RaftLiveness, CheckQuorumALeaderCutOffStopsTakingProposals) {
  Lab lab(5);
  const std::uint32_t leader = lab.elect();
  lab.isolate(leader);
  lab.run(kTicksMin + 1);
  EXPECT_EQ(lab.at(leader).role(), Role::kFollower);
  EXPECT_EQ(lab.at(leader).leader(), kNoNode);
  EXPECT_EQ(lab.at(leader).propose(1, kBytes).error(), Errc::kNotLeader);
}

TEST(RaftLiveness, CheckQuorumCountsTheLeaderItself) {
  Lab lab(4);
  const std::uint32_t leader = lab.elect();
  // Itself and two followers are three of four; itself and one are not.
  lab.stop(lab.follower());
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), leader);
  lab.isolate(lab.follower(1));
  lab.run(kTicksMin + 1);
  EXPECT_EQ(lab.leader(), 0u);
}

TEST(RaftLiveness, S21_ANodeThatWasCutOffRejoinsWithoutDisruption) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const Term term = lab.at(leader).term();
  const std::uint32_t away = lab.follower();
  lab.isolate(away);
  lab.run(kLong);
  lab.propose(leader);
  lab.mend();
  lab.run(3 * kTicksMin);
  EXPECT_EQ(lab.leader(), leader);
  EXPECT_EQ(lab.at(leader).term(), term);
  EXPECT_EQ(lab.at(away).commit_index(), lab.at(leader).commit_index());
}

TEST(RaftLiveness, S21_ANodeWithAHigherTermIsTakenBackByOneElection) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const std::uint32_t ahead = lab.follower();
  lab.start(ahead, {lab.at(leader).term() + 5, NodeId(ahead)}, lab.at(ahead).log());
  ASSERT_TRUE(lab.run_until(
      [&] { return lab.leader() != 0 && lab.at(ahead).leader() == NodeId(lab.leader()); }));
  const Term term = lab.at(ahead).term();
  lab.run(kLong);
  EXPECT_EQ(lab.at(ahead).term(), term) << "and then there is peace";
}

TEST(RaftLiveness, S22_TwoOfThreeMakeProgressThoughOneHasTheTermAndTheOtherTheLog) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Lab lab(3, seed);
    lab.stop(3);
    lab.start(1, {Term(9), node(1)}, log_of({1}));
    lab.start(2, {Term(3), node(2)}, log_of({1, 2, 3}));
    ASSERT_TRUE(lab.run_until([&] { return lab.leader() == 2; }, 20 * kTicksMin));
    EXPECT_GT(lab.at(2).term(), Term(9));
    EXPECT_TRUE(lab.propose(2));
    EXPECT_EQ(lab.at(2).commit_index(), lab.at(2).log().last_index());
  }
}

TEST(RaftLiveness, S23_ALeaderWhoseDiskStallsHandsOver) {
  Lab lab(3);
  const std::uint32_t old = lab.elect();
  lab.stall(old);
  ASSERT_TRUE(lab.propose(old));
  EXPECT_EQ(lab.at(old).commit_index(), lab.at(old).log().last_index())
      << "the followers' disks commit without it";
  lab.run(2 * kTicksMin - 1);
  EXPECT_EQ(lab.leader(), old);
  lab.run(1);
  EXPECT_NE(lab.at(old).role(), Role::kLeader);
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() != 0; }));
  const std::uint32_t leader = lab.leader();
  EXPECT_NE(leader, old);
  const Term term = lab.at(leader).term();
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), leader) << "the stalled node does not come back";
  EXPECT_EQ(lab.at(leader).term(), term);
  lab.unstall(old);
  lab.run(kTicksMin);
  EXPECT_EQ(lab.at(old).durable_index(), lab.at(leader).log().last_index());
}

// The leader and one follower hear each other and cannot commit: the disks of those that answer hang.
TEST(RaftLiveness, S23_ALeaderWhoseFollowersDisksStallMakesWayForAQuorum) {
  Lab lab(5);
  const std::uint32_t old = lab.elect();
  std::vector<std::uint32_t> others;
  for (std::uint32_t id = 1; id <= 5; ++id) {
    if (id != old) others.push_back(id);
  }
  const std::uint32_t hung = others[0];
  const std::uint32_t shared = others[1];  // hears the leader, and could be heard by the other two
  lab.stall(hung);
  lab.cut(old, others[2]);
  lab.cut(old, others[3]);
  lab.cut(hung, others[2]);
  lab.cut(hung, others[3]);
  ASSERT_TRUE(lab.propose(old));
  lab.run(4 * kTicksMin - 1);
  EXPECT_EQ(lab.at(old).role(), Role::kLeader) << "a disk may be slow";
  // Its own disk hangs from now on, with nothing waiting for it: it does not win again.
  lab.run(1);
  EXPECT_NE(lab.at(old).role(), Role::kLeader);
  lab.stall(old);
  ASSERT_TRUE(lab.run_until([&] {
    const std::uint32_t leader = lab.leader();
    return leader != 0 && lab.at(leader).commit_index() == lab.at(leader).log().last_index();
  }));
  EXPECT_EQ(lab.leader(), shared) << "it alone has the newest entry, and two healthy ones beside it";
}

// A node that votes for a candidate which does not win must not come second to it in every term: it
// may be the only one that can. (A candidate had the pre-votes of a majority and never its votes, for
// a hung disk was among it; the other node with the newest entry always had the longer time-out.)
TEST(RaftLiveness, S23_AVoteThatIsGivenDrawsTheTimeOutAnew) {
  std::set<std::uint32_t> time_outs;
  for (std::uint64_t votes = 0; votes < 20; ++votes) {
    Raft raft = make_follower(3, 1);
    for (std::uint64_t i = 0; i < votes; ++i) {
      raft.step(node(2), VoteRequest{.term = Term(2 + i)});
      hard_state_durable(raft);
    }
    ASSERT_EQ(raft.term(), Term(1 + votes));
    take_outbox(raft);
    std::uint32_t ticks = 0;
    for (; raft.outbox().vote_requests.empty(); ++ticks) raft.tick();
    EXPECT_GE(ticks, kTicksMin);
    EXPECT_LT(ticks, 2 * kTicksMin);
    time_outs.insert(ticks);
  }
  EXPECT_GE(time_outs.size(), 5u) << "one length for ever";
}

// S25: as long as a majority gains anything, its leader stays.
TEST(RaftLiveness, S25_ALeaderWhoseMajorityGainsSlowlyStays) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  lab.stall(lab.follower(0));
  lab.stall(lab.follower(1));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(lab.propose(leader));
    lab.run(3 * kTicksMin);
    lab.unstall(lab.follower(0));  // what waited becomes durable, and no more
    lab.settle();
    lab.stall(lab.follower(0));
    ASSERT_EQ(lab.leader(), leader);
  }
}

TEST(RaftLiveness, S23_AStalledNodeDoesNotCampaignAndDoesWhenItsDiskIsBack) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1}, {1});
  take_outbox(raft);
  tick(raft, 10 * kTicksMin);
  // The first attempt falls into the time that a slow disk may take; none follows.
  const std::size_t first = take_outbox(raft).vote_requests.size();
  EXPECT_LE(first, 2u * 2u);
  tick(raft, 10 * kTicksMin);
  EXPECT_TRUE(take_outbox(raft).vote_requests.empty());
  log_durable(raft);
  tick(raft, 2 * kTicksMin);
  EXPECT_FALSE(take_outbox(raft).vote_requests.empty());
}

TEST(RaftLiveness, S23_AnIdleDiskIsNotAStalledOne) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  lab.stall(leader);
  lab.run(kLong);
  EXPECT_EQ(lab.leader(), leader);
}

TEST(RaftLiveness, S23_ANodeAloneWaitsForItsDisk) {
  Raft raft = make_follower(1, 0);
  make_leader(raft, 1);
  tick(raft, 20 * kTicksMin);
  EXPECT_EQ(raft.role(), Role::kLeader);
  log_durable(raft);
  EXPECT_EQ(raft.commit_index(), Index(1));
}

TEST(RaftLiveness, S24_AWipedFollowerInAnIdleClusterIsRepairedByHeartbeats) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  for (int i = 0; i < 5; ++i) lab.propose(leader);
  lab.run(kTicksMin);
  const std::uint32_t wiped = lab.follower();
  lab.start(wiped, {}, LogView());
  lab.run(2 * kHeartbeatTicks);
  EXPECT_EQ(lab.leader(), leader);
  EXPECT_EQ(terms_of(lab.at(wiped).log()), terms_of(lab.at(leader).log()));
  EXPECT_EQ(lab.at(wiped).commit_index(), lab.at(leader).commit_index());
  EXPECT_FALSE(lab.at(leader).progress(NodeId(wiped))->regressed()) << "it is whole again";
}

TEST(RaftLiveness, S25_AFollowerThatWasAwayCatchesUpWhileEntriesKeepComing) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  const std::uint32_t away = lab.follower();
  lab.isolate(away);
  for (int i = 0; i < 200; ++i) lab.propose(leader);
  lab.mend();
  for (std::uint32_t i = 0; i < 2 * kTicksMin; ++i) {
    lab.propose(leader);
    lab.tick();
  }
  EXPECT_EQ(lab.at(away).log().last_index(), lab.at(leader).log().last_index());
}

TEST(RaftLiveness, S36_ARequestWithoutRoomIsHeardAndNotAnswered) {
  Raft raft = make_follower(3, 2, {1});
  for (std::uint32_t i = 0; i < kLong; ++i) {
    tick(raft, 1);
    raft.hear(node(2), {Term(2), Index(1), Term(1), Index(1)});
  }
  EXPECT_EQ(raft.leader(), node(2));
  Outbox outbox = take_outbox(raft);
  EXPECT_TRUE(outbox.vote_requests.empty());
  EXPECT_TRUE(outbox.append_replies.empty());
  EXPECT_EQ(raft.commit_index(), Index(0));

  raft.hear(node(3), {Term(1), Index(1), Term(1), Index(1)});
  EXPECT_EQ(raft.leader(), node(2));
  outbox = take_outbox(raft);
  ASSERT_EQ(outbox.append_replies.size(), 1u) << "a leader of the past is told";
  EXPECT_EQ(outbox.append_replies[0].reply.term, Term(2));

  tick(raft, 2 * kTicksMin);
  EXPECT_FALSE(take_outbox(raft).vote_requests.empty());
}

/// A leader and a follower that may lack room for entries; one batch a request.
struct FollowerWithoutRoom {
  explicit FollowerWithoutRoom(std::uint32_t inflight_requests_max)
      : leader(leader_options(inflight_requests_max), {}, LogView()),
        follower(options_for(3, 2), {}, LogView()) {
    make_leader(leader, 3);
  }
  static Options leader_options(std::uint32_t inflight_requests_max) {
    Options options = options_for(3);
    options.inflight_requests_max = inflight_requests_max;
    options.inflight_bytes_max = std::uint64_t{inflight_requests_max} * kBytes;
    return options;
  }

  /// Until nothing is left to say.
  void talk() {
    while (const auto plan = leader.plan_append(node(2))) {
      ASSERT_LT(++requests, 10'000u);
      const bool empty = plan->last_index < plan->next_index;
      const Index last = empty ? plan->request.prev_index : plan->next_index;
      leader.on_append_sent(node(2), last, empty ? 0 : kBytes);
      const BatchInfo batch{empty ? Term{} : *leader.log().term_at(last), last, 1, kBytes};
      if (empty || room) {
        (void)follower.step(node(1), plan->request, std::span(&batch, empty ? 0u : 1u));
        log_durable(follower);
        hard_state_durable(follower);
      } else {
        follower.hear(node(1), plan->request);
      }
      for (const auto& answer : take_outbox(follower).append_replies) {
        leader.step(node(2), answer.reply);
      }
    }
  }
  /// The third node takes and has everything.
  void turn() {
    tick(leader, 1);
    log_durable(leader);
    send_all(leader, 3);
    accept(leader, 3, leader.log().last_index());
    take_outbox(leader);
    talk();
  }

  Raft leader, follower;
  bool room = false;
  std::size_t requests = 0;
};

TEST(RaftLiveness, S36_AFollowerWithoutRoomIsAskedByHeartbeatsAndGoesOnWhenItHasSome) {
  FollowerWithoutRoom pair(4);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(pair.leader.propose(1, kBytes));
  const std::uint32_t heartbeats = 50;
  for (std::uint32_t i = 0; i < heartbeats * kHeartbeatTicks; ++i) ASSERT_NO_FATAL_FAILURE(pair.turn());
  ASSERT_EQ(pair.leader.role(), Role::kLeader);
  EXPECT_EQ(pair.follower.log().last_index(), Index(0));
  EXPECT_LE(pair.requests, 4u * heartbeats);
  pair.room = true;
  for (std::uint32_t i = 0; i < 2 * kHeartbeatTicks; ++i) ASSERT_NO_FATAL_FAILURE(pair.turn());
  EXPECT_EQ(pair.follower.log().last_index(), pair.leader.log().last_index());
}

TEST(RaftLiveness, S36_AFollowerWithoutRoomIsNotTakenForGoneWhileEntriesKeepComing) {
  FollowerWithoutRoom pair(256);
  ASSERT_NO_FATAL_FAILURE(pair.turn());
  for (std::uint32_t i = 0; i < kLong; ++i) {
    ASSERT_TRUE(pair.leader.propose(1, kBytes));
    ASSERT_NO_FATAL_FAILURE(pair.turn());
    EXPECT_LT(pair.leader.progress(node(2))->ticks_since_contact(), kTicksMin);
  }
  EXPECT_EQ(pair.follower.log().last_index(), Index(0));
}

TEST(RaftLiveness, S53_ManyTicksAtOnceOnlyCostTheLeadership) {
  Lab lab(3);
  const std::uint32_t leader = lab.elect();
  tick(lab.at(leader), 10'000);
  EXPECT_NE(lab.at(leader).role(), Role::kLeader);
  EXPECT_TRUE(lab.run_until([&] { return lab.leader() != 0; }));
}

TEST(RaftLiveness, S54_APausedLeaderCommitsNothingAfterItWasReplaced) {
  Lab lab(3);
  const std::uint32_t old = lab.elect();
  lab.run(kTicksMin);
  const Index commit_index = lab.at(old).commit_index();
  lab.pause(old);
  ASSERT_TRUE(lab.at(old).propose(1, kBytes).has_value());
  ASSERT_TRUE(lab.run_until([&] { return lab.leader() != old && lab.leader() != 0; }));
  lab.propose(lab.leader());
  lab.resume(old);
  log_durable(lab.at(old));
  EXPECT_EQ(lab.at(old).commit_index(), commit_index) << "not before the others are asked";
  lab.settle();
  EXPECT_EQ(lab.at(old).role(), Role::kFollower);
  lab.run(kTicksMin);
  EXPECT_EQ(terms_of(lab.at(old).log()), terms_of(lab.at(lab.leader()).log()));
}

}  // namespace
}  // namespace sluice::raft
