#include "engine/raft/progress.h"

#include <gtest/gtest.h>

namespace sluice::raft {
namespace {

/// A follower with its link up, of a leader whose log ended at 10 when it was elected.
Progress probing(Progress::Limits limits = {.requests_max = 3, .bytes_max = 1000}) {
  Progress progress(limits);
  progress.on_link_up();
  progress.start_term(Index(10));
  return progress;
}

/// Likewise, with everything up to 10 acknowledged.
Progress replicating(Progress::Limits limits = {.requests_max = 3, .bytes_max = 1000}) {
  Progress progress = probing(limits);
  progress.on_empty_sent(Index(10), Index(0));
  EXPECT_TRUE(progress.on_accepted(Index(10)));
  return progress;
}

TEST(RaftProgress, StartsByAskingAboutTheEndOfTheLeadersLog) {
  const Progress progress = probing();
  EXPECT_EQ(progress.state(), Progress::State::kProbe);
  EXPECT_EQ(progress.next_index(), Index(11));
  EXPECT_EQ(progress.match_index(), Index(0));
  EXPECT_TRUE(progress.heartbeat_due());
}

TEST(RaftProgress, ProbesWithOneRequestAtATime) {
  Progress progress = probing();
  ASSERT_TRUE(progress.may_send_entries());
  progress.on_entries_sent(Index(12), 100, Index(0));
  EXPECT_FALSE(progress.may_send_entries());
  EXPECT_EQ(progress.next_index(), Index(11)) << "nothing is taken for granted while probing";
}

TEST(RaftProgress, ReplicatesBehindTheEntriesOfTheProbeThatWasAccepted) {
  Progress progress = probing();
  progress.on_entries_sent(Index(12), 100, Index(0));
  // Its disk is slower than its answer to a heartbeat: only 10 is durable.
  progress.on_accepted(Index(10));
  EXPECT_EQ(progress.state(), Progress::State::kReplicate);
  EXPECT_EQ(progress.next_index(), Index(13)) << "11 and 12 are on their way";
  EXPECT_EQ(progress.inflight_requests(), 1u);
}

TEST(RaftProgress, PipelinesUpToTheWindowInRequests) {
  Progress progress = replicating();
  for (std::uint64_t i = 11; i <= 13; ++i) {
    ASSERT_TRUE(progress.may_send_entries());
    progress.on_entries_sent(Index(i), 1, Index(0));
  }
  EXPECT_FALSE(progress.may_send_entries());
  progress.on_accepted(Index(11));
  EXPECT_TRUE(progress.may_send_entries());
  EXPECT_EQ(progress.next_index(), Index(14));
}

TEST(RaftProgress, PipelinesUpToTheWindowInBytes) {
  Progress progress = replicating({.requests_max = 100, .bytes_max = 1000});
  progress.on_entries_sent(Index(11), 600, Index(0));
  EXPECT_EQ(progress.bytes_room(), 400u);
  progress.on_entries_sent(Index(12), 600, Index(0));
  EXPECT_FALSE(progress.may_send_entries());
  EXPECT_EQ(progress.bytes_room(), 0u);
  progress.on_accepted(Index(12));
  EXPECT_EQ(progress.inflight_bytes(), 0u);
  EXPECT_EQ(progress.bytes_room(), 1000u);
}

TEST(RaftProgress, LetsAnOversizeBatchPassWhenNothingIsInFlight) {
  Progress progress = replicating({.requests_max = 100, .bytes_max = 10});
  ASSERT_TRUE(progress.may_send_entries());
  progress.on_entries_sent(Index(11), 5000, Index(0));
  EXPECT_FALSE(progress.may_send_entries());
  progress.on_accepted(Index(11));
  EXPECT_TRUE(progress.may_send_entries());
}

TEST(RaftProgress, SendsNothingWhileTheLinkIsDown) {
  Progress progress = replicating();
  progress.on_link_down();
  EXPECT_FALSE(progress.may_send_entries());
}

TEST(RaftProgress, SendsAgainWhatABrokenLinkTookWithIt) {
  Progress progress = replicating();
  progress.on_entries_sent(Index(11), 100, Index(0));
  progress.on_entries_sent(Index(14), 100, Index(0));
  progress.on_accepted(Index(11));
  progress.on_link_down();
  progress.on_link_up();
  EXPECT_EQ(progress.state(), Progress::State::kProbe);
  EXPECT_EQ(progress.next_index(), Index(12));
  EXPECT_EQ(progress.inflight_bytes(), 0u);
  EXPECT_EQ(progress.match_index(), Index(11)) << "what was acknowledged stays so";
}

TEST(RaftProgress, FallsBackToProbingOnARejection) {
  Progress progress = replicating();
  progress.on_entries_sent(Index(11), 100, Index(0));
  progress.on_entries_sent(Index(15), 100, Index(0));
  ASSERT_TRUE(progress.rejection_fits(Index(11)));
  progress.on_rejected(Index(10), false);
  EXPECT_EQ(progress.state(), Progress::State::kProbe);
  EXPECT_EQ(progress.next_index(), Index(11));
  EXPECT_EQ(progress.inflight_requests(), 0u);
  EXPECT_TRUE(progress.may_send_entries());
  EXPECT_FALSE(progress.regressed());
}

TEST(RaftProgress, S9_LateRejectionsChangeNothing) {
  Progress progress = replicating();
  EXPECT_FALSE(progress.rejection_fits(Index(0)));
  EXPECT_FALSE(progress.rejection_fits(Index(10))) << "acknowledged since";
  EXPECT_FALSE(progress.rejection_fits(Index(11))) << "never asked about";
  progress.on_link_up();
  EXPECT_FALSE(progress.rejection_fits(Index(10))) << "nothing was asked since the reconnect";
  progress.on_empty_sent(Index(10), Index(0));
  EXPECT_TRUE(progress.rejection_fits(Index(10)));
  EXPECT_FALSE(progress.rejection_fits(Index(9)));
}

TEST(RaftProgress, S9_LateAcceptancesNeverLowerAnything) {
  Progress progress = replicating();
  progress.on_entries_sent(Index(12), 100, Index(0));
  EXPECT_TRUE(progress.on_accepted(Index(12)));
  EXPECT_FALSE(progress.on_accepted(Index(5)));
  EXPECT_FALSE(progress.on_accepted(Index(12)));
  EXPECT_EQ(progress.match_index(), Index(12));
  EXPECT_EQ(progress.next_index(), Index(13));
}

TEST(RaftProgress, AnAcknowledgementOfWhatWasNeverSentDoesNotCount) {
  Progress progress = replicating();
  EXPECT_FALSE(progress.on_accepted(Index(50)));
  EXPECT_EQ(progress.match_index(), Index(10));
}

TEST(RaftProgress, AQuestionWithinABatchCarriesNoEntries) {
  Progress progress = probing();
  progress.on_entries_sent(Index(12), 100, Index(0));
  progress.on_rejected(Index(4), true);
  EXPECT_EQ(progress.next_index(), Index(5));
  EXPECT_FALSE(progress.may_send_entries());
  EXPECT_TRUE(progress.empty_request_due()) << "it is asked at once, not with the next heartbeat";
  progress.on_empty_sent(Index(4), Index(0));
  EXPECT_FALSE(progress.empty_request_due());
  // A late acceptance: what is held ends with a batch, what is probed may not.
  progress.on_accepted(Index(2));
  EXPECT_EQ(progress.next_index(), Index(3));
  EXPECT_TRUE(progress.may_send_entries());
}

TEST(RaftProgress, WaitsForTheHeartbeatWhereNothingCanBeRepaired) {
  Progress progress = probing();
  progress.on_empty_sent(Index(10), Index(0));
  progress.on_rejected(Index(10), false);  // the front of a trimmed log: nowhere to go
  EXPECT_EQ(progress.next_index(), Index(11));
  EXPECT_FALSE(progress.may_send_entries());
}

TEST(RaftProgress, S57_ARegressedFollowerCountsForNothingUntilItIsWholeAgain) {
  Progress progress = replicating();
  progress.on_link_up();
  progress.on_empty_sent(Index(10), Index(0));
  ASSERT_TRUE(progress.rejection_fits(Index(10)));
  progress.on_rejected(Index(3), false);
  EXPECT_TRUE(progress.regressed());
  EXPECT_EQ(progress.match_index(), Index(10)) << "the promise stays on record";
  EXPECT_EQ(progress.counted_index(), Index(0));
  EXPECT_EQ(progress.held_index(), Index(0)) << "so that nothing it needs is trimmed";
  EXPECT_EQ(progress.next_index(), Index(4));

  progress.on_entries_sent(Index(6), 100, Index(0));
  EXPECT_FALSE(progress.on_accepted(Index(6)));
  EXPECT_TRUE(progress.regressed());
  EXPECT_EQ(progress.held_index(), Index(6));
  EXPECT_EQ(progress.counted_index(), Index(0));

  progress.on_entries_sent(Index(11), 100, Index(0));
  EXPECT_TRUE(progress.on_accepted(Index(11)));
  EXPECT_FALSE(progress.regressed());
  EXPECT_EQ(progress.match_index(), Index(11));
  EXPECT_EQ(progress.counted_index(), Index(11));
}

TEST(RaftProgress, S57_AnAcknowledgementFromBeforeTheRegressionDoesNotUndoIt) {
  Progress progress = replicating();
  progress.on_link_up();
  progress.on_empty_sent(Index(10), Index(0));
  progress.on_rejected(Index(3), false);
  progress.on_accepted(Index(10));
  EXPECT_TRUE(progress.regressed());
  EXPECT_EQ(progress.counted_index(), Index(0));
}

TEST(RaftProgressDeathTest, ASenderThatIgnoresTheWindowIsABug) {
  Progress progress = probing();
  progress.on_entries_sent(Index(11), 100, Index(0));
  EXPECT_DEATH(progress.on_entries_sent(Index(12), 100, Index(0)), "may_send_entries");
}

}  // namespace
}  // namespace sluice::raft
