#include "wire/distribution.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Distribution, BucketsFollowEachOtherWithoutGaps) {
  for (std::size_t bucket = 0; bucket < Distribution::kBuckets; ++bucket) {
    const std::uint64_t lowest = Distribution::lowest_in(bucket);
    const std::uint64_t highest = Distribution::highest_in(bucket);
    ASSERT_LE(lowest, highest);
    ASSERT_EQ(Distribution::bucket_of(lowest), bucket);
    ASSERT_EQ(Distribution::bucket_of(highest), bucket);
    if (bucket > 0) {
      ASSERT_EQ(Distribution::highest_in(bucket - 1) + 1, lowest);
    }
  }
}

TEST(Distribution, ABucketIsAtMostOne16thWide) {
  for (std::size_t bucket = 1; bucket < Distribution::kBuckets; ++bucket) {
    const std::uint64_t lowest = Distribution::lowest_in(bucket);
    ASSERT_LE(Distribution::highest_in(bucket) - lowest, lowest / 16) << bucket;
  }
}

TEST(Distribution, WhatTheReadmeSaysOfBuckets) {
  EXPECT_EQ(Distribution::bucket_of(31), 31u);
  EXPECT_EQ(Distribution::bucket_of(33), 32u);
  EXPECT_EQ(Distribution::bucket_of(62), 47u);
  EXPECT_EQ(Distribution::bucket_of(64), 48u);
  for (const std::size_t bucket : {32u, 48u, 100u, 591u}) {
    const std::size_t s = bucket / 16 - 1;
    EXPECT_EQ(Distribution::lowest_in(bucket), (bucket - 16 * s) << s);
  }
}

TEST(Distribution, ValuesBeyondTheLastBucketAreCountedInIt) {
  Distribution distribution;
  distribution.record(Distribution::kValueMax);
  distribution.record(~std::uint64_t{0});
  distribution.add(Distribution::kBuckets - 1, 5);
  EXPECT_EQ(distribution.count_in(Distribution::kBuckets - 1), 7u);
}

}  // namespace
}  // namespace sluice
