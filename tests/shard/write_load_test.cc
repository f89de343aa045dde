// engine/shard/write_load: what a disk spends its time with, from sizes and times alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "engine/shard/write_load.h"

namespace sluice::shard {
namespace {

constexpr std::uint64_t kUs = 1000;
constexpr std::uint64_t kLarge = WriteLoad::kLargeBytes;

class WriteLoadTest : public testing::Test {
 protected:
  /// One after another.
  void record(std::uint64_t times, std::uint64_t size_bytes, std::uint64_t ns) {
    for (; times > 0; --times) {
      load_.record(size_bytes, now_ns_, now_ns_ + ns);
      now_ns_ += ns;
    }
  }
  /// `depth` at a time: one ends each `ns`, and began when the one `depth` before it ended.
  void record_deep(std::uint64_t times, std::uint64_t size_bytes, std::uint64_t ns, std::uint64_t depth) {
    const std::uint64_t begin_ns = now_ns_;
    for (; times > 0; --times) {
      now_ns_ += ns;
      load_.record(size_bytes, std::max(begin_ns, now_ns_ - std::min(now_ns_, depth * ns)), now_ns_);
    }
  }
  std::uint64_t now_ns_ = 1000 * kUs;
  WriteLoad load_{kLarge};
};

TEST_F(WriteLoadTest, LargeWritesThatTakeSeveralTimesAsLongAsTheQuickestAreBoundByTheirBytes) {
  record(1, 4096, 100 * kUs);
  record(500, 2 * kLarge, 100 * kUs * WriteLoad::kTimesLeast + kUs);
  EXPECT_TRUE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, FewWritesSayNothing) {
  EXPECT_FALSE(load_.bytes_bound());
  record(1, 4096, 100 * kUs);
  record(WriteLoad::kMemory - 2, 8 * kLarge, 10'000 * kUs);
  EXPECT_FALSE(load_.bytes_bound());
  record(1, 8 * kLarge, 10'000 * kUs);
  EXPECT_TRUE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, LargeWritesOfADiskWhoseFlushesTakeLongAreNot) {
  record(1, 4096, 2000 * kUs);
  record(500, 8 * kLarge, 2000 * kUs * WriteLoad::kTimesLeast - kUs);
  EXPECT_FALSE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, WhatAWriteSpendsBehindOthersOfItsOwnLogDoesNotCount) {
  record(1, 4096, 100 * kUs);
  record_deep(500, 2 * kLarge, 200 * kUs, 4);
  EXPECT_FALSE(load_.bytes_bound()) << "each takes 800 us, and one ends every 200";
  record_deep(500, 2 * kLarge, 100 * kUs * WriteLoad::kTimesLeast + kUs, 4);
  EXPECT_TRUE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, TheTimeOfWritesThatEndTogetherOrOvertakeEachOtherCountsOnce) {
  for (int i = 0; i < 500; ++i, now_ns_ += 2000 * kUs) {
    load_.record(2 * kLarge, now_ns_ + 100 * kUs, now_ns_ + 300 * kUs);
    load_.record(2 * kLarge, now_ns_, now_ns_ + 1400 * kUs);
    load_.record(2 * kLarge, now_ns_ + 100 * kUs, now_ns_ + 1400 * kUs);
  }
  // 1,300 us for three, of which the quickest took 200: less than three times that for each. One by one
  // they took 2,900.
  EXPECT_FALSE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, TimeInWhichNothingIsWrittenDoesNotCount) {
  for (int i = 0; i < 500; ++i) {
    record(1, 2 * kLarge, 200 * kUs);
    now_ns_ += 10'000 * kUs;
  }
  EXPECT_FALSE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, SmallWritesAreNotHoweverLongTheyTake) {
  record(1, 4096, 100 * kUs);
  record(500, kLarge / 2, 100'000 * kUs);
  EXPECT_FALSE(load_.bytes_bound());
}

TEST_F(WriteLoadTest, AFlushThatWasQuickIsRememberedForAWindowAndThenForgotten) {
  record(1, 4096, 100 * kUs);
  record(WriteLoad::kWindow, 2 * kLarge, 3000 * kUs);
  EXPECT_TRUE(load_.bytes_bound());
  record(WriteLoad::kWindow, 2 * kLarge, 3000 * kUs);
  EXPECT_FALSE(load_.bytes_bound()) << "each write takes as long now: what holds it up is no byte";
}

TEST_F(WriteLoadTest, OneThatTakesLongIsForgottenAndALoadThatChangesIsNoticed) {
  record(100, kLarge, 100 * kUs);
  record(1, kLarge, 100'000 * kUs);
  EXPECT_TRUE(load_.bytes_bound());
  record(300, kLarge, 200 * kUs);
  EXPECT_FALSE(load_.bytes_bound());
  record(300, kLarge, 2000 * kUs);
  EXPECT_TRUE(load_.bytes_bound());
  record(300, 8192, 150 * kUs);
  EXPECT_FALSE(load_.bytes_bound());
}

}  // namespace
}  // namespace sluice::shard
