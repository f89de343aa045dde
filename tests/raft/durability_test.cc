// Nothing leaves a node that a crash could make it forget.
#include "tests/raft/test_node.h"

namespace sluice::raft {
namespace {

TEST(RaftDurability, S3_AVoteIsGivenOnlyWhenItIsDurable) {
  Raft raft = make_follower(3, 1);
  ask(raft, {.term = 2, .from = 3});
  Outbox outbox = take_outbox(raft);
  EXPECT_TRUE(outbox.hard_state_changed);
  EXPECT_TRUE(outbox.vote_replies.empty());
  raft.on_hard_state_durable({Term(2), kNoNode});
  EXPECT_TRUE(take_outbox(raft).vote_replies.empty()) << "the term is durable, the vote is not";
  raft.on_hard_state_durable({Term(2), node(3)});
  outbox = take_outbox(raft);
  ASSERT_EQ(outbox.vote_replies.size(), 1u);
  EXPECT_EQ(outbox.vote_replies[0].to, node(3));
  EXPECT_TRUE(outbox.vote_replies[0].reply.granted);
}

TEST(RaftDurability, S3_AVoteThatWaitedTooLongIsNotGivenAfterItsTerm) {
  Raft raft = make_follower(3, 1);
  ask(raft, {.term = 2, .from = 3});
  ask(raft, {.term = 3, .from = 2});
  take_outbox(raft);
  raft.on_hard_state_durable({Term(2), node(3)});
  EXPECT_TRUE(take_outbox(raft).vote_replies.empty());
  raft.on_hard_state_durable({Term(3), node(2)});
  const auto reply = take_vote_reply(raft);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->term, Term(3));
}

TEST(RaftDurability, ARefusalPromisesNothingAndLeavesAtOnce) {
  Raft raft = make_follower(3, 1, {1});
  ask(raft, {.term = 2});
  const auto reply = take_vote_reply(raft);
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply->granted);
}

TEST(RaftDurability, APreVoteNeedsNothingDurable) {
  Raft raft = make_follower(3, 1);
  ask(raft, {.term = 2, .pre_vote = true});
  const Outbox outbox = take_outbox(raft);
  EXPECT_FALSE(outbox.hard_state_changed);
  ASSERT_EQ(outbox.vote_replies.size(), 1u);
  EXPECT_TRUE(outbox.vote_replies[0].reply.granted);
  EXPECT_EQ(raft.term(), Term(1));
}

TEST(RaftDurability, S3_ACandidateAsksForVotesOnlyWhenItsOwnIsDurable) {
  Raft raft = make_follower(3, 1);
  time_out(raft);
  take_outbox(raft);
  grant(raft, 2, true);
  ASSERT_EQ(raft.role(), Role::kCandidate);
  Outbox outbox = take_outbox(raft);
  EXPECT_TRUE(outbox.hard_state_changed);
  EXPECT_TRUE(outbox.vote_requests.empty());
  raft.on_link_up(node(2));
  EXPECT_TRUE(take_outbox(raft).vote_requests.empty());
  raft.on_hard_state_durable({Term(2), node(1)});
  EXPECT_EQ(take_outbox(raft).vote_requests.size(), 2u);
}

TEST(RaftDurability, S3_ASingleNodeLeadsOnlyWhenItsVoteIsDurable) {
  Raft raft = make_follower(1, 1);
  raft.tick();
  EXPECT_EQ(raft.role(), Role::kCandidate);
  tick(raft, 100);
  EXPECT_EQ(raft.role(), Role::kCandidate);
  EXPECT_EQ(raft.term(), Term(2)) << "no new term while the vote of this one is being written";
  hard_state_durable(raft);
  EXPECT_EQ(raft.role(), Role::kLeader);
}

TEST(RaftDurability, S7_ASingleNodeCommitsWhatIsDurable) {
  Raft raft = make_follower(1, 0);
  raft.tick();
  hard_state_durable(raft);
  static_cast<void>(raft.propose_noop(kBytes));
  propose(raft);
  EXPECT_EQ(raft.commit_index(), Index(0));
  raft.on_durable(Index(1), Term(1));
  EXPECT_EQ(raft.commit_index(), Index(1));
  raft.on_durable(Index(2), Term(1));
  EXPECT_EQ(raft.commit_index(), Index(2));
}

TEST(RaftDurability, S7_ALeaderCountsItselfOnlyForWhatItsDiskHolds) {
  Raft raft = make_follower(3, 0);
  make_leader(raft, 3);
  send_all(raft, 2);
  accept(raft, 2, Index(1));
  EXPECT_EQ(raft.commit_index(), Index(0));
  log_durable(raft);
  EXPECT_EQ(raft.commit_index(), Index(1));
}

TEST(RaftDurability, AQuorumWithoutTheLeadersDiskCommits) {
  Raft raft = make_follower(3, 0);
  make_leader(raft, 3);
  for (const std::uint32_t follower : {2u, 3u}) {
    send_all(raft, follower);
    accept(raft, follower, Index(1));
  }
  EXPECT_EQ(raft.commit_index(), Index(1));
  EXPECT_EQ(raft.durable_index(), Index(0));
}

TEST(RaftDurability, AFollowerAcknowledgesWhatIsDurable) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1}, {1, 1, 1});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  raft.on_durable(Index(2), Term(1));
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2));
  raft.on_durable(Index(3), Term(1));
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(3));
  raft.on_durable(Index(3), Term(1));
  EXPECT_EQ(take_append_reply(raft), std::nullopt) << "nothing new";
}

TEST(RaftDurability, OneAcknowledgementStandsForAllThatBecameDurable) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1}, {1, 1, 1});
  raft.on_durable(Index(1), Term(1));
  raft.on_durable(Index(2), Term(1));
  raft.on_durable(Index(3), Term(1));
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(3));
}

TEST(RaftDurability, AHeartbeatIsAnsweredWithWhatIsDurableSoFar) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1}, {1, 1});
  raft.on_durable(Index(1), Term(1));
  take_outbox(raft);
  append(raft, {.term = 1, .prev_index = 2, .prev_term = 1});
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(1));
}

TEST(RaftDurability, ARepeatedRequestIsAnsweredAtOnceWhenAllOfItIsDurable) {
  Raft raft = make_follower(3, 1, {1, 1});
  append(raft, {.term = 1}, {1, 1});
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2));
  append(raft, {.term = 1}, {1, 1});
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2));
}

TEST(RaftDurability, AnAcknowledgementNamesOnlyWhatThisLeaderVerified) {
  Raft raft = make_follower(3, 1, {1, 1, 1, 1});
  append(raft, {.term = 2, .prev_index = 2, .prev_term = 1});
  hard_state_durable(raft);
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2))
      << "3 and 4 may contradict this leader";
  append(raft, {.term = 3, .prev_index = 1, .prev_term = 1, .from = 3});
  hard_state_durable(raft);
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(1)) << "and 2 the next one";
}

TEST(RaftDurability, S3_AnAnswerWaitsUntilItsTermIsDurable) {
  Raft raft = make_follower(3, 1, {1});
  append(raft, {.term = 2, .prev_index = 1, .prev_term = 1});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  append(raft, {.term = 2, .prev_index = 9, .prev_term = 2});
  EXPECT_EQ(take_append_reply(raft), std::nullopt) << "a rejection waits too";
  raft.on_hard_state_durable({Term(1), node(3)});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  raft.on_hard_state_durable({Term(2), kNoNode});
  const auto reply = take_append_reply(raft);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->rejected) << "the newest one";
  EXPECT_EQ(reply->term, Term(2));
}

TEST(RaftDurability, AnAnswerThatWaitsIsForgottenWithItsTerm) {
  Raft raft = make_follower(3, 1, {1});
  append(raft, {.term = 2, .prev_index = 1, .prev_term = 1});
  raft.step(node(3), AppendReply{.term = Term(3), .rejected = true});
  ASSERT_EQ(raft.term(), Term(3));
  raft.on_hard_state_durable({Term(2), kNoNode});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  raft.on_hard_state_durable({Term(3), kNoNode});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
}

TEST(RaftDurability, ARefusalThatWaitsIsForgottenWithItsTerm) {
  Raft raft = make_follower(3, 1, {1});
  ask(raft, {.term = 2, .last_index = 1, .last_term = 1, .from = 3});
  append(raft, {.term = 1, .prev_index = 1, .prev_term = 1});
  raft.step(node(3), AppendReply{.term = Term(3), .rejected = true});
  raft.on_hard_state_durable({Term(3), kNoNode});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
}

TEST(RaftDurability, EntriesThatBecomeDurableAfterTheTermEndedAreNotAcknowledged) {
  Raft raft = make_follower(3, 1);
  append(raft, {.term = 1}, {1});
  raft.step(node(3), AppendReply{.term = Term(2), .rejected = true});
  ASSERT_EQ(raft.term(), Term(2));
  hard_state_durable(raft);
  raft.on_durable(Index(1), Term(1));
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
}

TEST(RaftDurability, S3_AStaleLeaderIsRefusedOnceTheNewTermIsDurable) {
  Raft raft = make_follower(3, 1);
  ask(raft, {.term = 2, .from = 3});
  take_outbox(raft);
  append(raft, {.term = 1, .from = 2});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  hard_state_durable(raft);
  const auto reply = take_append_reply(raft);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->term, Term(2));
}

TEST(RaftDurability, S6_ACompletionOfAnOverwrittenEntrySaysNothingAboutTheNewOne) {
  Raft raft = make_follower(3, 2);
  append(raft, {.term = 2}, {1, 2});
  append(raft, {.term = 3, .prev_index = 1, .prev_term = 1, .from = 3}, {3});
  hard_state_durable(raft);
  take_outbox(raft);
  raft.on_durable(Index(2), Term(2));
  EXPECT_EQ(raft.durable_index(), Index(0));
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  raft.on_durable(Index(2), Term(3));
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2));
}

TEST(RaftDurability, S6_WhatLiesBeforeTheOverwrittenPlaceMayStillComplete) {
  Raft raft = make_follower(3, 2);
  append(raft, {.term = 2}, {1, 2});
  append(raft, {.term = 3, .prev_index = 1, .prev_term = 1, .from = 3}, {3});
  hard_state_durable(raft);
  take_outbox(raft);
  raft.on_durable(Index(1), Term(1));
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(1));
}

TEST(RaftDurability, S6_AThirdHistoryWaitsUntilTheSecondIsDurable) {
  // (2, term 2) is on its way to the disk; a leader of term 3 overwrites it; a leader of term 4
  // brings it back. The completion of the first write must not be taken for that of the third: the
  // disk would end with (2, term 3).
  Raft raft = make_follower(3, 2);
  append(raft, {.term = 2}, {1, 2});
  append(raft, {.term = 3, .prev_index = 1, .prev_term = 1, .from = 3}, {3});
  const Append third{.term = 4, .prev_index = 1, .prev_term = 1, .from = 2};
  EXPECT_FALSE(append(raft, third, {2}).accepted);
  hard_state_durable(raft);
  take_outbox(raft);
  raft.on_durable(Index(2), Term(2));
  EXPECT_EQ(raft.durable_index(), Index(0));
  EXPECT_EQ(take_append_reply(raft), std::nullopt);

  raft.on_durable(Index(2), Term(3));
  EXPECT_EQ(append(raft, third, {2}).truncate_from, Index(2));
  raft.on_durable(Index(2), Term(2));
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2));
}

TEST(RaftDurability, TruncationLowersTheDurableIndex) {
  Raft raft = make_follower(3, 2, {1, 2, 2});
  append(raft, {.term = 3, .prev_index = 1, .prev_term = 1, .from = 3}, {3, 3, 3});
  EXPECT_EQ(raft.durable_index(), Index(1));
  hard_state_durable(raft);
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(1));
}

TEST(RaftDurability, ATermKnownOnlyFromTheLogIsTakenOverAtStart) {
  // Entries of term 5 reached the disk, the record of the term did not.
  Raft raft = make_follower(3, 3, {1, 5}, node(2));
  EXPECT_EQ(raft.hard_state(), (HardState{Term(5), kNoNode}));
  EXPECT_TRUE(raft.outbox().hard_state_changed);
  append(raft, {.term = 5, .prev_index = 2, .prev_term = 5});
  EXPECT_EQ(take_append_reply(raft), std::nullopt);
  hard_state_durable(raft);
  EXPECT_EQ(take_append_reply(raft).value().match_index, Index(2));
}

}  // namespace
}  // namespace sluice::raft
