#include "tools/answers.h"

#include <gtest/gtest.h>

#include <string>

#include "tools/bench_report.h"
#include "tools/text.h"
#include "tools/json.h"

namespace sluice::tools {
namespace {

TEST(Answers, AppendInEachOfItsFourOutcomes) {
  client::AppendOutcome outcome;
  outcome.status = client::Status::kOk;
  outcome.index = Index(42);
  outcome.term = Term(3);
  EXPECT_EQ(append_json(outcome).dump(), R"({"ok":true,"index":42,"term":3})");

  outcome = {};
  outcome.status = client::Status::kRefused;
  outcome.code = Errc::kTooLarge;
  EXPECT_EQ(append_json(outcome)["error"], "refused");
  EXPECT_EQ(append_json(outcome)["code"], "too_large");
  EXPECT_FALSE(append_json(outcome)["message"].get<std::string>().empty());
  EXPECT_FALSE(append_json(outcome).contains("index"));

  outcome.status = client::Status::kNotLeader;
  outcome.code = Errc::kNotLeader;
  outcome.leader = NodeId(3);
  EXPECT_EQ(append_json(outcome)["error"], "not_leader");
  EXPECT_EQ(append_json(outcome)["leader_id"], 3);

  outcome = {};
  outcome.status = client::Status::kUnknown;
  outcome.code = Errc::kTimeout;
  EXPECT_EQ(append_json(outcome)["error"], "unknown");
  EXPECT_EQ(append_json(outcome)["code"], "timeout");
}

TEST(Answers, NotLeaderWithoutAHintSaysZero) {
  client::AppendOutcome outcome;
  outcome.status = client::Status::kNotLeader;
  outcome.code = Errc::kNotLeader;
  EXPECT_EQ(append_json(outcome)["leader_id"], 0);
}

TEST(Answers, ASequenceGapNamesTheExpectedOne) {
  client::AppendOutcome outcome;
  outcome.status = client::Status::kRefused;
  outcome.code = Errc::kSequenceGap;
  outcome.expected = Sequence(9);
  EXPECT_EQ(append_json(outcome)["code"], "sequence_gap");
  EXPECT_EQ(append_json(outcome)["expected_sequence"], 9);
}

TEST(Answers, EntriesAsTextAsBase64OrInternal) {
  const std::string bytes("\xFF\x00", 2);
  client::ReadOutcome outcome;
  outcome.commit_index = Index(57);
  outcome.entries = {{Index(1), Term(1), true, {}},
                     {Index(2), Term(1), false, as_bytes("t\xC3\xA4\"")},
                     {Index(3), Term(2), false, as_bytes(bytes)},
                     {Index(4), Term(2), false, {}}};
  EXPECT_EQ(read_json(outcome).dump(),
            R"({"ok":true,"commit_index":57,"entries":[{"index":1,"term":1,"internal":true},)"
            "{\"index\":2,\"term\":1,\"data\":\"t\xC3\xA4\\\"\"},"
            R"({"index":3,"term":2,"data_base64":"/wA="},{"index":4,"term":2,"data":""}]})");
}

TEST(Answers, ReadErrors) {
  client::ReadOutcome outcome;
  outcome.code = Errc::kTrimmed;
  outcome.first_index = Index(100);
  EXPECT_EQ(read_json(outcome)["error"], "trimmed");
  EXPECT_EQ(read_json(outcome)["first_index"], 100);
  outcome.code = Errc::kUnreachable;
  EXPECT_EQ(read_json(outcome)["error"], "unreachable");
  EXPECT_EQ(read_json(outcome)["ok"], false);
  EXPECT_FALSE(read_json(outcome).contains("entries"));
}

TEST(Answers, StatusOfANode) {
  client::NodeStatus status;
  status.node = NodeId(2);
  status.reachable = true;
  status.address = "h:1";
  status.fsync_policy = "always";
  status.groups = {{GroupId(0), 3, Term(4), NodeId(2), Index(1), Index(9), Index(8), Index(7)}};
  const Json json = status_json(status);
  EXPECT_EQ(json["node_id"], 2);
  EXPECT_EQ(json["reachable"], true);
  EXPECT_EQ(json["fsync"], "always");
  EXPECT_EQ(json["groups"][0].dump(),
            R"({"group":0,"role":"leader","term":4,"leader_id":2,"first_index":1,"last_index":9,)"
            R"("durable_index":8,"commit_index":7})");
  const client::NodeStatus away;
  EXPECT_EQ(status_json(away)["reachable"], false);
  EXPECT_TRUE(status_json(away)["node_id"].is_null());
}

TEST(Answers, RolesByTheirNumberOnTheWire) {
  EXPECT_EQ(role_name(0), "follower");
  EXPECT_EQ(role_name(1), "pre_candidate");
  EXPECT_EQ(role_name(2), "candidate");
  EXPECT_EQ(role_name(3), "leader");
  EXPECT_EQ(role_name(200), "unknown");
}

TEST(BenchReport, JsonHasTheKeysThatScriptsRelyOn) {
  BenchReport report;
  report.fsync = "interval=10ms";
  report.measured_s = 2;
  report.entries = 2000;
  report.latency_ns.record(1'500'000);
  report.verified = true;
  const Json json = bench_json(report);
  EXPECT_EQ(json["entries_per_s"], 1000.0);
  EXPECT_EQ(json["bytes_per_s"], 256'000.0);
  for (const char* key : {"p50", "p90", "p99", "p999", "max"})
    EXPECT_EQ(json["latency_ms"][key], 1.5) << key;
  for (const char* key :
       {"flushes_per_s", "entries_per_flush", "cpu_us_per_entry", "client_cpu_us_per_entry",
        "durable", "verified", "options", "mode", "refused", "unknown", "tmpfs"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["mode"], "closed");
  EXPECT_TRUE(json["cpu_us_per_entry"].is_null());
  EXPECT_NE(json["durable"].get<std::string>().find("10ms"), std::string::npos);
}

TEST(BenchReport, TheTableSaysWhenItWasMeasuredInMemory) {
  BenchReport report;
  EXPECT_EQ(bench_table(report).find("tmpfs"), std::string::npos);
  report.tmpfs = true;
  EXPECT_NE(bench_table(report).find("tmpfs"), std::string::npos);
}

TEST(BenchReport, CommasByThousands) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
}

}  // namespace
}  // namespace sluice::tools
