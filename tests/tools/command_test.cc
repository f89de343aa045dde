// The command as a user meets it: help, exit status, one line for each mistake.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/run_command.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::json;

/// Nothing listens on port 1 of loopback.
constexpr const char* kNobody = "127.0.0.1:1";

std::vector<std::string> serve_arguments() {
  return {"serve",
          "--node-id",
          "1",
          "--cluster-id",
          "c",
          "--data-dir",
          "/nonexistent",
          "--listen",
          "127.0.0.1:0",
          "--peer",
          "1=127.0.0.1:7001",
          "--peer",
          "2=127.0.0.1:7002",
          "--peer",
          "3=127.0.0.1:7003"};
}

void expect_one_line(const Ran& ran, const std::string& named) {
  EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
  EXPECT_NE(ran.err.find(named), std::string::npos) << ran.err;
  EXPECT_TRUE(ran.err.starts_with("sluice")) << ran.err;
}

void expect_usage_error(std::vector<std::string> arguments, const std::string& named) {
  const Ran ran = run_sluice(arguments);
  EXPECT_EQ(ran.status, 2) << fmt::format("{}", named) << ": " << ran.err;
  EXPECT_EQ(ran.out, "");
  expect_one_line(ran, named);
}

TEST(Command, HelpOfEachSubcommandNamesEachOption) {
  const std::pair<const char*, std::vector<const char*>> all[] = {
      {"serve",
       {"--node-id",
        "--cluster-id",
        "--data-dir",
        "--listen",
        "--peer",
        "--groups",
        "--shards",
        "--fsync",
        "--batch-bytes-max",
        "--config",
        "--segment-bytes",
        "--no-pin",
        "--busy-poll-us",
        "--tick-ms",
        "--election-timeout-ms",
        "--heartbeat-ms",
        "--writes-inflight-max",
        "--tail-bytes",
        "--producers-max",
        "--send-queue-bytes-max",
        "--connections-max",
        "--inflight-bytes-max",
        "--catch-up-bytes-per-s-min",
        "--uncommitted-bytes-max",
        "--first-core"}},
      {"append", {"--cluster", "--cluster-id", "--group", "--timeout-ms", "--config", "FILE"}},
      {"read", {"--cluster", "--group", "--from", "--count", "--follow", "--format", "--config"}},
      {"status", {"--cluster", "--cluster-id", "--json", "--config"}},
      {"pipe", {"--cluster", "--cluster-id", "--timeout-ms", "--config"}},
      {"bench",
       {"--cluster", "--nodes", "--groups", "--entry-bytes", "--outstanding", "--batch-bytes-max",
        "--rate", "--seconds", "--fsync", "--data-dir", "--json", "--warmup-seconds", "--producer",
        "--keep", "--config", "--plot", "--compare", "--writes-inflight-max",
        "--inflight-bytes-max", "--busy-poll-us"}},
      {"tune",
       {"--data-dir", "--p99", "--throughput", "--entry-bytes", "--seconds", "--out", "--force",
        "--plot", "--json", "--nodes"}},
      {"trim", {"--cluster", "--group", "--first", "--config"}},
      {"inspect", {"DIR", "--json", "--config"}},
  };
  for (const auto& [command, options] : all) {
    const Ran ran = run_sluice({command, "--help"});
    EXPECT_EQ(ran.status, 0) << command;
    EXPECT_EQ(ran.err, "");
    for (const char* option : options)
      EXPECT_NE(ran.out.find(option), std::string::npos) << command << " " << option;
    EXPECT_EQ(ran.out.find("die-with-parent"), std::string::npos);
  }
  const Ran ran = run_sluice({"--help"});
  EXPECT_EQ(ran.status, 0);
  for (const auto& [command, options] : all)
    EXPECT_NE(ran.out.find(command), std::string::npos) << command;
}

TEST(Command, HelpOfFsyncSaysWhatEachPolicyCanLose) {
  for (const char* command : {"serve", "bench"}) {
    std::string help = run_sluice({command, "--help"}).out;
    std::erase_if(help, [](char c) { return c == '\n' || c == ' '; });
    for (const char* phrase :
         {"always:onthestablestorageofamajority;losesnothing", "interval=DURATION",
          "thelastDURATIONofacknowledgedentriescanbelost", "never:inthememoryofamajority"})
      EXPECT_NE(help.find(phrase), std::string::npos) << phrase;
  }
}

TEST(Command, BadUsageExitsWith2AndOneLine) {
  expect_usage_error({}, "--help");
  expect_usage_error({"frobnicate"}, "--help");
  expect_usage_error({"serve", "--frobnicate"}, "--frobnicate");
  expect_usage_error({"status"}, "--cluster is missing");
  expect_usage_error({"append", "--cluster", kNobody, "--group", "x"}, "--group");
  expect_usage_error({"read", "--cluster", kNobody, "--format", "xml"}, "raw, json");
  expect_usage_error({"status", "--cluster", "no-port-here"}, "no-port-here");
  expect_usage_error({"trim", "--cluster", kNobody}, "--first is missing");
  expect_usage_error({"inspect"}, "DIR is missing");
  expect_usage_error({"bench", "--fsync", "sometimes"}, "interval=10ms");
  expect_usage_error({"bench", "--entry-bytes", "2MiB"}, "--batch-bytes-max");
  expect_usage_error({"bench", "--nodes", "8"}, "1 to 7");
  expect_usage_error({"bench", "--groups", "16386"}, "use more --shards");
  expect_usage_error({"bench", "--outstanding", "100000", "--entry-bytes", "64KiB"}, "4GiB");
}

TEST(Command, ServeChecksItsConfigurationBeforeAnythingElse) {
  expect_usage_error({"serve"}, "is missing");
  const auto with = [](std::vector<std::string> more) {
    std::vector<std::string> all = serve_arguments();
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  expect_usage_error(with({"--fsync", "maybe"}), "--fsync");
  expect_usage_error(with({"--fsync", "interval=1us"}), "1ms to 60s");
  expect_usage_error(with({"--peer", "nonsense"}), "ID=HOST:PORT");
  expect_usage_error(with({"--peer", "2=127.0.0.1:7009"}), "twice");
  expect_usage_error(with({"--segment-bytes", "1MiB"}), "segment_bytes");
  expect_usage_error(with({"--groups", "50000", "--shards", "2"}), "use more --shards");
  std::vector<std::string> foreign = serve_arguments();
  foreign[2] = "4";
  expect_usage_error(foreign, "do not name this node (4)");
}

TEST(Command, AConfigFileWithAnUnknownKeyIsRefusedWithItsLine) {
  char directory[] = "/tmp/sluice-config-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/node.toml";
  std::ofstream(path) << "node_id = 1\nbatch_byte_max = 4096\n";
  expect_usage_error({"serve", "--config", path}, "line 2: batch-byte-max");
  std::ofstream(path) << "cluster = [\"127.0.0.1:1\"]\ntimeout_ms = 200\n";
  const Ran ran = run_sluice({"status", "--config", path, "--json"});
  EXPECT_EQ(ran.status, 1) << ran.err;
  EXPECT_EQ(Json::parse(ran.out).size(), 1u);
  std::filesystem::remove_all(directory);
}

TEST(Command, StatusOfNobodyExitsWith1AndStillPrintsTheArray) {
  const Ran ran = run_sluice(
      {"status", "--cluster", "127.0.0.1:1,127.0.0.1:2", "--json", "--timeout-ms", "300"});
  EXPECT_EQ(ran.status, 1);
  const Json nodes = Json::parse(ran.out);
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0]["reachable"], false);
  EXPECT_EQ(nodes[1]["address"], "127.0.0.1:2");
  expect_one_line(ran, "no node can be reached");
}

TEST(Command, AppendToNobodyReportsEachLine) {
  const Ran ran = run_sluice({"append", "--cluster", kNobody, "--timeout-ms", "300"}, "a\n\nlast");
  EXPECT_EQ(ran.status, 1);
  for (const char* line : {"line 1: ", "line 2: ", "line 3: "})
    EXPECT_NE(ran.err.find(line), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("line 4"), std::string::npos) << ran.err;
  EXPECT_NE(ran.out.find("acknowledged 0 entries"), std::string::npos) << ran.out;
}

TEST(Command, AppendOfNothingIsFine) {
  const Ran ran = run_sluice({"append", "--cluster", kNobody}, "");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "acknowledged 0 entries, last index 0\n");
}

TEST(Command, AppendOfAFileThatIsNotThere) {
  const Ran ran = run_sluice({"append", "--cluster", kNobody, "/no/such/file"});
  EXPECT_EQ(ran.status, 1);
  expect_one_line(ran, "/no/such/file");
}

TEST(Command, ReadAndTrimOfNobodyExitWith1) {
  const Ran read = run_sluice({"read", "--cluster", kNobody, "--timeout-ms", "300"});
  EXPECT_EQ(read.status, 1);
  expect_one_line(read, "no node can be reached");
  const Ran trim =
      run_sluice({"trim", "--cluster", kNobody, "--first", "5", "--timeout-ms", "300"});
  EXPECT_EQ(trim.status, 1);
  EXPECT_EQ(std::ranges::count(trim.err, '\n'), 1) << trim.err;
}

TEST(Command, PipeAnswersEveryLineThenEnds) {
  const Ran ran = run_sluice({"pipe", "--cluster", kNobody, "--timeout-ms", "300"},
                             "{\"id\":1,\"op\":\"append\",\"data\":\"x\"}\n"
                             "not json\n"
                             "\n"
                             "{\"id\":[2],\"op\":\"append\"}\n"
                             "{\"id\":3,\"op\":\"status\",\"node\":2}\n"
                             "{\"id\":4,\"op\":\"read\",\"node\":1}");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  std::vector<Json> answers;
  for (std::size_t at = 0; at < ran.out.size();) {
    const std::size_t end = ran.out.find('\n', at);
    answers.push_back(Json::parse(ran.out.substr(at, end - at)));
    at = end + 1;
  }
  ASSERT_EQ(answers.size(), 5u) << ran.out;
  const auto answer = [&](const Json& id) {
    for (const Json& one : answers)
      if (one["id"] == id) return one;
    return Json();
  };
  EXPECT_EQ(answer(1)["ok"], false);
  EXPECT_EQ(answer(1)["error"], "refused");
  EXPECT_EQ(answer(1)["code"], "unreachable");
  EXPECT_EQ(answer(nullptr)["code"], "invalid_request");
  EXPECT_EQ(answer(Json::array({2}))["code"], "invalid_request");
  EXPECT_EQ(answer(3)["ok"], true);
  EXPECT_EQ(answer(3)["reachable"], false);
  EXPECT_EQ(answer(3)["node_id"], 2);
  EXPECT_EQ(answer(4)["error"], "unreachable");
}

TEST(Command, InspectOfAnythingElseThanANodesDirectoryExitsWith1) {
  char directory[] = "/tmp/sluice-inspect-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const Ran ran = run_sluice({"inspect", directory});
  EXPECT_EQ(ran.status, 1);
  expect_one_line(ran, "sluice inspect: ");
  EXPECT_TRUE(std::filesystem::is_empty(directory));  // and nothing was made in it
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice::tools
