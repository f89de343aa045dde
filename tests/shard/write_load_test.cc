// engine/shard/write_load: what a disk spends its time with, from sizes and times alone.
#include <gtest/gtest.h>

#include "engine/shard/write_load.h"

namespace sluice::shard {
namespace {

constexpr std::uint64_t kUs = 1000;
constexpr std::uint64_t kLarge = WriteLoad::kLargeBytes;

void record(WriteLoad& load, int times, std::uint64_t size_bytes, std::uint64_t ns) {
  for (; times > 0; --times) load.record(size_bytes, ns);
}

TEST(WriteLoadTest, NothingIsKnownBeforeTheFirstWrite) { EXPECT_FALSE(WriteLoad().bytes_bound()); }

TEST(WriteLoadTest, LargeWritesThatTakeManyTimesAsLongAsTheQuickestAreBoundByTheirBytes) {
  WriteLoad load;
  load.record(4096, 100 * kUs);
  record(load, 1000, 2 * kLarge, 100 * kUs * WriteLoad::kTimesLeast + kUs);
  EXPECT_TRUE(load.bytes_bound());
}

TEST(WriteLoadTest, LargeWritesOfADiskWhoseFlushesTakeLongAreNot) {
  WriteLoad load;
  load.record(4096, 2000 * kUs);
  record(load, 1000, 8 * kLarge, 2000 * kUs * (WriteLoad::kTimesLeast - 1));
  EXPECT_FALSE(load.bytes_bound());
}

TEST(WriteLoadTest, SmallWritesAreNotHoweverLongTheyTake) {
  WriteLoad load;
  load.record(4096, 100 * kUs);
  record(load, 1000, kLarge / 2, 100'000 * kUs);
  EXPECT_FALSE(load.bytes_bound());
}

TEST(WriteLoadTest, OneThatTakesLongIsForgottenAndALoadThatChangesIsNoticed) {
  WriteLoad load;
  load.record(kLarge, 100 * kUs);
  load.record(kLarge, 10'000 * kUs);
  EXPECT_TRUE(load.bytes_bound());
  record(load, 100'000, kLarge, 200 * kUs);
  EXPECT_FALSE(load.bytes_bound());
  record(load, 300, kLarge, 2000 * kUs);
  EXPECT_TRUE(load.bytes_bound());
  record(load, 300, 8192, 150 * kUs);
  EXPECT_FALSE(load.bytes_bound());
}

}  // namespace
}  // namespace sluice::shard
