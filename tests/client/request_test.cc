// Status and trim.
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

class ClientRequest : public ClientTest {
 protected:
  /// Answers status with the groups of the shard that is asked, of `groups`.
  static void serve_status(FakeNode& node) {
    node.on_status = [&node](int socket, ShardId shard, const wire::ClientStatus& status) {
      flatbuffers::FlatBufferBuilder envelope;
      std::vector<wire::GroupStatus> groups;
      for (std::uint32_t g = node.groups; g-- > 0;) {
        if (g % node.shards != shard.value()) continue;
        groups.emplace_back(3, 1, 20 + g, 19, 18, g, node.id.value(), std::uint8_t{3},
                            std::uint8_t{0}, std::uint16_t{0}, 0u);
      }
      const auto vector = envelope.CreateVectorOfStructs(groups);
      const auto policy = envelope.CreateString("always");
      const wire::ShardCounters counters(1, 2, 3, 4, 5, 6);
      envelope.Finish(wire::CreateClientStatusReply(envelope, status.request_id(), node.id.value(),
                                                    shard.value(), policy, vector, &counters));
      node.send_frame(socket, FrameKind::kClientStatusReply, envelope);
    };
  }

  static void answer_trim(FakeNode& node, Errc code, std::uint64_t first,
                          std::uint32_t leader = 0) {
    node.on_trim = [&node, code, first, leader](int socket, const wire::ClientTrim& trim) {
      flatbuffers::FlatBufferBuilder envelope;
      envelope.Finish(wire::CreateClientTrimReply(envelope, trim.request_id(),
                                                  static_cast<std::uint16_t>(code), first, leader));
      node.send_frame(socket, FrameKind::kClientTrimReply, envelope);
    };
  }
};

TEST_F(ClientRequest, StatusAsksEachShardAndAddsUp) {
  for (FakeNode* node : {&a, &b, &c}) {
    node->shards = 3;
    node->groups = 7;
    serve_status(*node);
  }
  start();
  client->status(1, NodeId(2), 1000);
  client->status_at(2, 2, 1000);
  flush(5);
  const NodeStatus& status = events.statuses.at(1);
  EXPECT_TRUE(status.reachable);
  EXPECT_EQ(status.node, NodeId(2));
  EXPECT_EQ(status.address, "b:1");
  EXPECT_EQ(status.fsync_policy, "always");
  ASSERT_EQ(status.groups.size(), 7u);
  for (std::uint32_t g = 0; g < 7; ++g) {
    EXPECT_EQ(status.groups[g].group, GroupId(g));
    EXPECT_EQ(status.groups[g].last_index, Index(20 + g));
  }
  EXPECT_EQ(status.groups[0].commit_index, Index(18));
  EXPECT_EQ(status.groups[0].durable_index, Index(19));
  EXPECT_EQ(status.groups[0].role, 3);
  EXPECT_EQ(status.counters.flushes(), 6u);
  EXPECT_EQ(events.statuses.at(2).node, NodeId(3));
}

TEST_F(ClientRequest, StatusOfANodeThatIsAwaySaysSoAtOnce) {
  for (FakeNode* node : {&a, &b, &c}) serve_status(*node);
  b.dial = FakePeer::Dial::kRefused;
  start();
  client->status(1, NodeId(2), 5000);
  client->status_at(2, 1, 5000);
  client->status_at(3, 0, 5000);
  flush(50);
  EXPECT_FALSE(events.statuses.at(1).reachable);
  EXPECT_EQ(events.statuses.at(1).node, NodeId(2));
  EXPECT_FALSE(events.statuses.at(2).reachable);
  EXPECT_EQ(events.statuses.at(2).address, "b:1");
  EXPECT_TRUE(events.statuses.at(3).reachable);
}

TEST_F(ClientRequest, StatusOfANodeThatWentAwayNamesItByItsId) {
  for (FakeNode* node : {&a, &b, &c}) serve_status(*node);
  start();
  client->status(1, NodeId(2), 1000);
  flush(5);
  b.dial = FakePeer::Dial::kRefused;
  b.hang_up();
  io.run_ms(5);
  client->status_at(2, 1, 1000);
  flush(600);
  EXPECT_TRUE(events.statuses.at(1).reachable);
  EXPECT_FALSE(events.statuses.at(2).reachable);
  EXPECT_EQ(events.statuses.at(2).node, NodeId(2));
}

TEST_F(ClientRequest, StatusOfANodeThatHangsEndsAtTheTimeOut) {
  a.shards = 2;
  a.on_status = [&](int, ShardId, const wire::ClientStatus&) {};
  start();
  client->status_at(1, 0, 400);
  flush(390);
  EXPECT_FALSE(events.statuses.contains(1));
  io.run_ms(30);
  EXPECT_FALSE(events.statuses.at(1).reachable);
  EXPECT_EQ(events.statuses.at(1).code, Errc::kTimeout);
  EXPECT_EQ(client->pending(), 0u);
}

TEST_F(ClientRequest, S46_StatusNamesANodeThatSpeaksAnotherVersion) {
  b.greets = false;
  start();
  client->status_at(1, 1, 1000);
  client->flush();
  io.run_ms(10);
  ASSERT_EQ(b.hello_sockets.size(), 1u);
  std::vector<std::byte> frame(24);
  write_frame_prefix(frame, FrameKind::kHelloReply, {}, 0);
  frame[4] = std::byte{kFrameVersion + 1};
  b.send_raw(b.hello_sockets[0], frame);
  io.run_ms(10);
  EXPECT_FALSE(events.statuses.at(1).reachable);
  EXPECT_EQ(events.statuses.at(1).code, Errc::kBadVersion);
}

TEST_F(ClientRequest, StatusAtAnAddressBeyondTheListIsInvalid) {
  start();
  client->status_at(1, 3, 400);
  flush(50);
  EXPECT_FALSE(events.statuses.at(1).reachable);
  EXPECT_EQ(events.statuses.at(1).code, Errc::kInvalidRequest);
}

TEST_F(ClientRequest, TrimGoesToTheLeader) {
  answer_trim(a, Errc::kNotLeader, 0, 3);
  answer_trim(c, Errc::kOk, 40);
  start();
  client->trim(1, GroupId(0), Index(42), 1000);
  flush(5);
  EXPECT_EQ(events.trims.at(1).code, Errc::kOk);
  EXPECT_EQ(events.trims.at(1).first_index, Index(40));
}

TEST_F(ClientRequest, TrimIsRetriedUntilItsTimeOutUnlessItIsWrong) {
  answer_trim(a, Errc::kOverloaded, 1);
  start();
  client->trim(1, GroupId(0), Index(42), 500);
  flush(400);
  EXPECT_FALSE(events.trims.contains(1));
  io.run_ms(150);
  EXPECT_EQ(events.trims.at(1).code, Errc::kOverloaded);
  answer_trim(a, Errc::kInvalidRequest, 1);
  client->trim(2, GroupId(0), Index(42), 500);
  flush(5);
  EXPECT_EQ(events.trims.at(2).code, Errc::kInvalidRequest);
}

}  // namespace
}  // namespace sluice::client
