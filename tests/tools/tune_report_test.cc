#include "tools/tune_report.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/tools/xml_check.h"
#include "tools/config_file.h"
#include "tools/json.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

TuneResult at(std::uint32_t outstanding, double entries_per_s, double p99_ms) {
  TunePoint point;
  point.outstanding = outstanding;
  return {point, entries_per_s, p99_ms / 2, p99_ms};
}

TuneReport sample() {
  TuneReport report;
  report.disk.filesystem = "ext4";
  report.results = {at(1, 2000, 1), at(16, 30'000, 2), at(256, 600'000, 4), at(64, 20'000, 8)};
  TuneResult never = at(256, 900'000, 1);
  never.point.fsync = "never";
  report.results.push_back(never);
  report.chosen = 2;
  return report;
}

class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() {
    char path[] = "/tmp/sluice-tune-XXXXXX";
    directory_ = ::mkdtemp(path);
  }
  ~DirectoryTest() override { fs::remove_all(directory_); }
  std::string directory_;
};

TEST(TuneReport, TheCurveMarksWhatWasChosen) {
  const std::string curve = curve_text(sample());
  const std::string above_axis = curve.substr(0, curve.find('+'));
  const std::string drawing = above_axis.substr(above_axis.find('\n'));
  EXPECT_EQ(std::ranges::count(drawing, '*'), 1) << curve;
  EXPECT_EQ(std::ranges::count(drawing, 'o'), 2) << curve;  // the frontier without the chosen one
  // Its largest throughput is that of a durable point: the chosen one stands at the right end.
  EXPECT_NE(curve.find("600,000 entries/s"), std::string::npos) << curve;
  const std::size_t star = drawing.find('*');
  EXPECT_TRUE(drawing[star + 1] == '\n') << curve;
}

TEST(TuneReport, OnePointIsACurve) {
  TuneReport report = sample();
  report.results.resize(1);
  report.chosen = 0;
  EXPECT_EQ(std::ranges::count(curve_text(report), '*'), 2);  // the point and the legend
}

TEST(TuneReport, TextSaysWhatOtherPoliciesCanLoseAndWhetherTheGoalIsMet) {
  TuneReport report = sample();
  EXPECT_NE(tune_text(report).find("--fsync never is not durable"), std::string::npos);
  EXPECT_TRUE(is_met(report));
  report.goal.p99_ms_max = 4;
  EXPECT_TRUE(is_met(report));
  report.goal.p99_ms_max = 3.9;
  EXPECT_FALSE(is_met(report));
  EXPECT_NE(tune_text(report).find("no point keeps p99"), std::string::npos);
  EXPECT_EQ(tune_json(report)["met"], false);
  EXPECT_EQ(tune_json(report)["points"].size(), 5u);
  EXPECT_EQ(tune_json(report)["chosen"]["outstanding"], 256);
}

TEST(TuneReport, ThePlotIsWellFormedAndMarksWhatWasChosen) {
  const Plot plot = tune_plot(sample());
  ASSERT_EQ(plot.marks.size(), 1u);
  EXPECT_DOUBLE_EQ(plot.marks[0].at.x, 600'000);
  ASSERT_EQ(plot.series.size(), 3u);
  EXPECT_EQ(plot.series[0].points.size(), 3u);
  EXPECT_EQ(plot.series[1].points.size(), 4u);
  EXPECT_EQ(plot.series[2].points.size(), 1u);
  EXPECT_EQ(xml_problem(svg_of(plot)), "");
}

TEST_F(DirectoryTest, TheFileHoldsTheChosenSettings) {
  TuneReport report = sample();
  report.results[2].point.batch_bytes_max = 256u << 10;
  report.results[2].point.writes_inflight_max = 7;
  const std::string path = directory_ + "/sluice.toml";
  write_text_file(path, tune_toml(report));
  std::string found;
  for (const ConfigValue& value : read_config_file(path))
    found += value.key + "=" + (value.is_table ? "table" : value.texts.at(0)) + " ";
  EXPECT_EQ(found,
            "fsync=always batch-bytes-max=256KiB writes-inflight-max=7 inflight-bytes-max=8MiB "
            "bench=table ");
}

TEST_F(DirectoryTest, DiskFactsComeFromTheQueueOfTheWholeDisk) {
  struct stat info {};
  ASSERT_EQ(::stat(directory_.c_str(), &info), 0);
  const std::string number =
      std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  const std::string disk = directory_ + "/devices/vdx";
  fs::create_directories(disk + "/queue");
  fs::create_directories(disk + "/vdx1");
  fs::create_directories(directory_ + "/dev/block");
  fs::create_directory_symlink(disk + "/vdx1", directory_ + "/dev/block/" + number);
  std::ofstream(disk + "/queue/write_cache") << "write back\n";
  std::ofstream(disk + "/queue/fua") << "0\n";
  std::ofstream(disk + "/queue/rotational") << "1\n";
  const DiskFacts facts = disk_facts(directory_, directory_);
  EXPECT_EQ(facts.device, "vdx");
  EXPECT_EQ(facts.write_cache, "write back");
  EXPECT_EQ(facts.fua, false);
  EXPECT_EQ(facts.rotational, true);
  EXPECT_FALSE(facts.filesystem.empty());
}

TEST_F(DirectoryTest, WhatTheKernelDoesNotSayIsNotKnown) {
  const DiskFacts facts = disk_facts(directory_, directory_);
  EXPECT_EQ(facts.device, "");
  EXPECT_EQ(facts.fua, std::nullopt);
  EXPECT_EQ(facts.rotational, std::nullopt);
  EXPECT_TRUE(probe_json(facts, {})["device"].is_null());
}

TEST(DiskFacts, ThePromiseOfTheCacheFollowsFromWhatTheKernelSays) {
  const auto promise = [](const char* cache, std::optional<bool> fua, const char* fs = "ext4") {
    return cache_promise({fs, "vda", false, cache, fua});
  };
  EXPECT_NE(promise("write back", false).find("without FUA"), std::string::npos);
  EXPECT_NE(promise("write back", true).find("with FUA"), std::string::npos);
  EXPECT_NE(promise("write through", false).find("no volatile cache"), std::string::npos);
  EXPECT_NE(promise("", {}).find("not known"), std::string::npos);
  EXPECT_NE(promise("write through", false, "tmpfs").find("in memory"), std::string::npos);
}

TEST(DiskProbe, EachPathIsAskedAtEachDepth) {
  const auto cases = probe_cases();
  for (const WritePath path :
       {WritePath::kDirectZeroed, WritePath::kDirectAllocated, WritePath::kBuffered})
    for (std::uint32_t depth = 1; depth <= 4; ++depth)
      EXPECT_EQ(std::ranges::count(cases, ProbeCase{path, depth, 4096}), 1);
}

TEST_F(DirectoryTest, AProbeWritesAndLeavesNothing) {
  std::vector<ProbeResult> results;
  {
    DiskProbe probe(directory_);
    for (const WritePath path :
         {WritePath::kBuffered, WritePath::kDirectZeroed, WritePath::kDirectAllocated})
      results.push_back(probe.run({path, 2, 4096}, 0.01, [] { return false; }));
  }
  EXPECT_TRUE(fs::is_empty(directory_));
  EXPECT_EQ(results[0].problem, "");
  for (const ProbeResult& one : results)
    EXPECT_TRUE(one.latency_ns.count() > 0 || !one.problem.empty()) << path_name(one.asked.path);
  EXPECT_NE(probe_table({}, results).find("fdatasync"), std::string::npos);
  EXPECT_EQ(probe_json({}, results)["writes"].size(), 3u);
}

TEST_F(DirectoryTest, AProbeEndsWhenItIsToldTo) {
  DiskProbe probe(directory_);
  const ProbeResult result = probe.run({WritePath::kBuffered, 1, 4096}, 3600, [] { return true; });
  EXPECT_EQ(result.problem, "");
}

}  // namespace
}  // namespace sluice::tools
