// S42: a node that stands still, with its sockets open: what waits for it goes elsewhere.
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

class ClientSilence : public ClientTest {
 protected:
  /// Node a stands still and node b is elected.
  void b_leads() {
    b.on_append = [this](const Received& batch) {
      b.appends.push_back(batch);
      b.ok(batch, next_index, 2);
      next_index += batch.count();
    };
    c.on_append = [this](const Received& batch) { c.refuse(batch, Errc::kNotLeader, 2); };
  }

  std::uint64_t next_index = 20;
};

TEST_F(ClientSilence, S42_WhatAStoppedLeaderHasGoesToTheNextOneInOrder) {
  start();
  settle_on_a();
  for (std::uint64_t i = 2; i <= 4; ++i) {
    produce(i);
    flush();
  }
  b_leads();
  io.run_ms(900);
  EXPECT_TRUE(b.appends.empty()) << "a moment is no silence";
  io.run_ms(300);
  EXPECT_EQ(sequences_of(b.appends), (Strings{"p2", "p3", "p4"}));
  EXPECT_EQ(events.outcome(2), "ok 20");
  EXPECT_EQ(events.outcome(4), "ok 22");
  produce(5);
  flush();
  EXPECT_EQ(events.outcome(5), "ok 23") << "the new leader is remembered";
  // The stale leader resumes; it answers what nobody waits for.
  while (!a.appends.empty()) a.refuse(a.take(), Errc::kLeadershipLost, 2);
  io.run_ms(10);
  EXPECT_EQ(b.appends.size(), 4u);
}

TEST_F(ClientSilence, S42_ALeaderThatStopsBetweenTwoAnswersIsNoticed) {
  start();
  settle_on_a();
  produce(2);
  flush();
  produce(3);
  flush();
  b_leads();
  a.ok(a.take(), 2);
  io.run_ms(1200);
  EXPECT_EQ(events.outcome(2), "ok 2");
  EXPECT_EQ(sequences_of(b.appends), Strings{"p3"});
  EXPECT_EQ(events.outcome(3), "ok 20");
}

TEST_F(ClientSilence, WithoutAProducerWhatWasSentStaysAndTheRestGoesElsewhere) {
  start();
  append(1, "sent");
  flush();
  const Received sent = a.take();
  io.stalled = &a;
  append(2, "in the send");
  flush();
  append(3, "gathered");
  flush();
  b_leads();
  io.run_ms(1100);
  EXPECT_EQ(sequences_of(b.appends), Strings{"gathered"});
  append(4, "new");
  flush();
  EXPECT_EQ(sequences_of(b.appends), (Strings{"gathered", "new"}));
  EXPECT_EQ(events.outcome(1), "none") << "its time-out is not over";
  a.ok(sent, 5);
  io.stalled = nullptr;
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "ok 5");
  EXPECT_EQ(b.appends.size(), 2u);
}

TEST_F(ClientSilence, WhatOnlyQueuesBehindASilentSendIsSentElsewhere) {
  start();
  settle_on_a();
  append(2, "warm");
  flush();
  const Received warm = a.take();
  a.ok(warm, 2);
  io.run_ms(1);
  io.stalled = &a;
  append(3, "in the send", {.timeout_ms = 500});
  flush();
  append(4, "other group", {.group = GroupId(3), .timeout_ms = 20'000});
  flush(10);
  b_leads();
  io.run_ms(1100);
  EXPECT_EQ(events.outcome(3), "unknown timeout");
  EXPECT_EQ(events.outcome(4), "ok 20");
}

TEST_F(ClientSilence, ShortTimeOutsDoNotKeepALaneAtAStoppedLeader) {
  start();
  settle_on_a();
  b_leads();
  std::uint64_t last = 1;
  for (int step = 0; step < 40; ++step) {
    produce(++last, 300);
    flush(100);
  }
  EXPECT_FALSE(b.appends.empty());
  std::size_t ok = 0;
  for (const auto& [tag, outcome] : events.appends) ok += outcome.status == Status::kOk;
  EXPECT_GT(ok, 20u);
  EXPECT_EQ(events.appends[last - 1].status, Status::kOk);
}

TEST_F(ClientSilence, APositiveAnswerToTheOldTransmissionStillCounts) {
  start();
  settle_on_a();
  produce(2);
  flush();
  const Received old = a.take();
  for (FakeNode* node : {&b, &c}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kNotLeader, 1); };
  }
  io.run_ms(1200);
  EXPECT_EQ(events.outcome(2), "none");
  a.ok(old, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 2");
  produce(3);
  flush(60);
  EXPECT_EQ(sequences_of(a.appends), Strings{"p3"}) << "it speaks again, so it is asked again";
}

TEST_F(ClientSilence, ASilentConnectionOnWhichNothingIsDueIsDialledAgain) {
  start();
  settle_on_a();
  produce(2, 20'000);
  flush();
  const int socket = a.take().socket;
  for (FakeNode* node : {&b, &c}) {
    node->on_append = [node](const Received& batch) { node->refuse(batch, Errc::kNotLeader, 1); };
  }
  io.run_ms(1500);
  EXPECT_TRUE(io.is_open(socket));
  io.run_ms(1000);
  EXPECT_FALSE(io.is_open(socket));
  a.ok(a.take(), 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 2");
}

TEST_F(ClientSilence, AReadThatWaitsIsNoSilence) {
  start();
  settle_on_a();
  a.on_read = [](int, const wire::ClientRead&) {};
  client->read(1, {.from = Index(9), .timeout_ms = 60'000, .wait_ms = 30'000});
  flush(5000);
  produce(2);
  flush();
  EXPECT_EQ(sequences_of(a.appends), Strings{"p2"});
  EXPECT_TRUE(b.appends.empty() && c.appends.empty());
}

TEST_F(ClientSilence, ReadsAndTrimsAskAnotherNode) {
  start();
  settle_on_a();
  b.on_read = [&](int socket, const wire::ClientRead& read) {
    b.reply_read(socket, read.request_id(), Errc::kOk, 5, 1);
  };
  const auto trim = [](FakeNode& node) {
    node.on_trim = [&node](int socket, const wire::ClientTrim& request) {
      flatbuffers::FlatBufferBuilder envelope;
      envelope.Finish(wire::CreateClientTrimReply(envelope, request.request_id(), 0, 0, 3));
      node.send_frame(socket, FrameKind::kClientTrimReply, envelope);
    };
  };
  trim(b);
  client->read(1, {.from = Index(6)});
  client->read(2, {.from = Index(6), .wait_ms = 2000});
  client->trim(3, GroupId(0), Index(3), 5000);
  flush(1200);
  EXPECT_EQ(events.reads[1].node, 2u);
  EXPECT_TRUE(events.trims.contains(3));
  EXPECT_FALSE(events.reads.contains(2));
  io.run_ms(2000);
  EXPECT_EQ(events.reads[2].node, 2u);
}

TEST_F(ClientSilence, WhatWasLeftBehindIsNotSentAfterWhatFollowedIt) {
  start();
  append(1, "held");
  flush();
  const Received held = a.take();
  b_leads();
  io.run_ms(1100);
  append(2, "later");
  flush(10);
  EXPECT_EQ(events.outcome(2), "ok 20");
  a.refuse(held, Errc::kNotLeader, 2);
  io.run_ms(200);
  EXPECT_EQ(events.outcome(1), "refused unreachable");
  EXPECT_EQ(sequences_of(b.appends), Strings{"later"});
}

TEST_F(ClientSilence, RoomThatOthersLeaveAtAConnectionIsUsed) {
  start();
  settle_on_a();
  const std::string large(1'000'000, 'x');
  for (std::uint64_t i = 2; i <= 18; ++i) {
    append(i, large, {.producer = ProducerId(7), .sequence = Sequence(i)});
  }
  flush();
  ASSERT_EQ(a.appends.size(), 17u) << "as much as a connection takes without an answer";
  for (std::uint64_t i = 30; i < 33; ++i) append(i, large, {.group = GroupId(3)});
  flush();
  const Received first = a.take();
  a.appends.clear();
  a.refuse(first, Errc::kNotLeader, 2);
  io.run_ms(200);
  EXPECT_EQ(a.appends.size(), 3u) << "once nobody waits for the others";
}

TEST_F(ClientSilence, IfAllAreSilentItWaits) {
  start();
  settle_on_a();
  produce(2, 10'000);
  flush(1500);
  const Received at_b = b.take();
  io.run_ms(1200);
  const Received at_c = c.take();
  EXPECT_EQ(at_c.entries, Strings{"p2"});
  c.ok(at_c, 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(2), "ok 2");
}

}  // namespace
}  // namespace sluice::client
