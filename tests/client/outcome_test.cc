// Time-outs, lost connections, requests to one node, nonsense from a node.
#include <cstring>

#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

using ClientOutcome = ClientTest;

TEST_F(ClientOutcome, S48_SentWithoutAnAnswerIsUnknownAtTheTimeOut) {
  start();
  append(1, "x", {.timeout_ms = 300});
  append(2, "y", {.timeout_ms = 600});
  flush(290);
  EXPECT_EQ(events.outcome(1), "none");
  io.run_ms(25);
  EXPECT_EQ(events.outcome(1), "unknown timeout");
  EXPECT_EQ(events.outcome(2), "none") << "entries of one batch have time-outs of their own";
  a.ok(a.take(), 1);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 2");
}

TEST_F(ClientOutcome, NeverConnectedIsRefusedAsUnreachable) {
  for (FakeNode* node : {&a, &b, &c}) node->dial = FakePeer::Dial::kRefused;
  start();
  append(1, "x", {.timeout_ms = 400});
  flush(390);
  EXPECT_EQ(events.outcome(1), "none") << "a node may come back until the time-out";
  io.run_ms(30);
  EXPECT_EQ(events.outcome(1), "refused unreachable");
}

TEST_F(ClientOutcome, ADialThatNobodyAnswersEndsAndAnotherNodeIsAsked) {
  a.dial = FakePeer::Dial::kNoAnswer;
  start();
  append(1, "x");
  flush(2000);
  EXPECT_FALSE(b.appends.empty());
}

TEST_F(ClientOutcome, ADialOrHelloThatHangsIsGivenUpAndMadeAgain) {
  a.dial = FakePeer::Dial::kNoAnswer;
  b.greets = false;
  start();
  append(1, "x", {.node = NodeId(1)});
  append(2, "x", {.node = NodeId(2)});
  flush(500);
  a.dial = FakePeer::Dial::kAccepted;
  b.greets = true;
  io.run_ms(400);
  EXPECT_TRUE(a.appends.empty() && b.appends.empty());
  io.run_ms(700);
  EXPECT_EQ(a.appends.size(), 1u);
  EXPECT_EQ(b.appends.size(), 1u);
}

TEST_F(ClientOutcome, ANodeThatComesBackIsFoundWithinTheTimeOut) {
  for (FakeNode* node : {&a, &b, &c}) node->dial = FakePeer::Dial::kRefused;
  start();
  append(1, "x");
  flush(2000);
  b.dial = FakePeer::Dial::kAccepted;
  io.run_ms(600);
  b.ok(b.take(), 1);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "ok 1");
}

TEST_F(ClientOutcome, FailedDialsArePacedFrom20To500Milliseconds) {
  for (FakeNode* node : {&a, &b, &c}) node->greets = false;
  a.hello_code = Errc::kShuttingDown;
  a.greets = true;
  start();
  append(1, "x", {.timeout_ms = 10'000});
  flush(10'000);
  EXPECT_GE(a.hellos, 20u);
  EXPECT_LE(a.hellos, 40u);
}

TEST_F(ClientOutcome, ARequestWithANodeGoesThereAloneAndIsNotRetried) {
  start();
  const AppendOptions to_b{.node = NodeId(2)};
  append(1, "x", to_b);
  flush();
  b.refuse(b.take(), Errc::kNotLeader, 3);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "not_leader 3");
  append(2, "x", to_b);
  flush();
  b.refuse(b.take(), Errc::kNoSpace);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "refused no_space");
  append(3, "x", to_b);
  flush();
  b.refuse(b.take(), Errc::kLeadershipLost);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(3), "unknown leadership_lost");
  append(4, "x", {.producer = ProducerId(1), .sequence = Sequence(1), .node = NodeId(2)});
  flush();
  b.hang_up();
  io.run_ms(1000);
  EXPECT_EQ(events.outcome(4), "unknown connection_lost");
  EXPECT_EQ(b.appends.size(), 1u);
  EXPECT_TRUE(a.appends.empty());
  EXPECT_TRUE(c.appends.empty());
}

TEST_F(ClientOutcome, ARequestToANodeThatIsAwayIsRefusedAtTheTimeOut) {
  b.dial = FakePeer::Dial::kRefused;
  start();
  append(1, "x", {.timeout_ms = 500, .node = NodeId(2)});
  append(2, "x", {.timeout_ms = 500, .node = NodeId(1)});
  flush(490);
  EXPECT_EQ(events.outcome(1), "none");
  io.run_ms(30);
  EXPECT_EQ(events.outcome(1), "refused unreachable");
  EXPECT_EQ(events.outcome(2), "unknown timeout");
  EXPECT_TRUE(c.appends.empty());
}

TEST_F(ClientOutcome, ANodeThatIsNotInTheListIsUnreachable) {
  start();
  append(1, "x", {.node = NodeId(9)});
  flush(10);
  EXPECT_EQ(events.outcome(1), "refused unreachable");
}

TEST_F(ClientOutcome, S42_AConnectionThatStaysSilentPastATimeOutIsGivenUp) {
  start();
  append(1, "x", {.timeout_ms = 1500});
  append(2, "y", {.producer = ProducerId(1), .sequence = Sequence(1), .timeout_ms = 9000});
  flush(1600);
  EXPECT_EQ(events.outcome(1), "unknown timeout");
  EXPECT_EQ(events.outcome(2), "none");
  io.run_ms(100);
  const Received again = b.take();
  EXPECT_EQ(again.entries, Strings{"y"}) << "the next node is asked";
}

TEST_F(ClientOutcome, AShortTimeOutDoesNotCostOthersTheConnection) {
  start();
  append(0, "warm");
  flush();
  a.ok(a.take(), 1);
  io.run_ms(10'000);  // silence without a request says nothing
  append(1, "x", {.timeout_ms = 50});
  append(2, "y");
  flush(200);
  EXPECT_EQ(events.outcome(1), "unknown timeout");
  a.ok(a.take(), 5);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 6");
}

TEST_F(ClientOutcome, S45_GarbageClosesTheConnectionAndNothingElse) {
  start();
  std::string text(64, 'z');
  std::vector<std::byte> header(24);
  const wire::FrameHeader oversize(kFrameMagic, kFrameVersion, 4, 0, 0x7ffffff8u, 0, 0);
  std::memcpy(header.data(), &oversize, sizeof oversize);  // S44: refused before it is allocated
  std::vector<std::byte> empty_reply(24);
  write_frame_prefix(empty_reply, FrameKind::kClientAppendReply, {}, 0);
  std::vector<std::byte> hello(24);
  write_frame_prefix(hello, FrameKind::kHello, {}, 0);
  const std::vector<std::span<const std::byte>> nonsense{std::as_bytes(std::span(text)), header,
                                                         empty_reply, hello};
  std::uint64_t tag = 0;
  for (const auto& bytes : nonsense) {
    append(++tag, "x", {.node = NodeId(1)});
    flush(600);
    const Received batch = a.take();
    a.send_raw(batch.socket, bytes);
    io.run_ms(1);
    EXPECT_FALSE(io.is_open(batch.socket)) << "after garbage number " << tag;
    EXPECT_EQ(events.outcome(tag), "unknown connection_lost");
  }
  append(++tag, "x", {.node = NodeId(1)});
  flush(600);
  a.ok(a.take(), 1);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(tag), "ok 1");
}

TEST_F(ClientOutcome, S45_NoFlippedByteOfAnAnswerIsTakenForAnOutcome) {
  std::size_t size_bytes = 1;
  for (std::size_t at = 0; at < size_bytes; ++at) {
    start();
    append(1, "x", {.timeout_ms = 100});
    flush();
    const Received batch = a.take();
    flatbuffers::FlatBufferBuilder envelope;
    const std::vector<wire::AppendResult> results{{batch.request_id, 1, 1, 0, 0, 1, 1, 0, 0}};
    const auto vector = envelope.CreateVectorOfStructs(results);
    envelope.Finish(wire::CreateClientAppendReply(envelope, vector));
    std::vector<std::byte> frame = FakeNode::frame_of(FrameKind::kClientAppendReply, envelope);
    size_bytes = frame.size();
    frame[at] ^= std::byte{0x10};
    a.send_raw(batch.socket, frame);
    io.run_ms(200);
    EXPECT_EQ(events.appends[1].status, Status::kUnknown) << "byte " << at;
    close();
    events.appends.clear();
    a.appends.clear();
    io.run_ms(1000);
  }
  EXPECT_GT(size_bytes, 80u);
}

TEST_F(ClientOutcome, S45_AnAnswerBeyondTheBatchIsNonsense) {
  start();
  append(1, "x");
  flush();
  const Received batch = a.take();
  a.ok_part(batch, 0xffffffff, 2, 1);
  io.run_ms(1);
  EXPECT_FALSE(io.is_open(batch.socket));
  EXPECT_EQ(events.outcome(1), "unknown connection_lost");
}

TEST_F(ClientOutcome, AnAnswerFromAnotherConnectionIsNotTaken) {
  start();
  append(1, "x");
  append(2, "y", {.group = GroupId(1)});
  flush();
  Received forged = a.take();
  forged.socket = b.take().socket;
  b.ok(forged, 9);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "none");
}

TEST_F(ClientOutcome, CloseGivesEveryRequestItsOutcome) {
  start();
  append(1, "sent");
  flush();
  io.sends_stall = true;
  append(2, "in the send that stalls");
  flush();
  append(3, "gathered");
  client->read(4, {.timeout_ms = 1000});
  client->status_at(5, 0, 1000);
  client->trim(6, GroupId(0), Index(1), 1000);
  client->close();
  EXPECT_EQ(events.outcome(1), "none") << "not from inside the call";
  append(7, "too late");
  close();
  EXPECT_EQ(events.outcome(1), "unknown connection_lost");
  EXPECT_EQ(events.outcome(2), "unknown connection_lost");
  EXPECT_EQ(events.outcome(3), "refused shutting_down");
  EXPECT_EQ(events.outcome(7), "refused shutting_down");
  EXPECT_EQ(events.reads[4].code, Errc::kShuttingDown);
  EXPECT_FALSE(events.statuses.at(5).reachable);
  EXPECT_EQ(events.trims.at(6).code, Errc::kShuttingDown);
}

TEST_F(ClientOutcome, CloseEndsDialsThatHang) {
  for (FakeNode* node : {&a, &b, &c}) node->dial = FakePeer::Dial::kNoAnswer;
  start();
  append(1, "x");
  flush(5);
  close();
  EXPECT_EQ(events.outcome(1), "refused shutting_down");
}

}  // namespace
}  // namespace sluice::client
