#include "tools/json.h"
#include "tools/stage_report.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::tools {
namespace {

wire::StageBucket counted(wire::Stage stage, std::uint64_t value, std::uint64_t count) {
  return {count, static_cast<std::uint16_t>(Distribution::bucket_of(value)), stage, 0, 0};
}

TEST(StageCounts, AddsTheShardsOfANode) {
  const StageCounts counts(std::vector{counted(wire::Stage::Disk, 1000, 3),
                                       counted(wire::Stage::Disk, 1000, 4),
                                       counted(wire::Stage::Queue, 5, 1)});
  EXPECT_EQ(count_of(counts.of(wire::Stage::Disk)), 7u);
  EXPECT_EQ(count_of(counts.of(wire::Stage::Queue)), 1u);
  EXPECT_EQ(count_of(counts.of(wire::Stage::Reply)), 0u);
}

TEST(StageCounts, KnowsTheTimeInBetween) {
  const StageCounts before(std::vector{counted(wire::Stage::Disk, 1000, 3)});
  const StageCounts after(
      std::vector{counted(wire::Stage::Disk, 1000, 5), counted(wire::Stage::Disk, 9, 1)});
  EXPECT_EQ(count_of(after.since(before).of(wire::Stage::Disk)), 3u);
  EXPECT_EQ(percentile_of(after.since(before).of(wire::Stage::Disk), 0.3), 9u);
  EXPECT_TRUE(before.since(before).empty());
  // A node that was started anew in between.
  EXPECT_EQ(count_of(before.since(after).of(wire::Stage::Disk)), 3u);
}

TEST(StageCounts, WhatANewerNodeCountsIsLeftOut) {
  const StageCounts counts(
      std::vector{wire::StageBucket(1, 9, static_cast<wire::Stage>(200), 0, 0),
                  wire::StageBucket(1, Distribution::kBuckets, wire::Stage::Disk, 0, 0)});
  EXPECT_TRUE(counts.empty());
  EXPECT_EQ(stages_table(counts), "");
}

TEST(StageCounts, PercentilesAreAtMostOne16thAbove) {
  Distribution distribution;
  for (std::uint64_t i = 1; i <= 1000; ++i) distribution.record(i * 1000);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 1.0}) {
    const std::uint64_t reported = percentile_of(distribution, share);
    const auto exact = static_cast<std::uint64_t>(share * 1000 + 0.5) * 1000;
    EXPECT_GE(reported, exact) << share;
    EXPECT_LE(reported, exact + exact / 16) << share;
  }
  EXPECT_EQ(percentile_of(Distribution(), 0.5), 0u);
}

TEST(StageCounts, JsonSaysTimesInMsAndSizesByPowersOfTwo) {
  const StageCounts counts(std::vector{
      counted(wire::Stage::Disk, 2'000'000, 1), counted(wire::Stage::ChunkEntries, 256, 3),
      counted(wire::Stage::ChunkEntries, 300, 1), counted(wire::Stage::ChunkEntries, 1, 1)});
  const Json json = stages_json(counts);
  EXPECT_NEAR(json["disk_ms"]["p50"].get<double>(), 2, 0.13);
  EXPECT_TRUE(json["reply_ms"].is_null());
  EXPECT_EQ(json["chunk_entries"]["p50"], 256);
  ASSERT_EQ(json["chunk_entries"]["buckets"].size(), 2u);
  const Json wanted = {{"from", 256}, {"to", 511}, {"count", 4}};
  EXPECT_EQ(json["chunk_entries"]["buckets"][1], wanted);
  const std::string table = stages_table(counts);
  EXPECT_NE(table.find("leader disk"), std::string::npos) << table;
  EXPECT_EQ(table.find("reply"), std::string::npos) << table;
  EXPECT_NE(table.find("256   80.0 %"), std::string::npos) << table;
}

}  // namespace
}  // namespace sluice::tools
