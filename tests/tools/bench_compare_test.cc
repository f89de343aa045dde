#include "tools/bench_compare.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "tools/bench_report.h"
#include "tools/errors.h"
#include "tools/json.h"

namespace sluice::tools {
namespace {

BenchReport measured(std::uint64_t entries, std::uint64_t latency_ns) {
  BenchReport report;
  report.measured_s = 1;
  report.entries = entries;
  for (int i = 0; i < 1000; ++i) report.latency_ns.record(latency_ns);
  return report;
}

TEST(BenchReport, SaysEachPercentileAndHowItWasMeasured) {
  BenchReport report;
  for (int i = 0; i < 99'990; ++i) report.latency_ns.record(1'000'000);
  for (int i = 0; i < 10; ++i) report.latency_ns.record(50'000'000);
  report.warm_up = "past the first recycled segment";
  const Json json = bench_json(report);
  EXPECT_NEAR(json["latency_ms"]["p999"].get<double>(), 1, 0.01);
  EXPECT_NEAR(json["latency_ms"]["p9999"].get<double>(), 1, 0.01);
  EXPECT_DOUBLE_EQ(json["latency_ms"]["max"].get<double>(), 50);
  EXPECT_EQ(json["mode"], "closed");
  EXPECT_DOUBLE_EQ(json["latency_curve"].back()["ms"].get<double>(), 50);
  const std::string table = bench_table(report);
  EXPECT_NE(table.find("closed loop"), std::string::npos);
  EXPECT_NE(table.find("p99.99"), std::string::npos);
  EXPECT_NE(table.find("past the first recycled segment"), std::string::npos);
  report.rate = 10;
  EXPECT_EQ(bench_json(report)["mode"], "open");
  EXPECT_NE(bench_table(report).find("open loop"), std::string::npos);
}

TEST(BenchCompare, RatiosAreNowToBefore) {
  const Json before = bench_json(measured(100, 1'000'000));
  const Json now = bench_json(measured(150, 2'000'000));
  bool found = false;
  for (const Difference& one : differences(before, now)) {
    if (one.name == "entries/s") {
      EXPECT_DOUBLE_EQ(one.ratio(), 1.5);
    } else if (one.name == "latency p99 ms") {
      EXPECT_NEAR(one.ratio(), 2, 0.02);
      found = true;
    }
  }
  EXPECT_TRUE(found);
  EXPECT_DOUBLE_EQ(compare_json(before, now)["entries/s"]["ratio"].get<double>(), 1.5);
  EXPECT_TRUE(compare_json(before, now)["flushes/s"]["ratio"].is_null());  // 0 before
  EXPECT_NE(compare_table(before, now).find("1.50"), std::string::npos);
}

TEST(BenchCompare, WhatOneOfThemLacksIsLeftOut) {
  const Json now = bench_json(measured(150, 2'000'000));
  Json before = now;
  before["latency_ms"].erase("p9999");
  before.erase("stages");
  EXPECT_EQ(differences(before, now).size() + 1, differences(now, now).size());
}

TEST(BenchCompare, OptionsThatDifferAreNamed) {
  BenchReport report = measured(1, 1);
  const Json before = bench_json(report);
  EXPECT_TRUE(different_options(before, before).empty());
  report.outstanding = 16;
  report.data_dir = "/elsewhere";
  const auto different = different_options(before, bench_json(report));
  ASSERT_EQ(different.size(), 1u);
  EXPECT_EQ(different[0], "outstanding: 256, now 16");
}

TEST(BenchCompare, AFileThatIsNoReportIsBadUsage) {
  EXPECT_THROW((void)read_report("/no/such/file"), UsageError);
  char path[] = "/tmp/sluice-compare-XXXXXX";
  ASSERT_GE(::mkstemp(path), 0);
  for (const char* text : {"", "{", "[]", "3", "{}", R"({"entries_per_s":"many"})"}) {
    std::ofstream(path) << text;
    EXPECT_THROW((void)read_report(path), UsageError) << text;
  }
  std::ofstream(path) << bench_json(measured(7, 1)).dump();
  EXPECT_EQ(read_report(path)["entries"], 7);
  std::remove(path);
}

}  // namespace
}  // namespace sluice::tools
