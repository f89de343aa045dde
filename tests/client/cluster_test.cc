// S55: which cluster a client talks to.
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

using ClientCluster = ClientTest;

TEST_F(ClientCluster, S55_AListThatNamesTwoClustersIsRefusedBeforeAnythingIsSent) {
  c.cluster = "other";
  start();
  append(1, "x");
  client->status_at(2, 0, 1000);
  flush(10);
  EXPECT_EQ(events.outcome(1), "refused wrong_cluster");
  EXPECT_FALSE(events.statuses.at(2).reachable);
  EXPECT_EQ(events.statuses.at(2).code, Errc::kWrongCluster);
  append(3, "x");
  flush(10);
  EXPECT_EQ(events.outcome(3), "refused wrong_cluster");
  EXPECT_TRUE(a.appends.empty() && b.appends.empty() && c.appends.empty());
}

TEST_F(ClientCluster, S55_NodesOfAnotherClusterThanTheOneNamedAreRefused) {
  Options options;
  options.cluster_name = "mine";
  start(options);
  append(1, "x");
  client->read(2, {});
  flush(10);
  EXPECT_EQ(events.outcome(1), "refused wrong_cluster");
  EXPECT_EQ(events.reads[2].code, Errc::kWrongCluster);
  EXPECT_EQ(a.hello_names.at(0), "mine");
}

TEST_F(ClientCluster, S55_TheNodesOwnRefusalIsTheSame) {
  for (FakeNode* node : {&a, &b, &c}) node->hello_code = Errc::kWrongCluster;
  start();
  append(1, "x");
  flush(10);
  EXPECT_EQ(events.outcome(1), "refused wrong_cluster");
}

TEST_F(ClientCluster, S55_AForeignNodeThatTurnsUpLaterIsNotUsed) {
  c.dial = FakePeer::Dial::kRefused;
  c.cluster = "other";
  start();
  append(1, "x");
  flush();
  a.ok(a.take(), 1);
  io.run_ms(1);
  c.dial = FakePeer::Dial::kAccepted;
  io.run_ms(600);
  client->status_at(2, 2, 1000);
  append(3, "x", {.node = NodeId(1)});
  flush(1500);
  EXPECT_FALSE(events.statuses.at(2).reachable);
  a.ok(a.take(), 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(3), "ok 2") << "the cluster goes on";
  EXPECT_TRUE(c.appends.empty());
}

TEST_F(ClientCluster, TheFirstRequestsWaitForAllHellosButNotForLong) {
  c.greets = false;
  start();
  append(1, "x");
  flush(290);
  EXPECT_TRUE(a.appends.empty());
  io.run_ms(30);
  EXPECT_EQ(a.appends.size(), 1u);
}

TEST_F(ClientCluster, AHelloThatMakesNoSenseIsNoNode) {
  a.shards = 0;
  start();
  append(1, "x");
  flush(50);
  EXPECT_TRUE(a.appends.empty());
  EXPECT_EQ(b.appends.size(), 1u);
}

TEST_F(ClientCluster, ANodeThatAnswersAtAnotherAddressThanBeforeIsFoundThere) {
  start();
  append(1, "x", {.node = NodeId(2)});
  flush();
  b.ok(b.take(), 1);
  io.run_ms(1);
  // Nodes 2 and 3 swap their addresses.
  b.hang_up();
  c.hang_up();
  std::swap(b.id, c.id);
  io.run_ms(100);
  append(2, "x");
  append(3, "x", {.node = NodeId(3)});
  append(4, "x", {.node = NodeId(2)});
  flush(100);
  append(5, "x", {.node = NodeId(2)});
  flush(100);
  EXPECT_FALSE(c.appends.empty());
}

}  // namespace
}  // namespace sluice::client
