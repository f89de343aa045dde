// Reads: what is cut, what is refused, and that they never go back.
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

class ClientRead : public ClientTest {
 protected:
  using Batches = std::vector<std::vector<std::byte>>;

  static std::vector<std::byte> batch(std::uint64_t first, const Strings& entries,
                                      BatchKind kind = BatchKind::kData) {
    return sealed_batch("test", GroupId(0), Index(first), Term(1), entries, kind);
  }

  /// The node answers each read with these.
  static void serve(FakeNode& node, std::uint64_t commit, Batches batches = {},
                    Errc code = Errc::kOk, std::uint64_t first = 1) {
    node.on_read = [&node, commit, batches, code, first](int socket, const wire::ClientRead& read) {
      node.reply_read(socket, read.request_id(), code, commit, first, batches);
    };
  }
};

TEST_F(ClientRead, CutsWholeBatchesToWhatWasAskedAndCommitted) {
  serve(a, 6,
        {batch(1, {""}, BatchKind::kNoop), batch(2, {"b", "c"}), batch(4, {"d", "e", "f", "g"})});
  start();
  client->read(1, {.from = Index(1)});
  client->read(2, {.from = Index(3), .count_max = 2});
  client->read(3, {.from = Index(3), .count_max = 0});
  flush(5);
  EXPECT_EQ(events.reads[1].entries, (Strings{"1!", "2:b", "3:c", "4:d", "5:e", "6:f"}));
  EXPECT_EQ(events.reads[2].entries, (Strings{"3:c", "4:d"}));
  EXPECT_EQ(events.reads[3].entries, (Strings{"3:c", "4:d", "5:e", "6:f"}));
  EXPECT_EQ(events.reads[1].commit, 6u);
  EXPECT_EQ(events.reads[1].node, 1u);
}

TEST_F(ClientRead, S50_ReadsWithoutANodeNeverGoBack) {
  serve(a, 10, {batch(1, {"a"})});
  start();
  client->read(1, {});
  flush(5);
  EXPECT_EQ(events.reads[1].commit, 10u);
  // Node 1 goes; node 2 is behind it, node 3 is not.
  a.dial = FakePeer::Dial::kRefused;
  a.hang_up();
  io.run_ms(1);
  serve(b, 9, {batch(1, {"a"})});
  serve(c, 11, {batch(1, {"a"})});
  client->read(2, {});
  flush(200);
  EXPECT_EQ(events.reads[2].commit, 11u);
  EXPECT_EQ(events.reads[2].node, 3u);
  // Nobody is as far as that: no answer is better than an old one.
  serve(c, 10, {batch(1, {"a"})});
  client->read(3, {.timeout_ms = 300});
  flush(400);
  EXPECT_EQ(events.reads[3].code, Errc::kTimeout);
  EXPECT_TRUE(events.reads[3].entries.empty());
  // With a node, what that node says.
  client->read(4, {.node = NodeId(2)});
  flush(5);
  EXPECT_EQ(events.reads[4].commit, 9u);
}

TEST_F(ClientRead, TrimmedComesWithTheFirstIndex) {
  serve(a, 10, {}, Errc::kTrimmed, 7);
  start();
  client->read(1, {});
  client->read(2, {.node = NodeId(1)});
  flush(5);
  EXPECT_EQ(events.reads[1].code, Errc::kTrimmed);
  EXPECT_EQ(events.reads[1].first, 7u);
  EXPECT_EQ(events.reads[2].first, 7u);
}

TEST_F(ClientRead, AboveTheCommitIndexIsAnEmptyAnswer) {
  serve(a, 10);
  start();
  client->read(1, {.from = Index(11)});
  flush(5);
  EXPECT_EQ(events.reads[1].code, Errc::kOk);
  EXPECT_EQ(events.reads[1].commit, 10u);
}

TEST_F(ClientRead, AnAnswerThatOnlySaysThatSomethingCameIsAskedForMore) {
  int asked = 0;
  a.on_read = [&](int socket, const wire::ClientRead& read) {
    EXPECT_GT(read.wait_ms(), 0u);
    if (++asked == 1) {
      a.reply_read(socket, read.request_id(), Errc::kOk, 3, 1);
    } else {
      a.reply_read(socket, read.request_id(), Errc::kOk, 3, 1, {batch(3, {"new"})});
    }
  };
  start();
  client->read(1, {.from = Index(3), .wait_ms = 1000});
  flush(2);
  EXPECT_EQ(events.reads[1].entries, Strings{"3:new"});
  EXPECT_EQ(asked, 2);
}

TEST_F(ClientRead, ANodeThatWaitsIsGivenLessThanTheTimeOut) {
  std::uint32_t wait_ms = 0;
  a.on_read = [&](int, const wire::ClientRead& read) { wait_ms = read.wait_ms(); };
  start();
  client->read(1, {.timeout_ms = 1000, .wait_ms = 60'000});
  flush(5);
  EXPECT_GT(wait_ms, 500u);
  EXPECT_LT(wait_ms, 800u);
}

TEST_F(ClientRead, UnknownGroupIsFinalAndUnreachableComesAtTheTimeOut) {
  serve(a, 0, {}, Errc::kUnknownGroup);
  b.dial = FakePeer::Dial::kRefused;
  start();
  client->read(1, {});
  client->read(2, {.timeout_ms = 300, .node = NodeId(2)});
  client->read(3, {.timeout_ms = 300, .node = NodeId(3)});
  flush(350);
  EXPECT_EQ(events.reads[1].code, Errc::kUnknownGroup);
  EXPECT_EQ(events.reads[2].code, Errc::kUnreachable);
  EXPECT_EQ(events.reads[3].code, Errc::kTimeout);
}

TEST_F(ClientRead, ABrokenConnectionIsNoReasonToFail) {
  start();
  a.on_read = [&](int socket, const wire::ClientRead&) { io.peer_closes(socket); };
  serve(b, 5, {batch(1, {"a"})});
  client->read(1, {});
  flush(100);
  EXPECT_EQ(events.reads[1].entries, Strings{"1:a"});
  EXPECT_EQ(events.reads[1].node, 2u);
}

TEST_F(ClientRead, S45_BatchesThatAreNotWhatTheyClaimCloseTheConnection) {
  std::vector<std::byte> damaged = batch(1, {"a"});
  damaged[100] ^= std::byte{1};
  const std::vector<Batches> nonsense{
      {damaged},
      {batch(1, {"a"}), batch(3, {"c"})},  // 2 is missing
      {batch(2, {"b"})},                   // 1 is missing
      {sealed_batch("test", GroupId(1), Index(1), Term(1), {"a"})},
      {sealed_batch("other", GroupId(0), Index(1), Term(1), {"a"})},
  };
  start();
  std::uint64_t tag = 0;
  for (const Batches& batches : nonsense) {
    int first_socket = 0;
    a.on_read = [&](int socket, const wire::ClientRead& read) {
      first_socket = socket;
      a.reply_read(socket, read.request_id(), Errc::kOk, 5, 1, batches);
    };
    serve(b, 5, {batch(1, {"good"})});
    serve(c, 5, {batch(1, {"good"})});
    client->read(++tag, {.node = kNoNode});
    flush(1500);
    EXPECT_EQ(events.reads[tag].entries, Strings{"1:good"});
    if (first_socket != 0) {
      EXPECT_FALSE(io.is_open(first_socket)) << "nonsense number " << tag;
    }
    client->read(++tag, {.timeout_ms = 200, .node = NodeId(1)});
    flush(600);
    EXPECT_NE(events.reads[tag].code, Errc::kOk);
    EXPECT_NE(first_socket, 0);
    EXPECT_FALSE(io.is_open(first_socket)) << "nonsense number " << tag;
  }
}

TEST_F(ClientRead, AnswersLargerThanTheReceiveBufferArrive) {
  Strings entries(60, std::string(1000, 'x'));
  Batches batches;
  for (std::uint64_t i = 0; i < 10; ++i) batches.push_back(batch(1 + i * 60, entries));
  serve(a, 600, batches);
  io.recv_bytes_max = 30'000;
  start();
  for (std::uint64_t tag = 1; tag <= 3; ++tag) {
    client->read(tag, {});
    flush(5);
    EXPECT_EQ(events.reads[tag].entries.size(), 600u);
  }
}

TEST_F(ClientRead, EntriesLiveUntilTheHandlerReturnsEvenIfItCloses) {
  serve(a, 2, {batch(1, {"one", "two"})});
  start();
  events.then = [&](std::uint64_t) { client->close(); };
  client->read(1, {});
  flush(5);
  EXPECT_EQ(events.reads[1].entries, (Strings{"1:one", "2:two"}));
}

}  // namespace
}  // namespace sluice::client
