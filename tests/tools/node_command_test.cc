// The commands against nodes that run: a cluster of one, which is the smallest that does the whole
// work, and the benchmark's own cluster.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/run_command.h"
#include "tools/bench_cluster.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class NodeCommandTest : public testing::Test {
 protected:
  NodeCommandTest() {
    char path[] = "/var/tmp/sluice-node-XXXXXX";
    directory_ = ::mkdtemp(path);
    address_ = "127.0.0.1:" + std::to_string(free_ports(1).front());
  }
  ~NodeCommandTest() override {
    node_.reset();
    fs::remove_all(directory_);
  }

  [[nodiscard]] std::vector<std::string> serve_arguments() const {
    return {"serve",
            "--node-id=1",
            "--cluster-id=test",
            "--data-dir=" + data_dir(),
            "--listen=" + address_,
            "--peer=1=" + address_,
            "--groups=2",
            "--shards=1",
            "--no-pin",
            "--batch-bytes-max=64KiB",
            "--segment-bytes=1MiB",
            "--election-timeout-ms=50",
            "--heartbeat-ms=10",
            "--tick-ms=5"};
  }
  [[nodiscard]] std::string data_dir() const { return directory_ + "/node"; }

  void start() {
    node_ = std::make_unique<Running>(serve_arguments(), directory_ + "/log");
    ASSERT_TRUE(node_->wait_for("node 1 of cluster test listens on " + address_))
        << node_->output();
  }
  int stop(int number) {
    node_->signal(number);
    const int status = node_->wait();
    node_.reset();
    fs::remove(directory_ + "/log");
    return status;
  }
  [[nodiscard]] Ran run(const std::string& command, std::vector<std::string> arguments = {},
                        const std::string& input = "") const {
    std::vector<std::string> all = {command, "--cluster", address_};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_sluice(all, input);
  }
  /// The answers of `sluice pipe`, by id.
  [[nodiscard]] std::map<int, Json> pipe(const std::string& requests) const {
    const Ran ran = run("pipe", {}, requests);
    EXPECT_EQ(ran.status, 0) << ran.err;
    std::map<int, Json> answers;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) {
      const Json answer = Json::parse(line);
      EXPECT_TRUE(answers.emplace(answer["id"], answer).second) << line;
    }
    return answers;
  }

  std::string directory_;
  std::string address_;
  std::unique_ptr<Running> node_;
};

TEST_F(NodeCommandTest, WhatIsAppendedIsReadInOrder) {
  start();
  const std::string lines = "first\n\n\xFF\xFE raw\nlast without newline";
  const Ran append = run("append", {"--group", "1"}, lines);
  EXPECT_EQ(append.status, 0) << append.err;
  EXPECT_TRUE(append.out.starts_with("acknowledged 4 entries, last index ")) << append.out;
  const Ran read = run("read", {"--group", "1"});
  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_EQ(read.out, lines + "\n");
  EXPECT_EQ(run("read", {"--group", "0"}).out, "");

  const Ran json = run("read", {"--group", "1", "--format", "json", "--count", "3"});
  std::istringstream objects(json.out);
  std::vector<Json> entries;
  for (std::string line; std::getline(objects, line);) entries.push_back(Json::parse(line));
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0]["data"], "first");
  EXPECT_EQ(entries[1]["data"], "");
  EXPECT_EQ(entries[2]["data_base64"], "//4gcmF3");
  EXPECT_GE(entries[0]["term"], 1);
  const std::uint64_t last = entries[0]["index"].get<std::uint64_t>() + 3;
  EXPECT_EQ(run("read", {"--group", "1", "--from", std::to_string(last)}).out,
            "last without newline\n");
}

TEST_F(NodeCommandTest, ALineThatIsTooLongIsReportedAndTheOthersLand) {
  start();
  std::string lines;
  for (int i = 1; i <= 2000; ++i)
    lines += i % 700 == 0 ? std::string(70'000, 'x') + "\n" : std::to_string(i) + "\n";
  const Ran append = run("append", {}, lines);
  EXPECT_EQ(append.status, 1);
  EXPECT_NE(append.err.find("line 700: refused (too_large)"), std::string::npos) << append.err;
  EXPECT_NE(append.err.find("line 1400: refused (too_large)"), std::string::npos) << append.err;
  EXPECT_EQ(std::ranges::count(append.err, '\n'), 2) << append.err;
  EXPECT_TRUE(append.out.starts_with("acknowledged 1998 entries")) << append.out;
  std::string wanted;
  for (int i = 1; i <= 2000; ++i)
    if (i % 700 != 0) wanted += std::to_string(i) + "\n";
  EXPECT_TRUE(run("read").out == wanted);
}

TEST_F(NodeCommandTest, PipeKeepsItsContract) {
  start();
  ASSERT_EQ(run("append", {"--group", "1"}, "x\n").status, 0);
  ASSERT_EQ(run("read").status, 0);  // waits until group 0 has a leader too
  const auto answers = pipe(R"({"id":1,"op":"append","data":"a","producer":7,"sequence":1})"
                            "\n"
                            R"({"id":2,"op":"append","data":"b","producer":7,"sequence":2})"
                            "\n"
                            R"({"id":3,"op":"append","data":"c","group":99})"
                            "\n"
                            R"({"id":4,"op":"append","data":"d","node":2})"
                            "\n"
                            R"({"id":5,"op":"read","from":1000000})"
                            "\n"
                            R"({"id":6,"op":"status","node":1})"
                            "\n"
                            R"({"id":7,"op":"status","node":2})"
                            "\n"
                            R"({"id":8,"op":"read","group":5})"
                            "\n");
  ASSERT_EQ(answers.size(), 8u);
  EXPECT_EQ(answers.at(1)["ok"], true);
  EXPECT_EQ(answers.at(2)["index"], answers.at(1)["index"].get<int>() + 1);
  EXPECT_EQ(answers.at(3)["error"], "refused");
  EXPECT_EQ(answers.at(3)["code"], "unknown_group");
  EXPECT_EQ(answers.at(4)["error"], "refused");
  EXPECT_EQ(answers.at(4)["code"], "unreachable");
  EXPECT_EQ(answers.at(5)["ok"], true);
  EXPECT_TRUE(answers.at(5)["entries"].empty());
  EXPECT_EQ(answers.at(6)["reachable"], true);
  EXPECT_EQ(answers.at(6)["groups"][0]["role"], "leader");
  EXPECT_EQ(answers.at(6)["groups"][0]["leader_id"], 1);
  EXPECT_EQ(answers.at(7)["ok"], true);
  EXPECT_EQ(answers.at(7)["reachable"], false);
  EXPECT_EQ(answers.at(8)["error"], "unknown_group");

  const auto again = pipe(R"({"id":1,"op":"append","data":"b","producer":7,"sequence":2})"
                          "\n"
                          R"({"id":2,"op":"append","data":"z","producer":7,"sequence":9})"
                          "\n"
                          R"({"id":3,"op":"read","from":1})"
                          "\n");
  EXPECT_EQ(again.at(1)["index"], answers.at(2)["index"]);  // S47: it lands once
  EXPECT_EQ(again.at(1)["term"], answers.at(2)["term"]);
  EXPECT_EQ(again.at(2)["code"], "sequence_gap");
  EXPECT_EQ(again.at(2)["expected_sequence"], 3);
  std::string data;
  for (const Json& entry : again.at(3)["entries"])
    if (entry.contains("data")) data += entry["data"].get<std::string>();
  EXPECT_EQ(data, "ab");
  EXPECT_EQ(again.at(3)["entries"][0]["internal"], true);
}

TEST_F(NodeCommandTest, StatusShowsTheNode) {
  start();
  ASSERT_EQ(run("append", {}, "x\n").status, 0);
  const Ran ran = run("status", {"--json"});
  EXPECT_EQ(ran.status, 0);
  const Json nodes = Json::parse(ran.out);
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0]["node_id"], 1);
  EXPECT_EQ(nodes[0]["fsync"], "always");
  ASSERT_EQ(nodes[0]["groups"].size(), 2u);
  EXPECT_EQ(nodes[0]["groups"][0]["commit_index"], nodes[0]["groups"][0]["last_index"]);
  EXPECT_NE(run("status").out.find("leader"), std::string::npos);
  const Ran foreign = run("status", {"--cluster-id", "other"});
  EXPECT_EQ(foreign.status, 1);
  EXPECT_NE(foreign.err.find("another cluster"), std::string::npos) << foreign.err;
}

TEST_F(NodeCommandTest, TrimTakesTheBeginningAway) {
  start();
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    lines = std::to_string(i) + "\n";
    ASSERT_EQ(run("append", {}, lines).status, 0);
  }
  const Ran trim = run("trim", {"--first", "6"});
  EXPECT_EQ(trim.status, 0) << trim.err;
  const Ran below = run("read", {"--from", "2"});
  EXPECT_EQ(below.status, 1);
  EXPECT_NE(below.err.find("trimmed"), std::string::npos) << below.err;
  const Ran rest = run("read");  // without --from: what is there
  EXPECT_EQ(rest.status, 0) << rest.err;
  EXPECT_TRUE(rest.out.ends_with("8\n9\n")) << rest.out;
  EXPECT_EQ(rest.out.find("0\n"), std::string::npos) << rest.out;
}

TEST_F(NodeCommandTest, FollowPrintsWhatCommitsUntilASignal) {
  start();
  ASSERT_EQ(run("append", {}, "before\n").status, 0);
  Running follow({"read", "--cluster", address_, "--follow"}, directory_ + "/follow");
  EXPECT_TRUE(follow.wait_for("before\n"));
  ASSERT_EQ(run("append", {}, "after\n").status, 0);
  EXPECT_TRUE(follow.wait_for("after\n"));
  follow.signal(SIGINT);
  EXPECT_EQ(follow.wait(), 0);
  EXPECT_EQ(follow.output(), "before\nafter\n");
}

// A script must not take the beginning of a log for the whole.
TEST_F(NodeCommandTest, AReadThatASignalCutsOffFails) {
  start();
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += std::string(30'000, '*') + "\n";
  ASSERT_EQ(run("append", {}, lines).status, 0);
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const int out = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(out, 0);
  Running read({"read", "--cluster", address_}, fifo);
  pollfd readable{out, POLLIN, 0};
  ASSERT_EQ(::poll(&readable, 1, 20'000), 1);
  // Nobody took its output yet, so it did not come to the end of 30 MB, and now it cannot.
  node_->signal(SIGSTOP);
  read.signal(SIGTERM);
  std::string chunk(64u << 10, '\0'), said;
  for (ssize_t size = 1; size > 0;) {
    ASSERT_EQ(::poll(&readable, 1, 20'000), 1);
    size = ::read(out, chunk.data(), chunk.size());
    if (size > 0) said.append(chunk, 0, static_cast<std::size_t>(size));
  }
  ::close(out);
  EXPECT_EQ(read.wait(), 1);
  std::erase(said, '*');
  std::erase(said, '\n');
  EXPECT_TRUE(said.starts_with("sluice read: stopped by a signal")) << said;
  node_->signal(SIGCONT);
}

TEST_F(NodeCommandTest, SignalsStopANodeCleanlyAndItComesBack) {
  for (const int number : {SIGTERM, SIGINT}) {
    start();
    ASSERT_EQ(run("append", {}, "x\n").status, 0);
    EXPECT_EQ(stop(number), 0);
  }
  start();
  EXPECT_EQ(run("read").out, "x\nx\n");
}

TEST_F(NodeCommandTest, ADirectoryIsRefusedWhileInUseAndToOthers) {
  start();
  std::vector<std::string> second = serve_arguments();
  second[4] = "--listen=127.0.0.1:0";
  const Ran in_use = run_sluice(second);
  EXPECT_EQ(in_use.status, 1);
  EXPECT_NE(in_use.err.find("in use"), std::string::npos) << in_use.err;
  EXPECT_EQ(run_sluice({"inspect", data_dir()}).status, 1);

  std::vector<std::string> same_port = serve_arguments();
  same_port[3] += "-2";
  const Ran port = run_sluice(same_port);
  EXPECT_EQ(port.status, 1);
  EXPECT_NE(port.err.find(address_), std::string::npos) << port.err;
  EXPECT_EQ(std::ranges::count(port.err, '\n'), 1) << port.err;

  EXPECT_EQ(stop(SIGTERM), 0);
  std::vector<std::string> other_cluster = serve_arguments();
  other_cluster[2] = "--cluster-id=other";
  const Ran foreign = run_sluice(other_cluster);
  EXPECT_EQ(foreign.status, 1);
  EXPECT_EQ(std::ranges::count(foreign.err, '\n'), 1) << foreign.err;
  std::vector<std::string> other_node = serve_arguments();
  other_node[1] = "--node-id=2";
  other_node[5] = "--peer=2=" + address_;
  EXPECT_EQ(run_sluice(other_node).status, 1);
}

/// Flips a bit of the byte at `offset`; returns what it was.
char flip(const std::string& path, std::int64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const char byte = static_cast<char>(file.get());
  file.seekp(offset);
  file.put(static_cast<char>(byte ^ 1));
  return byte;
}

TEST_F(NodeCommandTest, InspectCallsATornTailNoDamageAndAFlippedByteDamage) {
  start();
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += std::string(100, 'a') + "\n";
  for (int i = 0; i < 20; ++i) ASSERT_EQ(run("append", {}, lines).status, 0);
  (void)stop(SIGKILL);
  const Ran sound = run_sluice({"inspect", data_dir(), "--json"});
  EXPECT_EQ(sound.status, 0) << sound.out << sound.err;
  const Json json = Json::parse(sound.out);
  EXPECT_EQ(json["damaged"], false);
  EXPECT_EQ(json["node_id"], 1);
  EXPECT_TRUE(json.contains("torn_tail"));
  const Json& shard = json["shards"][0];
  EXPECT_GE(shard["groups"][0]["last_index"], 2000);
  EXPECT_EQ(shard["segments"][0]["checksums"], "ok");
  const std::string segment =
      data_dir() + "/shard-0/" + shard["segments"][0]["file"].get<std::string>();
  // The last chunk is not known to be durable: nobody can tell a torn write from a flipped byte.
  const auto used_bytes = shard["segments"][0]["used_bytes"].get<std::int64_t>();
  const char before = flip(segment, used_bytes - 4096 + 20);
  const Ran torn = run_sluice({"inspect", data_dir(), "--json"});
  EXPECT_EQ(torn.status, 0) << torn.out;
  EXPECT_EQ(Json::parse(torn.out)["torn_tail"], true) << torn.out;
  EXPECT_EQ(Json::parse(torn.out)["damaged"], false);
  EXPECT_NE(flip(segment, used_bytes - 4096 + 20), before);  // back as it was

  (void)flip(segment, 16'000);  // in the middle of what is long durable
  const Ran damaged = run_sluice({"inspect", data_dir(), "--json"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_EQ(Json::parse(damaged.out)["damaged"], true);
  EXPECT_FALSE(Json::parse(damaged.out)["shards"][0]["damage"].empty());
  EXPECT_NE(run_sluice({"inspect", data_dir()}).out.find("DAMAGE"), std::string::npos);
  // The node agrees, and says so in one line.
  const Ran serve = run_sluice(serve_arguments());
  EXPECT_EQ(serve.status, 1);
  EXPECT_EQ(std::ranges::count(serve.err, '\n'), 1) << serve.err;
}

TEST_F(NodeCommandTest, BenchOfARunningCluster) {
  start();
  const Ran ran = run("bench", {"--seconds", "0.3", "--warmup-seconds", "0.1", "--groups", "2",
                                "--batch-bytes-max", "64KiB", "--json"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["verified"], true);
  EXPECT_TRUE(json["cpu_us_per_entry"].is_null());
  EXPECT_EQ(json["options"]["embedded"], false);
}

TEST(BenchCommand, ThreeNodesOfItsOwnThenNothingIsLeft) {
  char path[] = "/var/tmp/sluice-bench-test-XXXXXX";
  const std::string directory = ::mkdtemp(path);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--rate", "500", "--producer", "--groups", "4"}}) {
    std::vector<std::string> arguments = {
        "bench",  "--data-dir",       directory, "--seconds",       "0.5",
        "--json", "--warmup-seconds", "0.2",     "--segment-bytes", "8MiB"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = run_sluice(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err << ran.out;
    const Json json = Json::parse(ran.out);
    EXPECT_EQ(json["verified"], true) << ran.out;
    EXPECT_EQ(json["mode"], more.empty() ? "closed" : "open");
    EXPECT_GT(json["entries_per_s"], 0);
    EXPECT_GT(json["flushes_per_s"], 0);
    // Little work is less than the kernel's unit of 10 ms.
    EXPECT_EQ(json["cpu_us_per_entry"].is_number(), true);
    EXPECT_GT(json["latency_ms"]["p999"], 0);
    EXPECT_EQ(json["options"]["fsync"], "always");
    EXPECT_TRUE(fs::is_empty(directory));
  }
  fs::remove_all(directory);
}

TEST(BenchCommand, ASignalStopsItAndItsNodes) {
  char path[] = "/var/tmp/sluice-bench-test-XXXXXX";
  const std::string directory = ::mkdtemp(path);
  {
    Running bench({"bench", "--data-dir", directory + "/d", "--seconds", "600", "--nodes", "1"},
                  directory + "/log");
    ASSERT_TRUE(bench.wait_for("warming up")) << bench.output();
    bench.signal(SIGTERM);
    EXPECT_EQ(bench.wait(), 1);
    EXPECT_NE(bench.output().find("stopped by a signal"), std::string::npos) << bench.output();
    EXPECT_TRUE(fs::is_empty(directory + "/d"));
  }
  fs::remove_all(directory);
}

TEST(BenchCommand, ANodeThatCannotStartIsReportedWithItsOwnWords) {
  char path[] = "/var/tmp/sluice-bench-test-XXXXXX";
  const std::string directory = ::mkdtemp(path);
  // The nodes refuse what the benchmark itself does not look at.
  const Ran ran = run_sluice({"bench", "--data-dir", directory, "--nodes", "1", "--segment-bytes",
                              "1MiB", "--batch-bytes-max", "1MiB"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("node 1 ended: "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("segment_bytes"), std::string::npos) << ran.err;
  EXPECT_TRUE(fs::is_empty(directory));
  fs::remove_all(directory);
}

}  // namespace
}  // namespace sluice::tools
