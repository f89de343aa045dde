// What follows a sequence that was refused for good is refused as a gap, also where no leader has
// heard of the producer and would take any sequence as its first.
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

class ClientGap : public ClientTest {
 protected:
  void produce_bytes(std::uint64_t tag, std::uint64_t sequence, std::size_t size_bytes) {
    append(tag, std::string(size_bytes, 'x'),
           {.producer = ProducerId(7), .sequence = Sequence(sequence)});
  }
};

TEST_F(ClientGap, BehindAnEntryThatIsTooLarge) {
  start();
  produce_bytes(1, 1, 2u << 20);
  produce(2);
  produce(3);
  flush(10);
  EXPECT_EQ(events.outcome(1), "refused too_large");
  EXPECT_EQ(events.outcome(2), "refused sequence_gap");
  EXPECT_EQ(events.outcome(3), "refused sequence_gap");
  EXPECT_EQ(events.appends[3].expected, Sequence(1));
  EXPECT_TRUE(a.appends.empty());
  // With the outcomes in hand the caller begins again.
  produce_bytes(11, 1, 3);
  produce_bytes(12, 2, 3);
  flush(10);
  EXPECT_EQ(a.take().count(), 2u);
}

TEST_F(ClientGap, TheSequenceItselfMayBeAppendedAgainAtOnce) {
  start();
  produce_bytes(1, 1, 2u << 20);
  produce_bytes(11, 1, 3);
  produce(2);
  flush(10);
  EXPECT_EQ(a.take().count(), 2u);
}

TEST_F(ClientGap, BehindAnEntryThatFoundNoRoom) {
  Options options;
  options.inflight_bytes_max = 64u << 10;
  start(options);
  produce_bytes(1, 1, 50'000);
  produce_bytes(2, 2, 30'000);
  produce_bytes(3, 3, 10);
  flush(10);
  EXPECT_EQ(events.outcome(2), "refused overloaded");
  EXPECT_EQ(events.outcome(3), "refused sequence_gap");
  EXPECT_EQ(a.take().count(), 1u);
}

TEST_F(ClientGap, BehindAFinalRefusalOfANodeBeforeTheProducerIsKnown) {
  start();
  produce(1);
  flush();
  produce(2);
  flush();
  a.refuse(a.take(), Errc::kTooLarge);
  io.run_ms(50);
  EXPECT_EQ(events.outcome(1), "refused too_large");
  EXPECT_EQ(events.outcome(2), "refused sequence_gap");
  EXPECT_EQ(events.appends[2].expected, Sequence(1));
  EXPECT_TRUE(a.appends.empty());
}

TEST_F(ClientGap, BehindAnEntryThatTurnsOutToBeTooLargeWithTheHello) {
  a.batch_bytes_max = 2048;
  start();
  produce_bytes(1, 1, 500);
  produce_bytes(2, 2, 3000);
  produce_bytes(3, 3, 500);
  produce_bytes(9, 9, 500);
  flush(10);
  EXPECT_EQ(events.outcome(2), "refused too_large");
  EXPECT_EQ(events.outcome(3), "refused sequence_gap");
  EXPECT_EQ(events.outcome(9), "refused sequence_gap");
  EXPECT_EQ(a.take().count(), 1u);
  EXPECT_TRUE(a.appends.empty());
}

TEST_F(ClientGap, ALeaderThatIsNotInTheListIsNamedInTheOutcome) {
  start({.nodes = {"a:1", "b:1"}, .cluster_name = {}});
  for (FakeNode* node : {&a, &b}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kNotLeader, 3); };
  }
  append(1, "x", {.timeout_ms = 300});
  flush(400);
  EXPECT_EQ(events.outcome(1), "refused unreachable");
  EXPECT_EQ(events.appends[1].leader, NodeId(3));
}

}  // namespace
}  // namespace sluice::client
