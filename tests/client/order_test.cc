// Leader changes, retries and the order that they keep.
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

using ClientOrder = ClientTest;

TEST_F(ClientOrder, ARedirectWithAHintIsFollowedAtOnce) {
  start();
  append(1, "x");
  flush();
  a.refuse(a.take(), Errc::kNotLeader, 3);
  io.run_ms(1);
  c.ok(c.take(), 5);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "ok 5");
  append(2, "y");
  flush();
  EXPECT_EQ(c.appends.size(), 1u) << "the leader is remembered";
}

TEST_F(ClientOrder, WithoutAHintTheNodesAreAskedInTurnAtAWalkingPace) {
  start();
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node](const Received& batch) {
      node->appends.push_back(batch);
      node->refuse(batch, Errc::kNotLeader);
    };
  }
  append(1, "x");
  flush(15);
  EXPECT_EQ(a.appends.size(), 1u);
  EXPECT_EQ(b.appends.size(), 0u) << "not before 20 ms";
  io.run_ms(1000);
  const std::size_t asked = a.appends.size() + b.appends.size() + c.appends.size();
  EXPECT_GE(asked, 1000u / 70u);
  EXPECT_LE(asked, 1000u / 20u + 1u);
  EXPECT_GT(b.appends.size(), 3u);
  EXPECT_GT(c.appends.size(), 3u);
  c.on_append = [&](const Received& batch) { c.ok(batch, 9); };
  io.run_ms(300);
  EXPECT_EQ(events.outcome(1), "ok 9");
}

TEST_F(ClientOrder, TwoNodesThatNameEachOtherAreNotAskedInACircleWithoutPause) {
  start();
  a.on_append = [&](const Received& batch) {
    a.appends.push_back(batch);
    a.refuse(batch, Errc::kNotLeader, 2);
  };
  b.on_append = [&](const Received& batch) { b.refuse(batch, Errc::kNotLeader, 1); };
  append(1, "x");
  flush(500);
  EXPECT_LE(a.appends.size(), 25u);
}

// Found by the simulator (liveness seed 173597777202256): a deposed leader that is cut off from the
// others knows of no leader, and the follower beside it names it for ever.
TEST_F(ClientOrder, S20_NodesThatNameADeposedLeaderDoNotHideTheNextOne) {
  start();
  for (const std::uint32_t named_by_the_deposed : {0u, 2u}) {
    a.on_append = [&](const Received& batch) {
      a.refuse(batch, Errc::kNotLeader, named_by_the_deposed);
    };
    b.on_append = [&](const Received& batch) { b.refuse(batch, Errc::kNotLeader, 1); };
    c.on_append = [&](const Received& batch) { c.refuse(batch, Errc::kNotLeader, 1); };
    append(1 + named_by_the_deposed, "x");
    flush(500);
    c.on_append = [&](const Received& batch) { c.ok(batch, 7); };
    io.run_ms(500);
    EXPECT_EQ(events.outcome(1 + named_by_the_deposed), "ok 7");
  }
}

TEST_F(ClientOrder, S47_WhatIsUnknownWithAProducerIsSentAgainToTheNextLeaderInOrder) {
  start();
  settle_on_a();
  for (std::uint64_t i = 2; i <= 4; ++i) {
    produce(i);
    flush();
  }
  EXPECT_EQ(sequences_of(a.appends), (Strings{"p2", "p3", "p4"}));
  a.dial = FakePeer::Dial::kRefused;
  a.hang_up();
  io.run_ms(100);
  // The same entries, the first batch alone until the new leader has taken it.
  const Received second = b.take();
  EXPECT_EQ(second.entries, Strings{"p2"});
  EXPECT_EQ(second.first_sequence, Sequence(2));
  EXPECT_TRUE(b.appends.empty());
  b.ok(second, 20, 1);
  io.run_ms(1);
  EXPECT_EQ(sequences_of(b.appends), (Strings{"p3", "p4"}));
  b.ok(b.take(), 21, 1);
  b.ok(b.take(), 22, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 20");
  EXPECT_EQ(events.outcome(4), "ok 22");
  EXPECT_EQ(events.appends[4].term, Term(2));
  EXPECT_EQ(events.order, (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

TEST_F(ClientOrder, S48_WhatIsUnknownWithoutAProducerIsNeverSentAgain) {
  start();
  append(1, "x");
  append(2, "y", {.producer = ProducerId(7), .sequence = Sequence(1)});
  flush();
  a.dial = FakePeer::Dial::kRefused;
  a.hang_up();
  io.run_ms(2000);
  EXPECT_EQ(events.outcome(1), "unknown connection_lost");
  for (FakeNode* node : {&b, &c}) {
    for (const Received& batch : node->appends) EXPECT_EQ(batch.entries, Strings{"y"});
  }
  EXPECT_FALSE(b.appends.empty());
}

TEST_F(ClientOrder, S48_LostLeadershipIsUnknown) {
  start();
  append(1, "x");
  append(2, "y", {.producer = ProducerId(7), .sequence = Sequence(1)});
  flush();
  while (!a.appends.empty()) a.refuse(a.take(), Errc::kLeadershipLost, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "unknown leadership_lost");
  EXPECT_EQ(events.outcome(2), "none");
  io.run_ms(100);
  EXPECT_EQ(b.take().entries, Strings{"y"});
  EXPECT_TRUE(b.appends.empty());
}

TEST_F(ClientOrder, S49_ALeaderChangeInTheMiddleOfABatchLeavesADeclaredPrefix) {
  start();
  settle_on_a();
  for (std::uint64_t i = 2; i <= 6; ++i) produce(i);
  flush();
  const Received batch = a.take();
  ASSERT_EQ(batch.entries.size(), 5u);
  a.ok_part(batch, 0, 2, 2);
  a.refuse_part(batch, 2, 3, Errc::kLeadershipLost, 2);
  io.run_ms(100);
  EXPECT_EQ(events.outcome(3), "ok 3");
  EXPECT_EQ(events.outcome(4), "none") << "no index before it is committed";
  const Received rest = b.take();
  EXPECT_EQ(rest.entries, (Strings{"p4", "p5", "p6"}));
  EXPECT_EQ(rest.first_sequence, Sequence(4));
  // The new leader has the first of them already.
  b.ok_part(rest, 0, 1, 4, 1);
  b.ok_part(rest, 1, 2, 7, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(4), "ok 4");
  EXPECT_EQ(events.outcome(6), "ok 8");
}

TEST_F(ClientOrder, ARefusedBatchTakesThoseBehindItBackWithIt) {
  start();
  settle_on_a();
  for (std::uint64_t i = 2; i <= 4; ++i) {
    produce(i);
    flush();
  }
  const Received second = a.take();
  const Received third = a.take();
  const Received fourth = a.take();
  a.refuse(second, Errc::kOverloaded);
  io.run_ms(1);
  produce(5);
  flush(60);
  EXPECT_TRUE(a.appends.empty()) << "nothing leaves while answers are due";
  a.refuse(third, Errc::kSequenceGap, 0, 2);
  a.refuse(fourth, Errc::kSequenceGap, 0, 2);
  io.run_ms(100);
  EXPECT_EQ(sequences_of(a.appends), Strings{"p2"});
  a.ok(a.take(), 2);
  io.run_ms(1);
  EXPECT_EQ(sequences_of(a.appends), (Strings{"p3", "p4", "p5"}));
  EXPECT_EQ(events.outcome(3), "none") << "the gap was not the caller's";
  std::uint64_t index = 3;
  while (!a.appends.empty()) {
    const Received batch = a.take();
    a.ok(batch, index);
    index += batch.count();
  }
  io.run_ms(1);
  EXPECT_EQ(events.outcome(5), "ok 5");
}

TEST_F(ClientOrder, WithoutAProducerTheRestWaitsForWhatIsSentAgainAsWell) {
  start();
  for (std::uint64_t i = 1; i <= 2; ++i) {
    append(i, "e" + std::to_string(i));
    flush();
  }
  const Received first = a.take();
  const Received second = a.take();
  a.refuse(first, Errc::kOverloaded);
  io.run_ms(1);
  append(3, "e3");
  flush(40);
  EXPECT_TRUE(a.appends.empty()) << "e3 must not overtake e1";
  a.ok(second, 1);
  io.run_ms(100);
  EXPECT_EQ(sequences_of(a.appends), (Strings{"e1", "e3"}));
}

TEST_F(ClientOrder, AGapThatIsTheCallersComesBackWithTheExpectedSequence) {
  start();
  settle_on_a();
  produce(9);
  flush();
  a.refuse(a.take(), Errc::kSequenceGap, 0, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(9), "refused sequence_gap");
  EXPECT_EQ(events.appends[9].expected, Sequence(2));
}

TEST_F(ClientOrder, AGapBehindAnAcceptedBatchIsFoundToBeTheCallersOnTheSecondTry) {
  start();
  settle_on_a();
  produce(2);
  flush();
  produce(9);
  flush();
  const Received second = a.take();
  a.refuse(a.take(), Errc::kSequenceGap, 0, 3);
  io.run_ms(1);
  a.ok(second, 2);
  io.run_ms(100);
  EXPECT_EQ(events.outcome(9), "none");
  a.refuse(a.take(), Errc::kSequenceGap, 0, 3);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(9), "refused sequence_gap");
}

TEST_F(ClientOrder, ANewProducerIsNotPipelinedBeforeItIsKnown) {
  // Else the second batch would be taken as the producer's first when the first is refused.
  start();
  produce(1);
  flush();
  produce(2);
  flush();
  produce(3);
  flush();
  EXPECT_EQ(sequences_of(a.appends), Strings{"p1"});
  a.refuse(a.take(), Errc::kOverloaded);
  io.run_ms(100);
  EXPECT_EQ(sequences_of(a.appends), Strings{"p1"});
  a.ok(a.take(), 1);
  io.run_ms(1);
  EXPECT_EQ(sequences_of(a.appends), (Strings{"p2", "p3"}));
}

TEST_F(ClientOrder, RefusalsThatPassAreRetriedAndOthersAreFinal) {
  start();
  const std::pair<Errc, bool> cases[] = {
      {Errc::kOverloaded, true},      {Errc::kNoSpace, true},         {Errc::kShuttingDown, true},
      {Errc::kNotLeader, true},       {Errc::kTooLarge, false},       {Errc::kUnknownGroup, false},
      {Errc::kSequenceTooOld, false}, {Errc::kInvalidRequest, false}, {Errc::kWrongCluster, false},
  };
  std::uint64_t tag = 0;
  for (const auto& [code, passes] : cases) {
    bool first = true;
    for (FakeNode* node : {&a, &b, &c}) {
      node->on_append = [&, node, refusal = code](const Received& batch) {
        if (std::exchange(first, false)) {
          node->refuse(batch, refusal);
        } else {
          node->ok(batch, 77);
        }
      };
    }
    append(++tag, "x");
    flush(500);
    EXPECT_EQ(events.outcome(tag), passes ? "ok 77" : "refused " + std::string(code_name(code)));
  }
}

TEST_F(ClientOrder, WhatWasUnknownOnceIsNeverCalledRefused) {
  start();
  settle_on_a();
  produce(2, 1000);
  flush();
  a.refuse(a.take(), Errc::kLeadershipLost);
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kOverloaded); };
  }
  io.run_ms(1100);
  EXPECT_EQ(events.outcome(2), "unknown timeout");

  // Nor by a refusal that is final.
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node, first = true](const Received& batch) mutable {
      node->refuse(batch, std::exchange(first, false) ? Errc::kLeadershipLost : Errc::kSequenceGap);
    };
  }
  produce(3, 1000);
  flush(900);
  EXPECT_EQ(events.outcome(3), "unknown sequence_gap");
}

TEST_F(ClientOrder, WhatNeverEnteredALogIsRefusedAtTheTimeOutWithItsLastCode) {
  start();
  const auto all_refuse = [&](Errc code) {
    for (FakeNode* node : {&a, &b, &c}) {
      node->on_append = [node, code](const Received& batch) { node->refuse(batch, code); };
    }
  };
  all_refuse(Errc::kNoSpace);
  append(1, "x", {.timeout_ms = 300});
  flush(400);
  EXPECT_EQ(events.outcome(1), "refused no_space");
  all_refuse(Errc::kNotLeader);
  append(2, "x", {.timeout_ms = 300});
  flush(400);
  EXPECT_EQ(events.outcome(2), "refused unreachable") << "not_leader is for requests with a node";
}

TEST_F(ClientOrder, WhatTimedOutAsRefusedIsNotInTheBatchThatIsSentLater) {
  start();
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kOverloaded); };
  }
  append(1, "one");
  append(2, "short", {.timeout_ms = 100});
  append(3, "three");
  flush(200);
  EXPECT_EQ(events.outcome(2), "refused overloaded");
  for (FakeNode* node : {&a, &b, &c}) node->on_append = nullptr;
  io.run_ms(100);
  const auto arrived = sequences_of(a.appends);
  EXPECT_EQ(arrived, (Strings{"one", "three"}));
  a.ok(a.take(), 1);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "ok 1");
  EXPECT_EQ(events.outcome(3), "ok 2");
}

TEST_F(ClientOrder, WhatWouldFollowARefusedSequenceIsRefusedAsAGap) {
  start();
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kOverloaded); };
  }
  produce(1, 5000);
  produce(2, 100);
  produce(3, 5000);
  flush(200);
  EXPECT_EQ(events.outcome(2), "refused overloaded");
  EXPECT_EQ(events.outcome(3), "refused sequence_gap");
  EXPECT_EQ(events.appends[3].expected, Sequence(2));
  EXPECT_EQ(events.outcome(1), "none");
}

TEST_F(ClientOrder, WhatTimedOutAsUnknownIsSentAgainAheadOfWhatFollowsIt) {
  start();
  settle_on_a();
  produce(2, 200);
  produce(3, 5000);
  flush(300);
  EXPECT_EQ(events.outcome(2), "unknown timeout");
  EXPECT_EQ(events.outcome(3), "none");
  a.dial = FakePeer::Dial::kRefused;
  a.hang_up();
  io.run_ms(100);
  const Received batch = b.take();
  EXPECT_EQ(batch.entries, (Strings{"p2", "p3"})) << "or the new leader would see a gap";
  b.ok(batch, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(3), "ok 3");
  EXPECT_EQ(events.outcome(2), "unknown timeout");
}

TEST_F(ClientOrder, AnAnswerToATransmissionThatIsOverChangesNothing) {
  start();
  settle_on_a();
  produce(2, 200);
  flush(300);
  EXPECT_EQ(events.outcome(2), "unknown timeout");
  produce(3);
  flush();
  a.ok(a.take(), 2);  // to sequence 2, which nobody waits for
  io.run_ms(1);
  EXPECT_EQ(events.outcome(3), "none");
  a.ok(a.take(), 3);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(3), "ok 3");
}

TEST_F(ClientOrder, WhatADeposedLeaderHoldsBackDoesNotHoldUpOthers) {
  start();
  append(1, "held");
  flush();
  const Received held = a.take();
  append(2, "next");
  flush();
  a.refuse(a.take(), Errc::kNotLeader, 2);
  io.run_ms(200);
  b.ok(b.take(), 5);
  append(3, "later");
  flush();
  b.ok(b.take(), 6);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 5");
  EXPECT_EQ(events.outcome(3), "ok 6");
  EXPECT_EQ(events.outcome(1), "none");
  a.ok(held, 4);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "ok 4");
  EXPECT_TRUE(b.appends.empty());
}

TEST_F(ClientOrder, AProducerDoesNotWaitLongForADeposedLeaderEither) {
  start();
  settle_on_a();
  produce(2);
  flush();
  const Received held = a.take();
  produce(3);
  flush();
  a.refuse(a.take(), Errc::kNotLeader, 2);
  io.run_ms(200);
  const Received again = b.take();
  EXPECT_EQ(again.entries, Strings{"p2"});
  b.ok(again, 2);
  io.run_ms(1);
  b.ok(b.take(), 3);
  a.refuse(held, Errc::kLeadershipLost);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 2");
  EXPECT_EQ(events.outcome(3), "ok 3");
}

TEST_F(ClientOrder, WhatADeposedLeaderHoldsBackIsNeverCalledRefused) {
  start();
  settle_on_a();
  produce(2, 1000);
  flush();
  const Received held = a.take();
  produce(3, 1000);
  flush();
  a.refuse(a.take(), Errc::kNotLeader, 2);
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kOverloaded); };
  }
  io.run_ms(1100);
  EXPECT_EQ(events.outcome(2), "unknown timeout") << "node 1 may still commit it";
  EXPECT_EQ(events.outcome(3), "refused unreachable");
}

}  // namespace
}  // namespace sluice::client
