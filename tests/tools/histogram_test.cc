#include "tools/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace sluice::tools {
namespace {

TEST(Histogram, EmptyReportsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.percentile(0.5), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
  for (std::uint64_t value = 0; value < 256; ++value) {
    Histogram histogram;
    histogram.record(value);
    histogram.record(1000);  // so that max() does not hide the bucket's bound
    EXPECT_EQ(histogram.percentile(0.5), value);
  }
}

TEST(Histogram, ReportsAtMostOne128thAboveAndNeverBelow) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t value = random() >> (24 + random() % 40);
    Histogram histogram;
    histogram.record(value);
    histogram.record(Histogram::kValueMax);
    const std::uint64_t reported = histogram.percentile(0.5);
    ASSERT_GE(reported, value);
    ASSERT_LE(reported - value, value / 128) << value;
  }
}

TEST(Histogram, EachPowerOfTwoBoundaryKeepsOrder) {
  std::uint64_t last = 0;
  for (unsigned width = 8; width < 40; ++width) {
    for (const std::uint64_t value :
         {(1ull << width) - 2, (1ull << width) - 1, 1ull << width, (1ull << width) + 1}) {
      Histogram histogram;
      histogram.record(value);
      histogram.record(Histogram::kValueMax);
      EXPECT_GE(histogram.percentile(0.5), last);
      EXPECT_GE(histogram.percentile(0.5), value);
      last = histogram.percentile(0.5);
    }
  }
}

TEST(Histogram, PercentilesMatchASortedList) {
  std::mt19937_64 random(2);
  std::vector<std::uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(random() % 50'000'000);
    histogram.record(values.back());
  }
  std::ranges::sort(values);
  for (const double share : {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(share * 20'000.0));
    const std::uint64_t exact = values[std::max<std::size_t>(rank, 1) - 1];
    EXPECT_GE(histogram.percentile(share), exact);
    EXPECT_LE(histogram.percentile(share), exact + exact / 128);
  }
  EXPECT_EQ(histogram.max(), values.back());
  EXPECT_EQ(histogram.percentile(1.0), values.back());
}

TEST(Histogram, TailNeedsOneInAThousand) {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) histogram.record(100);
  histogram.record(5000);
  EXPECT_EQ(histogram.percentile(0.999), 100u);
  EXPECT_EQ(histogram.percentile(0.9991), 5000u);
}

TEST(Histogram, MergeEqualsRecordingBoth) {
  Histogram left, right, both;
  std::mt19937_64 random(3);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random() % 1'000'000;
    (i % 3 == 0 ? left : right).record(value);
    both.record(value);
  }
  left.merge(right);
  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.max(), both.max());
  EXPECT_DOUBLE_EQ(left.mean(), both.mean());
  for (double share = 0.01; share <= 1; share += 0.01)
    EXPECT_EQ(left.percentile(share), both.percentile(share));
}

TEST(Histogram, HugeValuesKeepTheExactMaximum) {
  Histogram histogram;
  histogram.record(~std::uint64_t{0});
  EXPECT_EQ(histogram.max(), ~std::uint64_t{0});
  EXPECT_EQ(histogram.percentile(0.5), ~std::uint64_t{0});
}

}  // namespace
}  // namespace sluice::tools
