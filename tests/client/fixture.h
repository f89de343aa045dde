// What the client's tests share: three nodes in memory, a client, and a record of its outcomes.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/client/client.h"
#include "tests/client/fake_io.h"
#include "tests/client/fake_node.h"

namespace sluice::client {

struct ReadRecord {
  Errc code = Errc::kOk;
  std::uint64_t commit = 0;
  std::uint64_t first = 0;
  std::uint32_t node = 0;
  std::vector<std::string> entries;  // "index:data", "index!" if internal
};

/// Remembers every outcome; a second one for the same tag is an error.
class Recorder final : public Events {
 public:
  std::map<std::uint64_t, AppendOutcome> appends;
  std::vector<std::uint64_t> order;  // of the tags
  std::map<std::uint64_t, ReadRecord> reads;
  std::map<std::uint64_t, NodeStatus> statuses;
  std::map<std::uint64_t, TrimOutcome> trims;
  std::function<void(std::uint64_t)> then;  // after an append's or a read's outcome

  void on_append(std::uint64_t tag, const AppendOutcome& outcome) override {
    EXPECT_TRUE(appends.emplace(tag, outcome).second) << "two outcomes for " << tag;
    order.push_back(tag);
    if (then) then(tag);
  }
  void on_read(std::uint64_t tag, const ReadOutcome& outcome) override {
    ReadRecord record{.code = outcome.code,
                      .commit = outcome.commit_index.value(),
                      .first = outcome.first_index.value(),
                      .node = outcome.node.value(),
                      .entries = {}};
    if (then) then(tag);  // the entries must live until on_read() returns, whatever it calls
    for (const Entry& entry : outcome.entries) {
      std::string text = std::to_string(entry.index.value()) + (entry.internal ? "!" : ":");
      text.append(reinterpret_cast<const char*>(entry.data.data()), entry.data.size());
      record.entries.push_back(text);
    }
    EXPECT_TRUE(reads.emplace(tag, record).second) << "two outcomes for " << tag;
  }
  void on_status(std::uint64_t tag, const NodeStatus& status) override {
    EXPECT_TRUE(statuses.emplace(tag, status).second);
  }
  void on_trim(std::uint64_t tag, const TrimOutcome& outcome) override {
    EXPECT_TRUE(trims.emplace(tag, outcome).second);
  }

  [[nodiscard]] std::string outcome(std::uint64_t tag) const {
    const auto at = appends.find(tag);
    if (at == appends.end()) return "none";
    const AppendOutcome& o = at->second;
    switch (o.status) {
      case Status::kOk:
        return "ok " + std::to_string(o.index.value());
      case Status::kRefused:
        return "refused " + std::string(code_name(o.code));
      case Status::kNotLeader:
        return "not_leader " + std::to_string(o.leader.value());
      case Status::kUnknown:
        return "unknown " + std::string(code_name(o.code));
    }
    return "?";
  }
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    io.add_peer("a:1", a);
    io.add_peer("b:1", b);
    io.add_peer("c:1", c);
  }

  void TearDown() override {
    if (client) close();
  }

  /// Groups are first asked for at a:1 (group 0), b:1 (group 1), ... while no leader is known.
  void start(Options options = {}) {
    if (options.nodes.empty()) options.nodes = {"a:1", "b:1", "c:1"};
    std::string what;
    auto made = Client::make(options, io, events, what);
    ASSERT_TRUE(made.has_value()) << what;
    client = std::move(*made);
  }

  void close() {
    client->close();
    for (int i = 0; i < 100 && !client->closed(); ++i) io.run_once();
    EXPECT_TRUE(client->closed());
    EXPECT_EQ(client->pending(), 0u);
    client.reset();
  }

  void append(std::uint64_t tag, std::string_view data, const AppendOptions& options = {}) {
    client->append(tag, options, std::as_bytes(std::span(data.data(), data.size())));
  }

  /// An append of producer 7 with this sequence.
  void produce(std::uint64_t sequence, std::uint32_t timeout_ms = 5000) {
    append(sequence, "p" + std::to_string(sequence),
           {.group = GroupId(0),
            .producer = ProducerId(7),
            .sequence = Sequence(sequence),
            .timeout_ms = timeout_ms,
            .node = kNoNode});
  }

  /// Lets go what was appended, and runs for a while.
  void flush(std::uint64_t ms = 1) {
    client->flush();
    io.run_ms(ms);
  }

  /// Makes node a known as the leader of group 0, and producer 7 as one that it knows.
  void settle_on_a() {
    produce(1);
    flush();
    a.ok(a.take(), 1);
    io.run_ms(1);
    ASSERT_EQ(events.outcome(1), "ok 1");
  }

  static std::vector<std::string> sequences_of(const std::vector<Received>& batches) {
    std::vector<std::string> all;
    for (const Received& batch : batches) {
      all.insert(all.end(), batch.entries.begin(), batch.entries.end());
    }
    return all;
  }

  FakeIo io;
  FakeNode a{io, 1}, b{io, 2}, c{io, 3};
  Recorder events;
  std::unique_ptr<Client> client;
};

using Strings = std::vector<std::string>;

}  // namespace sluice::client
