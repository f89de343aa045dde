// How entries become batches and sends, and how answers find their entries.
#include <algorithm>

#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

using ClientAppend = ClientTest;

TEST_F(ClientAppend, EntriesOfOneLoopLeaveInOneBatchAndOneSend) {
  start();
  append(0, "warm");
  flush();
  const std::size_t sends = io.sends_begun;
  for (std::uint64_t i = 1; i <= 100; ++i) append(i, "entry" + std::to_string(i));
  flush();
  ASSERT_EQ(a.appends.size(), 2u);
  EXPECT_EQ(a.appends[1].entries.size(), 100u);
  EXPECT_EQ(a.appends[1].entries[41], "entry42");
  EXPECT_EQ(io.sends_begun, sends + 1);
}

TEST_F(ClientAppend, NothingLeavesBeforeFlush) {
  start();
  append(1, "x");
  io.run_ms(100);
  EXPECT_TRUE(a.appends.empty());
  flush();
  EXPECT_EQ(a.appends.size(), 1u);
}

TEST_F(ClientAppend, WhatComesDuringASendGathersForTheNextOne) {
  start();
  append(0, "warm");
  flush();
  io.sends_stall = true;
  append(1, "first");
  flush();
  for (std::uint64_t i = 2; i <= 9; ++i) {
    append(i, "later" + std::to_string(i));
    flush();
  }
  ASSERT_EQ(a.appends.size(), 1u) << "one send in flight";
  io.sends_stall = false;
  io.run_ms(1);
  ASSERT_EQ(a.appends.size(), 3u);
  EXPECT_EQ(a.appends[1].entries, Strings{"first"});
  EXPECT_EQ(a.appends[2].entries.size(), 8u) << "all that gathered is one batch";
}

TEST_F(ClientAppend, AnswersSetThePaceOfSmallBatches) {
  start();
  for (std::uint64_t i = 0; i < 20; ++i) {
    append(i, "entry" + std::to_string(i));
    flush();
  }
  ASSERT_EQ(a.appends.size(), 4u) << "and the rest waits for an answer";
  a.ok(a.take(), 1);
  io.run_ms(1);
  ASSERT_EQ(a.appends.size(), 4u);
  EXPECT_EQ(a.appends.back().entries.size(), 16u) << "all that gathered is one batch";
  EXPECT_EQ(a.appends.back().entries.back(), "entry19");
}

TEST_F(ClientAppend, ALaneWhoseAnswersAreLateAsksAgainAndLearnsWhoLeads) {
  start();
  std::uint64_t tag = 0;
  append(tag++, "first");
  flush();
  a.ok(a.take(), 1);
  io.run_ms(1);
  for (int i = 0; i < 5; ++i) {
    append(tag++, "entry");
    flush();
  }
  ASSERT_EQ(a.appends.size(), 4u);
  // It leads no more, and says nothing of what it has. It would refuse more, but for the pace.
  a.on_append = [this](const Received& batch) { a.refuse(batch, Errc::kNotLeader, 2); };
  io.run_ms(40);
  EXPECT_EQ(a.append_frames, 5u);
  io.run_ms(200);
  EXPECT_EQ(a.append_frames, 6u);
  ASSERT_EQ(b.appends.size(), 1u) << "long before anything times out";
  b.ok(b.take(), 2);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(5), "ok 2");
}

TEST_F(ClientAppend, AnswersDoNotSetThePaceOfLargeBatches) {
  start({.nodes = {}, .cluster_name = {}, .batch_bytes_max = 64u << 10});
  std::uint64_t tag = 0;
  for (int i = 0; i < 4; ++i) {
    append(tag++, "small");
    flush();
  }
  append(tag++, std::string(31u << 10, 'x'));
  flush();
  EXPECT_EQ(a.appends.size(), 4u);
  append(tag++, std::string(2u << 10, 'x'));
  flush();
  EXPECT_EQ(a.appends.size(), 5u);
  // Full ones do not wait for the one that is being filled.
  for (int i = 0; i < 5; ++i) append(tag++, std::string(30u << 10, 'x'));
  flush();
  EXPECT_EQ(a.appends.size(), 7u);
}

TEST_F(ClientAppend, ManyLanesTakeTurnsWhileAnswersAreOut) {
  constexpr std::uint32_t kGroups = 300;
  a.groups = kGroups;
  start({.nodes = {"a:1"}, .cluster_name = {}});
  std::uint64_t tag = 0;
  std::uint64_t index = 0;
  // The client learns that answers take 5 ms.
  append(tag++, "x");
  flush(5);
  a.ok(a.take(), ++index);
  io.run_ms(1);
  // Lanes that get an entry each, in five rounds: what does not leave at once gathers.
  for (int round = 0; round < 5; ++round) {
    for (std::uint32_t group = 0; group < kGroups; ++group) {
      append(tag++, "x", {.group = GroupId(group)});
    }
    flush();
  }
  ASSERT_EQ(a.appends.size(), 128u) << "in flight";
  // An answer makes room for the lane that has waited longest.
  a.ok(a.take(), ++index);
  io.run_ms(1);
  ASSERT_EQ(a.appends.size(), 128u);
  EXPECT_EQ(a.appends.back().group, GroupId(128));
  EXPECT_EQ(a.appends.back().entries.size(), 5u);
  // Nobody waits for much longer than answers took, even if no more of them come.
  io.run_ms(40);
  EXPECT_EQ(a.appends.size(), kGroups + 127u) << "each, and those that had one in flight";
  while (!a.appends.empty()) {
    const Received batch = a.take();
    a.ok(batch, index + 1);
    index += batch.count();
    io.run_ms(1);
  }
  EXPECT_EQ(events.appends.size(), tag);
}

TEST_F(ClientAppend, ABatchClosesAtBatchBytesMax) {
  start({.nodes = {}, .cluster_name = {}, .batch_bytes_max = 4096});
  for (std::uint64_t i = 0; i < 10; ++i) append(i, std::string(1000, 'x'));
  flush();
  ASSERT_EQ(a.appends.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_LE(a.appends[i].size_bytes, 4096u);
    EXPECT_EQ(a.appends[i].entries.size(), i < 3 ? 3u : 1u) << i;
  }
}

TEST_F(ClientAppend, FramesStayWithinWhatANodeTakes) {
  // The fake node checks each frame.
  for (FakeNode* node : {&a, &b, &c}) node->batch_bytes_max = 4096;
  start();
  std::size_t count = 0;
  for (std::uint32_t group = 0; group < 4; ++group) {
    for (int i = 0; i < 30; ++i) append(count++, std::string(700, 'x'), {.group = GroupId(group)});
  }
  flush(5);
  std::size_t arrived = 0;
  for (FakeNode* node : {&a, &b, &c}) arrived += sequences_of(node->appends).size();
  EXPECT_EQ(arrived, count);
}

TEST_F(ClientAppend, ALimitLearnedWithTheHelloCutsWhatWasGatheredBefore) {
  a.batch_bytes_max = 2048;
  start();
  for (std::uint64_t i = 0; i < 8; ++i) append(i, std::string(500, static_cast<char>('a' + i)));
  append(8, std::string(3000, 'z'));
  append(9, "last");
  flush();
  for (const Received& batch : a.appends) EXPECT_LE(batch.size_bytes, 2048u);
  EXPECT_EQ(sequences_of(a.appends).size(), 9u);
  EXPECT_EQ(sequences_of(a.appends).back(), "last");
  EXPECT_EQ(events.outcome(8), "refused too_large");
}

TEST_F(ClientAppend, ShortSendsAndReceivesChangeNothing) {
  io.send_bytes_max = 7;
  io.recv_bytes_max = 5;
  start();
  for (std::uint64_t i = 0; i < 20; ++i) append(i, "entry" + std::to_string(i));
  flush();
  const Received batch = a.take();
  EXPECT_EQ(batch.entries.size(), 20u);
  a.ok(batch, 11);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(0), "ok 11");
  EXPECT_EQ(events.outcome(19), "ok 30");
}

TEST_F(ClientAppend, ARequestForAGroupUsesTheConnectionToItsShard) {
  for (FakeNode* node : {&a, &b, &c}) node->shards = 4;
  start();
  for (std::uint32_t group = 0; group < 16; ++group) append(group, "x", {.group = GroupId(group)});
  flush(5);
  // The fake node compares group and shard of each batch.
  EXPECT_EQ(a.appends.size() + b.appends.size() + c.appends.size(), 16u);
}

TEST_F(ClientAppend, AThousandGroupsShareSends) {
  for (FakeNode* node : {&a, &b, &c}) node->groups = 1000;
  start();
  for (FakeNode* node : {&a, &b, &c}) {
    node->on_append = [node](const Received& batch) { node->ok(batch, 1); };
  }
  for (std::uint64_t round = 0; round < 3; ++round) {
    const std::size_t sends = io.sends_begun;
    for (std::uint32_t group = 0; group < 1000; ++group) {
      append(round * 1000 + group, "x", {.group = GroupId(group)});
    }
    flush(5);
    EXPECT_EQ(events.appends.size(), (round + 1) * 1000);
    if (round > 0) {
      EXPECT_LE(io.sends_begun - sends, 6u);
    }
  }
}

TEST_F(ClientAppend, ProducersHaveBatchesOfTheirOwnWithConsecutiveSequences) {
  start();
  const auto with = [](std::uint64_t producer, std::uint64_t sequence) {
    return AppendOptions{.producer = ProducerId(producer), .sequence = Sequence(sequence)};
  };
  append(1, "a1", with(1, 1));
  append(2, "b5", with(2, 5));
  append(3, "none");
  append(4, "a2", with(1, 2));
  append(5, "b6", with(2, 6));
  append(6, "b9", with(2, 9));  // not consecutive: another batch
  flush();
  ASSERT_EQ(a.appends.size(), 3u) << "the second batch of a new producer waits for the first";
  for (const Received& batch : a.appends) {
    if (batch.producer == ProducerId(1)) {
      EXPECT_EQ(batch.entries, (Strings{"a1", "a2"}));
      EXPECT_EQ(batch.first_sequence, Sequence(1));
    } else if (batch.producer == ProducerId(2)) {
      EXPECT_EQ(batch.entries, (Strings{"b5", "b6"}));
      EXPECT_EQ(batch.first_sequence, Sequence(5));
    } else {
      EXPECT_EQ(batch.entries, Strings{"none"});
    }
  }
}

TEST_F(ClientAppend, PartialResultsAnswerTheirEntriesOnly) {
  start();
  for (std::uint64_t i = 0; i < 10; ++i) append(i, "x");
  flush();
  const Received batch = a.take();
  a.ok_part(batch, 4, 3, 104);
  io.run_ms(1);
  EXPECT_EQ(events.order, (std::vector<std::uint64_t>{4, 5, 6}));
  EXPECT_EQ(events.outcome(5), "ok 105");
  a.ok_part(batch, 7, 3, 200, 9);
  a.ok_part(batch, 0, 4, 50, 3);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(3), "ok 53");
  EXPECT_EQ(events.outcome(9), "ok 202");
  EXPECT_EQ(events.appends[9].term, Term(9));
  EXPECT_EQ(events.appends[0].term, Term(3));
  EXPECT_EQ(client->pending(), 0u);
}

TEST_F(ClientAppend, AnOutcomeNeverComesFromInsideACall) {
  start({.nodes = {}, .cluster_name = {}, .batch_bytes_max = 1024});
  append(1, std::string(2000, 'x'));
  client->flush();
  EXPECT_EQ(events.outcome(1), "none");
  EXPECT_EQ(client->pending(), 1u);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "refused too_large");
  EXPECT_EQ(client->pending(), 0u);
  EXPECT_TRUE(a.appends.empty());
}

TEST_F(ClientAppend, SequencesThatCannotBeAreRefused) {
  start();
  append(1, "x", {.producer = ProducerId(1), .sequence = Sequence(0)});
  append(2, "x", {.producer = ProducerId(1), .sequence = Sequence(~std::uint64_t{0})});
  flush();
  EXPECT_EQ(events.outcome(1), "refused invalid_request");
  EXPECT_EQ(events.outcome(2), "refused invalid_request");
  EXPECT_TRUE(a.appends.empty());
}

TEST_F(ClientAppend, HandlersMayAppendAndFlush) {
  start();
  a.on_append = [&](const Received& batch) { a.ok(batch, 1); };
  events.then = [&](std::uint64_t tag) {
    if (tag >= 50) return;
    append(tag + 1, "next");
    client->flush();
  };
  append(1, "first");
  flush(10);
  EXPECT_EQ(events.appends.size(), 50u);
}

TEST_F(ClientAppend, HandlersMayAppendWhatIsRefusedWithoutEnd) {
  start({.nodes = {}, .cluster_name = {}, .batch_bytes_max = 1024});
  std::uint64_t next = 2;
  events.then = [&](std::uint64_t) { append(next++, std::string(2000, 'x')); };
  append(1, std::string(2000, 'x'));
  client->flush();
  for (int i = 0; i < 50; ++i) io.run_once();  // each comes back
  EXPECT_GE(events.appends.size(), 10u);
  events.then = nullptr;
}

TEST_F(ClientAppend, HandlersMayClose) {
  start();
  events.then = [&](std::uint64_t) { client->close(); };
  append(1, "x");
  append(2, "y");
  flush();
  const Received batch = a.take();
  a.ok_part(batch, 0, 1, 1);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(1), "ok 1");
  EXPECT_EQ(events.outcome(2), "unknown connection_lost");
  EXPECT_TRUE(client->closed());
}

TEST_F(ClientAppend, AnAddressThatDoesNotResolveIsNamed) {
  std::string what;
  Options options;
  options.nodes = {"a:1", "nonsense"};
  const auto made = Client::make(options, io, events, what);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error(), Errc::kInvalidRequest);
  EXPECT_NE(what.find("nonsense"), std::string::npos);
}

}  // namespace
}  // namespace sluice::client
