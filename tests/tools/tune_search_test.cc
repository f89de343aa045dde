#include "tools/json.h"
#include "tools/tune_search.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

namespace sluice::tools {
namespace {

TuneResult result(double entries_per_s, double p99_ms, TunePoint point = {}) {
  return {std::move(point), entries_per_s, p99_ms / 2, p99_ms};
}

/// A machine: what it does at a point.
using Machine = std::function<TuneResult(const TunePoint&)>;

/// Runs a search to its end. More than 100 measurements are no search.
TuneSearch searched(const TuneGoal& goal, const Machine& machine, std::uint64_t entry_bytes = 256) {
  TuneSearch search(goal, entry_bytes, 64u << 20);
  for (int i = 0; i < 100; ++i) {
    const auto point = search.next();
    if (!point) return search;
    EXPECT_EQ(search.next(), point);  // the same until add()
    search.add(machine(*point));
  }
  ADD_FAILURE() << "the search does not end";
  return search;
}

TuneResult chosen(const TuneSearch& search, const TuneGoal& goal) {
  const auto all = medians(search.results());
  const auto best = best_of(all, goal);
  EXPECT_TRUE(best.has_value());
  return best ? all[*best] : TuneResult();
}

/// Throughput saturates with the load, latency grows with it; depth 2 and batches of 4 MiB are
/// best.
TuneResult machine(const TunePoint& point) {
  const double load = point.outstanding;
  const double depth = point.writes_inflight_max == 2 ? 1.3 : 1;
  const double batch = 1 + static_cast<double>(point.batch_bytes_max) / (8 << 20);
  const double entries = 1e6 * load / (load + 200) * depth * batch;
  return result(entries, 0.5 + load / 100, point);
}

TEST(TuneGoal, WithoutALimitThroughputDecides) {
  const TuneGoal goal;
  EXPECT_TRUE(is_better(result(110, 9), result(100, 1), goal));
  EXPECT_FALSE(is_better(result(100, 1), result(110, 9), goal));
  // Within the noise the p99 decides, if it is much lower.
  EXPECT_FALSE(is_better(result(101, 9), result(100, 9), goal, 0.03));
  EXPECT_TRUE(is_better(result(101, 4), result(100, 9), goal, 0.03));
  EXPECT_TRUE(is_better(result(99, 4), result(100, 9), goal, 0.03));
  EXPECT_FALSE(is_better(result(90, 4), result(100, 9), goal, 0.03));
  EXPECT_TRUE(is_better(result(1, 9), result(0, 0), goal));
  EXPECT_FALSE(is_better(result(0, 0), result(1, 9), goal));
}

TEST(TuneGoal, WithALimitOnlyThatIsWorthAnythingWhichKeepsIt) {
  const TuneGoal goal{5};
  EXPECT_TRUE(is_better(result(10, 5), result(1000, 5.01), goal));
  EXPECT_TRUE(is_better(result(20, 5), result(10, 1), goal));
  EXPECT_TRUE(is_better(result(10, 6), result(1000, 7), goal));  // none does: the closest
  EXPECT_FALSE(is_better(result(0, 0), result(1000, 7), goal));  // could not be measured
}

TEST(TuneResults, MediansAreTakenPointByPoint) {
  TunePoint other;
  other.outstanding = 1;
  const auto all = medians({result(3, 30), result(7, 70, other), result(1, 10), result(100, 20)});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_DOUBLE_EQ(all[0].entries_per_s, 3);
  EXPECT_DOUBLE_EQ(all[0].p99_ms, 20);
  EXPECT_EQ(all[1].point, other);
  EXPECT_DOUBLE_EQ(medians({result(1, 1), result(3, 1)})[0].entries_per_s, 2);
}

TEST(TuneResults, WhatIsNotDurableIsNeverChosen) {
  TunePoint never;
  never.fsync = "never";
  EXPECT_EQ(best_of({result(9, 1, never), result(1, 1)}, {}), 1u);
  EXPECT_EQ(best_of({result(9, 1, never)}, {}), std::nullopt);
  EXPECT_EQ(best_of({result(0, 0)}, {}), std::nullopt);
  EXPECT_EQ(best_of({}, {}), std::nullopt);
}

TEST(TuneResults, TheFrontierHasWhatNoOtherBeatsInBoth) {
  TunePoint never;
  never.fsync = "never";
  const auto front = frontier({result(100, 5), result(50, 1), result(90, 6), result(50, 2),
                               result(500, 0.1, never), result(0, 0)});
  ASSERT_EQ(front.size(), 2u);
  EXPECT_DOUBLE_EQ(front[0].entries_per_s, 50);
  EXPECT_DOUBLE_EQ(front[0].p99_ms, 1);
  EXPECT_DOUBLE_EQ(front[1].entries_per_s, 100);
}

TEST(TuneSearch, FindsTheMostThroughput) {
  const TuneResult best = chosen(searched({}, machine), {});
  EXPECT_EQ(best.point.outstanding, 4096u);
  EXPECT_EQ(best.point.writes_inflight_max, 2u);
  EXPECT_EQ(best.point.batch_bytes_max, 4u << 20);
  EXPECT_EQ(best.point.fsync, "always");
}

TEST(TuneSearch, FindsTheMostThroughputWithinAP99) {
  const TuneGoal goal{4};
  const TuneResult best = chosen(searched(goal, machine), goal);
  EXPECT_EQ(best.point.outstanding, 256u);  // 1024 would take 10.7 ms
  EXPECT_EQ(best.point.writes_inflight_max, 2u);
  EXPECT_LE(best.p99_ms, 4);
}

TEST(TuneSearch, AFlatMachineKeepsTheDefaults) {
  const TuneResult best =
      chosen(searched({}, [](const TunePoint& point) { return result(1000, 1, point); }), {});
  EXPECT_TRUE(best.point.same_knobs(TunePoint()));
}

TEST(TuneSearch, BeginsWithTheDefaultsAtTheUsualLoad) {
  TuneSearch search({}, 256, 64u << 20);
  EXPECT_EQ(search.next(), TunePoint());
}

TEST(TuneSearch, MeasuresTheBestThreeTimesAndOthersOnce) {
  const TuneSearch search = searched({}, machine);
  std::map<std::string, int> counts;
  for (const TuneResult& one : search.results()) ++counts[point_json(one.point).dump()];
  EXPECT_EQ(counts[point_json(chosen(search, {}).point).dump()], 3);
  for (const auto& [point, count] : counts) EXPECT_TRUE(count == 1 || count == 3) << point;
}

TEST(TuneSearch, OtherPoliciesComeLastAndAtTheChosenPoint) {
  const TuneSearch search = searched({}, machine);
  const auto& all = search.results();
  ASSERT_GE(all.size(), 3u);
  EXPECT_EQ(all[all.size() - 2].point.fsync, "interval=10ms");
  EXPECT_EQ(all[all.size() - 1].point.fsync, "never");
  for (std::size_t i = 0; i + 2 < all.size(); ++i) EXPECT_EQ(all[i].point.fsync, "always");
  TunePoint last = all.back().point;
  last.fsync = "always";
  EXPECT_EQ(last, chosen(search, {}).point);
}

TEST(TuneSearch, EveryPointIsOneThatNodesTake) {
  // One that would like each window smaller than the batches.
  const Machine narrow = [](const TunePoint& point) {
    TuneResult one = machine(point);
    one.entries_per_s *= 1 + 1e6 / static_cast<double>(point.inflight_bytes_max);
    return one;
  };
  for (const std::uint64_t entry_bytes : {16u, 256u, 100u << 10, 1u << 20}) {
    const TuneSearch search = searched({}, narrow, entry_bytes);
    for (const TuneResult& one : search.results()) {
      EXPECT_GE(one.point.batch_bytes_max, entry_bytes + 128);
      EXPECT_GE(one.point.inflight_bytes_max, one.point.batch_bytes_max);
      EXPECT_LE(4 * (one.point.batch_bytes_max + 3 * 4096), 64u << 20);
      EXPECT_LE(one.point.outstanding * entry_bytes, 64u << 20);
    }
  }
}

TEST(TuneSearch, EndsWhereNothingCanBeMeasured) {
  const TuneSearch search =
      searched({}, [](const TunePoint& point) { return result(0, 0, point); });
  EXPECT_LE(search.results().size(), 10u);
}

TEST(TuneSearch, WhatIsLeftFallsToNothing) {
  TuneSearch search({}, 256, 64u << 20);
  EXPECT_GT(search.left(), 10u);
  while (const auto point = search.next()) {
    EXPECT_GT(search.left(), 0u);
    search.add(machine(*point));
  }
  EXPECT_EQ(search.left(), 0u);
  EXPECT_EQ(search.stage_name(), "done");
}

}  // namespace
}  // namespace sluice::tools
