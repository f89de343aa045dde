// Into how many batches a load is split, and that they stay as many and of one size.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/client/batch_split.h"
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMax = 1024 * kKiB;

constexpr BatchSplit::Place kAlone{.batch_bytes_max = kMax, .others = 0};

TEST(BatchSplit, ASmallLoadIsOneBatchAndALargerOneTwoToEight) {
  const BatchSplit split;
  EXPECT_EQ(split.batches(127 * kKiB, kAlone), 1u) << "two of less than 64 KiB would gain nothing";
  EXPECT_EQ(split.batches(128 * kKiB, kAlone), 2u);
  EXPECT_EQ(split.batches(560 * kKiB, kAlone), 2u);
  EXPECT_EQ(split.batches(600 * kKiB, kAlone), 3u);
  EXPECT_EQ(split.batches(1100 * kKiB, kAlone), 4u);
  EXPECT_EQ(split.full_bytes(1100 * kKiB, kAlone), 275 * kKiB);
  EXPECT_EQ(split.batches(2240 * kKiB, kAlone), 8u);
  EXPECT_EQ(split.batches(4096 * kKiB, kAlone), 8u);
}

TEST(BatchSplit, NoBatchIsLargerThanANodeTakes) {
  for (const std::size_t max : {256 * std::size_t{1}, 16 * kKiB, kMax}) {
    const BatchSplit::Place place{.batch_bytes_max = max, .others = 0};
    for (std::size_t load = 1; load < 20 * max; load += max / 7) {
      EXPECT_LE(BatchSplit().full_bytes(load, place) + kBatchHeaderBytes, max);
    }
  }
}

TEST(BatchSplit, NothingIsSplitWhereOtherLanesKeepTheNodesBusy) {
  EXPECT_EQ(BatchSplit().batches(600 * kKiB, {.batch_bytes_max = kMax, .others = 8}), 1u);
  EXPECT_EQ(BatchSplit().batches(600 * kKiB, {.batch_bytes_max = kMax, .others = 7}), 3u);
}

TEST(BatchSplit, TheLoadOfAMomentAgoStillCounts) {
  BatchSplit split;
  split.note_load(1000 * kKiB);
  EXPECT_EQ(split.full_bytes(150 * kKiB, kAlone), 250 * kKiB) << "most of it is with the caller";
  for (int i = 0; i < 20; ++i) split.note_load(150 * kKiB);
  EXPECT_EQ(split.full_bytes(150 * kKiB, kAlone), 75 * kKiB) << "the caller brings less now";
}

TEST(BatchSplit, WhatIsLeftOverWaits) {
  const BatchSplit split;
  EXPECT_TRUE(split.waits(15 * kKiB, 256 * kKiB, 1, kAlone));
  EXPECT_FALSE(split.waits(17 * kKiB, 256 * kKiB, 1, kAlone));
  EXPECT_TRUE(split.waits(127 * kKiB, 256 * kKiB, 2, kAlone)) << "two are on their way";
  EXPECT_FALSE(split.waits(128 * kKiB, 256 * kKiB, 2, kAlone));
  EXPECT_FALSE(split.waits(1 * kKiB, 100 * kKiB, 2, kAlone)) << "a small load is no matter of this";
}

/// A caller with a number of entries outstanding: each that ends is followed by another.
class ClientSplit : public ClientTest {
 protected:
  void TearDown() override {
    events.then = nullptr;  // the end of the last entries is followed by nothing
    ClientTest::TearDown();
  }

  void end() {
    events.then = nullptr;
    close();
    a.appends.clear();
    events = {};
    tag_ = 0;
    index_ = 1;
  }

  void run(std::size_t outstanding, std::function<std::size_t()> entry_bytes, ProducerId producer) {
    start();
    const auto one_more = [this, entry_bytes, producer] {
      const std::uint64_t tag = tag_++;
      append(tag, std::string(entry_bytes(), 'x'),
             {.group = GroupId(0),
              .producer = producer,
              .sequence = Sequence(producer == kNoProducer ? 0 : tag + 1)});
    };
    events.then = [one_more](std::uint64_t) { one_more(); };
    one_more();  // a lane with a producer sends one batch until its first answer
    flush();
    answer();
    for (std::size_t i = 1; i < outstanding; ++i) one_more();
    flush();
  }

  /// Answers the oldest batch; returns its size.
  std::size_t answer() {
    const Received batch = a.take();
    a.ok(batch, index_);
    index_ += batch.count();
    io.run_once();
    flush();
    return batch.size_bytes;
  }

  void answer_all() {
    for (std::size_t count = a.appends.size(); count > 0; --count) {
      const Received batch = a.take();
      a.ok(batch, index_);
      index_ += batch.count();
    }
    io.run_once();
    flush();
  }

  std::uint64_t tag_ = 0;
  std::uint64_t index_ = 1;
};

TEST_F(ClientSplit, AClosedLoopSettlesOnBatchesOfOneSizeInFramesOfTheirOwn) {
  struct Case {
    std::size_t entries;  // of 1 KiB, outstanding
    std::size_t batches;
  };
  for (const ProducerId producer : {kNoProducer, ProducerId(7)}) {
    for (const Case load : {Case{257, 2}, {300, 2}, {540, 2}, {1000, 4}, {4000, 8}, {7500, 8}}) {
      run(load.entries, [] { return 1024; }, producer);
      for (int i = 0; i < 100; ++i) answer();
      const std::size_t frames = a.append_frames;
      for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(a.appends.size(), load.batches) << load.entries;
        ASSERT_GE(answer(), load.entries * 1024 / load.batches * 3 / 4);
      }
      EXPECT_EQ(a.append_frames, frames + 100);
      end();
    }
  }
}

TEST_F(ClientSplit, NorIsItSplitFurtherWhereEveryOutcomeIsFollowedByAFlush) {
  run(1000, [] { return 1024; }, kNoProducer);
  const auto more = events.then;
  events.then = [this, more](std::uint64_t tag) {
    more(tag);
    client->flush();
  };
  for (int i = 0; i < 100; ++i) answer();
  EXPECT_LE(a.appends.size(), 5u);
}

TEST_F(ClientSplit, AfterABurstSingleEntriesWaitForNothing) {
  start();
  std::uint64_t tag = 0;
  for (int i = 0; i < 8000; ++i) append(tag++, std::string(1024, 'x'));
  flush();
  while (client->pending() > 0) answer();
  for (int i = 0; i < 4; ++i) {
    append(tag++, "single");
    flush();
  }
  EXPECT_EQ(a.appends.size(), 4u);
  // And long after it a load is taken for what it is.
  while (client->pending() > 0) answer();
  io.run_ms(2000);
  for (int i = 0; i < 500; ++i) append(tag++, std::string(1024, 'x'));
  flush();
  EXPECT_GE(a.appends.size(), 2u);
}

TEST_F(ClientSplit, EntriesOfDifferentSizesLeaveNoCrumbs) {
  std::mt19937 random(1);
  run(1000, [&random] { return 100 + random() % 2000; }, kNoProducer);
  for (int i = 0; i < 50; ++i) answer();
  std::size_t smallest = kMax, largest = 0;
  for (int i = 0; i < 2000; ++i) {
    // Now and then two answers arrive together, as they do.
    if (random() % 8 == 0 && a.appends.size() >= 2) {
      const Received batch = a.take();
      a.ok(batch, index_);
      index_ += batch.count();
    }
    const std::size_t bytes = answer();
    smallest = std::min(smallest, bytes);
    largest = std::max(largest, bytes);
  }
  EXPECT_GE(smallest, 30 * kKiB);
  EXPECT_LE(largest, 330 * kKiB);
}

TEST_F(ClientSplit, HalvesThatAreAnsweredTogetherComeAgainAsHalves) {
  run(520, [] { return 1024; }, kNoProducer);
  for (int i = 0; i < 20; ++i) answer_all();
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(a.appends.size(), 2u);
    for (const Received& half : a.appends) ASSERT_NEAR(half.count(), 260, 2);
    ASSERT_NE(a.appends[0].frame, a.appends[1].frame);
    answer_all();
  }
}

TEST_F(ClientSplit, ALoadThatFallsIsSoonOneBatchAgain) {
  run(1000, [] { return 1024; }, kNoProducer);
  for (int i = 0; i < 20; ++i) answer_all();
  ASSERT_GE(a.appends.size(), 3u);
  std::size_t left_out = 0;
  const auto more = events.then;
  events.then = [&, more](std::uint64_t tag) {
    if (left_out == 900) return more(tag);
    ++left_out;
  };
  for (int i = 0; i < 30; ++i) answer_all();
  EXPECT_EQ(left_out, 900u);
  EXPECT_EQ(a.appends.size(), 1u);
}

TEST_F(ClientSplit, WhatIsLeftOverIsSentWhenNothingElseIsOnItsWay) {
  start();
  append(0, "warm");
  flush();
  a.ok(a.take(), 1);
  io.run_ms(1);
  std::uint64_t tag = 1;
  for (int i = 0; i < 2; ++i) {
    for (int entry = 0; entry < 200; ++entry) append(tag++, std::string(1024, 'x'));
    flush();
  }
  const std::size_t sent = a.appends.size();
  append(tag, "rest");
  flush();
  ASSERT_EQ(a.appends.size(), sent) << "it may grow yet";
  index_ = 2;
  for (std::size_t i = 0; i < sent; ++i) {
    EXPECT_EQ(events.outcome(tag), "none");
    answer();
  }
  ASSERT_EQ(a.appends.size(), 1u);
  EXPECT_EQ(a.appends[0].entries, Strings{"rest"});
}

TEST_F(ClientSplit, EntriesThatComeOneByOneMakeEvenBatchesAndWaitForLittle) {
  start();
  constexpr int kAnswerMs = 40;
  std::deque<std::pair<int, Received>> due;
  std::size_t arrived = 0, smallest = kMax, largest = 0, waiting = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    append(tag_++, std::string(16 * kKiB, 'x'));  // so 640 KiB are on their way: three batches
    flush();
    while (!a.appends.empty()) {
      due.emplace_back(ms + kAnswerMs, a.take());
      arrived += due.back().second.count();
      if (ms < 200) continue;
      smallest = std::min(smallest, due.back().second.size_bytes);
      largest = std::max(largest, due.back().second.size_bytes);
    }
    if (ms >= 200) waiting = std::max(waiting, tag_ - arrived);
    while (!due.empty() && due.front().first <= ms) {
      a.ok(due.front().second, index_);
      index_ += due.front().second.count();
      due.pop_front();
    }
  }
  EXPECT_GE(smallest, 64 * kKiB);
  EXPECT_LE(largest, 160 * kKiB);
  EXPECT_LE(waiting, 9u) << "half of what lies between two answers, in ms";
}

TEST_F(ClientSplit, ALaneAmongManyIsNotSplit) {
  for (FakeNode* node : {&a, &b, &c}) node->groups = 40;
  start();
  const auto append_to_all = [this](std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t group = from; group < to; ++group) {
      for (int i = 0; i < 30; ++i) append(tag_++, std::string(7 * 1024, 'x'), {.group = GroupId(group)});
    }
  };
  // Each group has a lane of its own, and all of them node a.
  for (std::uint32_t group = 0; group < 40; ++group) append(tag_++, "warm", {.group = GroupId(group)});
  flush(5);
  for (FakeNode* node : {&b, &c}) {
    while (!node->appends.empty()) node->refuse(node->take(), Errc::kNotLeader, 1);
  }
  io.run_ms(20);
  while (!a.appends.empty()) {
    a.ok(a.take(), index_++);
    io.run_ms(1);
  }
  append_to_all(0, 20);
  flush(5);
  const std::size_t before = a.appends.size();
  EXPECT_GE(before, 20u);
  append_to_all(20, 40);
  flush(5);
  EXPECT_EQ(a.appends.size(), before + 20) << "others keep the node busy";
}

TEST_F(ClientSplit, ALargeBatchHasItsFrameForItself) {
  start();
  append(tag_++, "warm");
  append(tag_++, "warm", {.group = GroupId(3)});
  flush(5);
  for (std::size_t i = 0; i < 2; ++i) a.ok(a.take(), 1);
  io.run_ms(1);
  io.sends_stall = true;
  append(tag_++, "first");
  flush();
  append(tag_++, "small", {.group = GroupId(3)});
  append(tag_++, std::string(70 * 1024, 'x'));
  append(tag_++, "other", {.group = GroupId(3), .node = NodeId(1)});
  flush();
  io.sends_stall = false;
  io.run_ms(1);
  ASSERT_EQ(a.appends.size(), 4u);
  for (std::size_t i = 0; i + 1 < a.appends.size(); ++i) {
    EXPECT_NE(a.appends[i].frame, a.appends[i + 1].frame) << i;
  }
}

TEST_F(ClientSplit, WhatFollowsAnOutcomeGoesWithWhatWaitedForIt) {
  start();
  for (int i = 0; i < 5; ++i) {
    append(tag_++, "small");
    flush();
  }
  ASSERT_EQ(a.appends.size(), 4u) << "the pace of small ones";
  events.then = [this](std::uint64_t tag) {
    if (tag == 0) append(tag_++, "next");
  };
  a.ok(a.take(), 1);
  io.run_ms(1);
  ASSERT_EQ(a.appends.size(), 4u);
  const Strings expected{"small", "next"};
  EXPECT_EQ(a.appends.back().entries, expected);
}

/// What is left over joins the full batch before it, but for these.
class ClientRest : public ClientSplit {
 protected:
  /// Appends 131 entries of 1 KiB: more than the 128 KiB from which on a load is split.
  void append_full(const AppendOptions& options = {}) {
    AppendOptions next = options;
    for (int i = 0; i < 131; ++i) {
      append(tag_++, std::string(1024, 'x'), next);
      if (options.producer != kNoProducer) next.sequence = next.sequence + 1;
    }
  }

  static std::vector<std::string> short_ones(const std::vector<Received>& batches) {
    std::vector<std::string> found;
    for (const std::string& entry : sequences_of(batches)) {
      if (entry.size() < 100) found.push_back(entry);
    }
    return found;
  }
};

TEST_F(ClientRest, JoinsTheBatchBeforeIt) {
  start();
  append_full();
  append(tag_++, "rest");
  flush();
  ASSERT_EQ(a.appends.size(), 1u);
  EXPECT_EQ(a.appends[0].entries.back(), "rest");
}

TEST_F(ClientRest, NotBehindAGapOfItsProducer) {
  start();
  settle_on_a();
  tag_ = 2;
  append_full({.group = GroupId(0), .producer = ProducerId(7), .sequence = Sequence(2)});
  append(tag_++, "rest", {.group = GroupId(0), .producer = ProducerId(7), .sequence = Sequence(500)});
  flush();
  while (!a.appends.empty() && a.appends.back().entries.back() != "rest") {
    a.ok(a.take(), 2);
    io.run_ms(1);
  }
  ASSERT_FALSE(a.appends.empty());
  EXPECT_EQ(a.appends.back().first_sequence, Sequence(500));
  EXPECT_EQ(a.appends.back().entries, Strings{"rest"});
}

TEST_F(ClientRest, NotWithAnEntryThatWasRefusedMeanwhile) {
  start();
  append(tag_++, "warm");
  flush();
  a.ok(a.take(), 1);
  io.sends_stall = true;
  append(tag_++, "first");
  flush();
  append_full();
  append(tag_++, "gone", {.group = GroupId(0), .timeout_ms = 20});
  append(tag_++, "rest");
  flush(100);
  EXPECT_EQ(events.outcome(tag_ - 2), "refused overloaded");
  io.sends_stall = false;
  io.run_ms(100);
  const Strings expected{"first", "rest"};
  EXPECT_EQ(short_ones(a.appends), expected) << "its outcome said that it is in no log";
}

TEST_F(ClientRest, NotBeyondWhatANodeTakes) {
  for (FakeNode* node : {&a, &b, &c}) node->batch_bytes_max = 64 * kKiB;
  run(250, [] { return 500; }, kNoProducer);
  for (int i = 0; i < 20; ++i) answer_all();
  events.then = nullptr;
  answer_all();
  ASSERT_EQ(client->pending(), 0u);
  // A batch is full at half of that load now, with 125 entries; the buffer has room for 128.
  for (int i = 0; i < 132; ++i) append(tag_++, std::string(500, 'x'));
  flush();
  while (client->pending() > 0) {
    ASSERT_FALSE(a.appends.empty());
    answer_all();  // the node checks their sizes
  }
  EXPECT_EQ(a.garbage, 0u);
}

TEST_F(ClientRest, NotIfItWasSentOnceAsABatchOfItsOwn) {
  start();
  settle_on_a();
  tag_ = 2;
  append_full({.group = GroupId(0), .producer = ProducerId(7), .sequence = Sequence(2)});
  flush();
  ASSERT_EQ(a.appends.size(), 1u);
  append(tag_++, "rest", {.group = GroupId(0), .producer = ProducerId(7), .sequence = Sequence(133)});
  flush(200);
  ASSERT_EQ(a.appends.size(), 2u) << "the answer is late";
  const Received full = a.take();
  a.ok_part(full, 0, 2, 2);
  io.run_ms(1);
  a.appends.clear();
  a.hang_up();
  io.run_ms(1000);
  std::vector<Received> again;
  for (FakeNode* node : {&a, &b, &c}) {
    again.insert(again.end(), node->appends.begin(), node->appends.end());
  }
  ASSERT_EQ(again.size(), 1u) << "one at a time, until the first answer";
  EXPECT_EQ(again[0].first_sequence, Sequence(4));
  EXPECT_EQ(again[0].count(), 129u);
}

TEST_F(ClientRest, DoesNotWaitWhenItIsSentAgain) {
  start();
  settle_on_a();
  tag_ = 2;
  AppendOptions options{.group = GroupId(0), .producer = ProducerId(7), .sequence = Sequence(2)};
  append_full(options);
  options.sequence = Sequence(133);
  append_full(options);
  flush();
  const std::size_t full_ones = a.appends.size();
  ASSERT_GE(full_ones, 2u);
  options.sequence = Sequence(264);
  append(tag_++, "rest", options);
  flush(200);
  ASSERT_EQ(a.appends.size(), full_ones + 1) << "answers are late";
  a.appends.clear();
  a.hang_up();
  io.run_ms(1000);
  FakeNode* node = nullptr;
  for (FakeNode* each : {&a, &b, &c}) node = each->appends.empty() ? node : each;
  ASSERT_NE(node, nullptr);
  ASSERT_EQ(node->appends.size(), 1u) << "one at a time, until the first answer";
  node->ok(node->take(), 2);
  io.run_ms(1);
  EXPECT_EQ(node->appends.size(), full_ones) << "it has waited long enough";
}

}  // namespace
}  // namespace sluice::client
