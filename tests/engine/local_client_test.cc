// engine/local_client: a client in the process of the node, at home on a thread of the test.
#include "engine/local_client.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine/nodes.h"
#include "wire/batch.h"

namespace sluice {
namespace {

using client::Status;

class LocalClientTest : public testing::Test {
 protected:
  void start(const Nodes::Options& options, const LocalOptions& local = {}) {
    nodes_ = std::make_unique<Nodes>(options);
    await_leadership(engine(), options.groups);
    open(local);
  }
  void open(const LocalOptions& local) {
    auto made = engine().local_client(local, heard_);
    ASSERT_TRUE(made) << made.error();
    client_ = std::move(*made);
  }
  Engine& engine() { return *nodes_->node(0); }
  Errc append(std::uint64_t tag, const LocalAppend& where, std::string_view text) {
    return client_->append(tag, where, bytes_of(text));
  }
  /// Tags and sequences [first, last] of a producer.
  void append_sequences(std::uint64_t tag, std::uint64_t producer, std::uint64_t first,
                        std::uint64_t last) {
    for (std::uint64_t sequence = first; sequence <= last; ++sequence, ++tag) {
      ASSERT_EQ(append(tag, {.producer = ProducerId(producer), .sequence = Sequence(sequence)},
                       "entry " + std::to_string(sequence)),
                Errc::kOk);
    }
  }

  std::unique_ptr<Nodes> nodes_;
  Heard heard_;
  std::unique_ptr<LocalClient> client_;
};

TEST_F(LocalClientTest, AnAcknowledgedEntryIsWhereItsOutcomeSays) {
  start({});
  ASSERT_EQ(append(7, {}, "one"), Errc::kOk);
  ASSERT_EQ(append(8, {}, "two"), Errc::kOk);
  ASSERT_EQ(append(9, {}, ""), Errc::kOk);
  EXPECT_EQ(client_->pending(), 3u);
  settle(*client_);
  EXPECT_EQ(heard_.order, (std::vector<std::uint64_t>{7, 8, 9}));
  const auto log = nodes_->read_all(0);
  for (const auto& [tag, text] : {std::pair{7u, "one"}, std::pair{8u, "two"}, std::pair{9u, ""}}) {
    ASSERT_EQ(heard_.status(tag), Status::kOk);
    EXPECT_EQ(log.at(heard_.index(tag)), text);
    EXPECT_GE(heard_.outcomes.at(tag).term, Term(1));
  }
  EXPECT_EQ(heard_.index(8), heard_.index(7) + 1);
}

TEST_F(LocalClientTest, EntriesOfManyBatchesKeepTheirOrderAndTheirBytes) {
  start({.groups = 3}, {.batch_bytes = 4096, .batches = 8});
  std::map<std::uint64_t, std::string> sent;
  for (std::uint64_t tag = 0; tag < 3000; ++tag) {
    sent[tag] = std::string(tag % 700, static_cast<char>('a' + tag % 26)) + std::to_string(tag);
    const LocalAppend where{.group = GroupId(static_cast<std::uint32_t>(tag % 3))};
    Errc code = append(tag, where, sent[tag]);
    while (code == Errc::kOverloaded) {
      client_->flush();
      if (client_->poll() == 0) client_->wait(1000);
      code = append(tag, where, sent[tag]);
    }
    ASSERT_EQ(code, Errc::kOk);
  }
  settle(*client_);
  for (std::uint32_t group = 0; group < 3; ++group) {
    const auto log = nodes_->read_all(group);
    std::uint64_t before = 0;
    for (std::uint64_t tag = group; tag < 3000; tag += 3) {
      ASSERT_EQ(heard_.status(tag), Status::kOk);
      EXPECT_EQ(log.at(heard_.index(tag)), sent[tag]);
      EXPECT_GT(heard_.index(tag), before);
      before = heard_.index(tag);
    }
  }
}

TEST_F(LocalClientTest, WithoutAFreeBufferAppendTakesNothing) {
  start({}, {.batch_bytes = 4096, .batches = 2});
  const std::string entry(1300, 'x');  // three in a batch
  std::uint64_t tag = 0;
  while (append(tag, {}, entry) == Errc::kOk) ++tag;
  EXPECT_EQ(tag, 6u);
  EXPECT_EQ(append(tag, {}, entry), Errc::kOverloaded);
  EXPECT_EQ(client_->pending(), 6u);
  settle(*client_);
  EXPECT_EQ(heard_.outcomes.size(), 6u) << "what was not taken has no outcome";
  EXPECT_EQ(append(tag, {}, entry), Errc::kOk);
  settle(*client_);
  EXPECT_EQ(heard_.status(tag), Status::kOk);
}

TEST_F(LocalClientTest, WhatCannotBeAppendedIsNotTaken) {
  start({.groups = 2}, {.batch_bytes = 4096});
  EXPECT_EQ(append(1, {.group = GroupId(2)}, "x"), Errc::kUnknownGroup);
  EXPECT_EQ(append(1, {.producer = ProducerId(5)}, "x"), Errc::kInvalidRequest);
  const Sequence end(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(append(1, {.producer = ProducerId(5), .sequence = end}, "x"), Errc::kInvalidRequest);
  EXPECT_EQ(append(1, {}, std::string(4096, 'x')), Errc::kTooLarge);
  const std::size_t largest = 4096 - kBatchHeaderBytes - 4;
  EXPECT_EQ(append(2, {}, std::string(largest, 'x')), Errc::kOk);
  EXPECT_EQ(append(1, {}, std::string(largest + 1, 'x')), Errc::kTooLarge);
  settle(*client_);
  EXPECT_EQ(heard_.order, std::vector<std::uint64_t>{2});
}

TEST_F(LocalClientTest, TheLastSequenceIsAppendedAndWithoutAProducerAnyIs) {
  start({});
  const std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
  append_sequences(1, 5, end - 3, end - 1);
  settle(*client_);
  ASSERT_EQ(append(10, {.sequence = Sequence(end)}, "x"), Errc::kOk);
  ASSERT_EQ(append(11, {.sequence = Sequence(end)}, "y"), Errc::kOk);
  settle(*client_);
  for (const std::uint64_t tag : {1u, 2u, 3u, 10u, 11u}) EXPECT_EQ(heard_.status(tag), Status::kOk);
}

TEST_F(LocalClientTest, OptionsOutsideTheirRangesAreNamed) {
  start({});
  const auto problem = [&](const LocalOptions& options) {
    auto made = engine().local_client(options, heard_);
    return made ? std::string() : made.error();
  };
  EXPECT_NE(problem({.shard = ShardId(1)}).find("LocalOptions::shard"), std::string::npos);
  EXPECT_NE(problem({.batch_bytes = 4095}).find("batch_bytes"), std::string::npos);
  EXPECT_NE(problem({.batch_bytes = 2u << 20}).find("batch_bytes"), std::string::npos);
  EXPECT_NE(problem({.batches = 0}).find("LocalOptions::batches"), std::string::npos);
  EXPECT_NE(problem({.batch_bytes = 1u << 20, .batches = 4097}).find("4 GiB"), std::string::npos);
}

TEST_F(LocalClientTest, ShortDescriptorsAreNamed) {
  start({});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto on_a_thread = engine().local_client({}, heard_);
  const auto in_a_shard = engine().local_client({.shard = ShardId(0)}, heard_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(on_a_thread);
  EXPECT_NE(on_a_thread.error().find("eventfd"), std::string::npos);
  EXPECT_TRUE(in_a_shard) << "which needs none";
}

/// Appends another entry in each event, and waits until there is news of it.
struct Chain : Heard {
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    Heard::on_append(tag, outcome);
    if (tag >= 100) return;
    EXPECT_EQ(client->append(tag + 1, {}, bytes_of("x")), Errc::kOk);
    client->flush();
    client->wait(10'000);
  }
  LocalClient* client = nullptr;
};

TEST_F(LocalClientTest, APollEndsThoughItsEventsGoOn) {
  start({});
  Chain chain;
  auto made = engine().local_client({.batches = 4}, chain);
  ASSERT_TRUE(made) << made.error();
  chain.client = made->get();
  ASSERT_EQ(chain.client->append(0, {}, bytes_of("x")), Errc::kOk);
  chain.client->flush();
  while (chain.client->pending() > 0) {
    const std::size_t delivered = chain.client->poll();
    EXPECT_LE(delivered, 4u) << "of one entry each";
    if (delivered == 0) chain.client->wait(1000);
  }
  EXPECT_EQ(chain.outcomes.size(), 101u);
}

TEST_F(LocalClientTest, S47_ARetryGetsTheIndexOfTheFirstTime) {
  start({});
  append_sequences(100, 5, 1, 10);
  settle(*client_);
  append_sequences(200, 5, 1, 10);
  settle(*client_);
  append_sequences(300, 5, 6, 15);  // cut anew: five are known, five are new
  settle(*client_);
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_EQ(heard_.status(200 + i), Status::kOk);
    EXPECT_EQ(heard_.index(200 + i), heard_.index(100 + i));
    ASSERT_EQ(heard_.status(300 + i), Status::kOk);
    if (i < 5) {
      EXPECT_EQ(heard_.index(300 + i), heard_.index(105 + i));
    }
  }
  std::size_t appended = 0;
  for (const auto& [index, text] : nodes_->read_all(0)) appended += text.empty() ? 0u : 1u;
  EXPECT_EQ(appended, 15u);
}

TEST_F(LocalClientTest, ASequenceGapIsRefusedWithTheNextSequence) {
  start({});
  append_sequences(1, 5, 1, 3);
  settle(*client_);
  append_sequences(10, 5, 7, 7);
  settle(*client_);
  EXPECT_EQ(heard_.status(10), Status::kRefused);
  EXPECT_EQ(heard_.code(10), Errc::kSequenceGap);
  EXPECT_EQ(heard_.outcomes.at(10).expected, Sequence(4));
}

TEST_F(LocalClientTest, EachGroupGoesToItsShard) {
  start({.groups = 5, .shards = 3});
  for (std::uint32_t group = 0; group < 5; ++group) {
    ASSERT_EQ(append(group, {.group = GroupId(group)}, "of " + std::to_string(group)), Errc::kOk);
  }
  settle(*client_);
  for (std::uint32_t group = 0; group < 5; ++group) {
    ASSERT_EQ(heard_.status(group), Status::kOk);
    EXPECT_EQ(nodes_->read_all(group).at(heard_.index(group)), "of " + std::to_string(group));
  }
}

TEST_F(LocalClientTest, CloseGivesWhatIsOutstandingItsOutcome) {
  start({.groups = 2});
  for (std::uint64_t tag = 0; tag < 1000; ++tag) {
    ASSERT_EQ(append(tag, {.group = GroupId(tag % 2)}, "x"), Errc::kOk);
    if (tag == 500) client_->flush();
  }
  client_->close();
  EXPECT_EQ(client_->pending(), 0u);
  EXPECT_EQ(heard_.outcomes.size(), 1000u);
  for (std::uint64_t tag = 501; tag < 1000; ++tag) {
    EXPECT_EQ(heard_.code(tag), Errc::kShuttingDown) << "was never handed over";
  }
  EXPECT_EQ(append(1000, {}, "x"), Errc::kShuttingDown);
}

TEST_F(LocalClientTest, ADestroyedClientSaysNothing) {
  start({});
  for (std::uint64_t tag = 0; tag < 100; ++tag) ASSERT_EQ(append(tag, {}, "x"), Errc::kOk);
  client_->flush();
  client_.reset();
  EXPECT_TRUE(heard_.outcomes.empty());
  // The shard lives on, and its other clients.
  open({});
  ASSERT_EQ(append(1000, {}, "x"), Errc::kOk);
  settle(*client_);
  EXPECT_EQ(heard_.status(1000), Status::kOk);
}

TEST_F(LocalClientTest, AStoppedNodeLeavesNothingUnanswered) {
  start({.groups = 4, .shards = 2});
  std::thread stopper([&] { engine().request_stop(); });
  std::uint64_t taken = 0;
  for (Errc code = Errc::kOk; code != Errc::kShuttingDown;) {
    code = append(taken, {.group = GroupId(taken % 4)}, "entry");
    if (code == Errc::kOk) ++taken;
    client_->flush();
    if (code == Errc::kOverloaded) client_->wait(10);
    (void)client_->poll();
  }
  stopper.join();
  EXPECT_EQ(engine().wait(), "");
  settle(*client_);
  EXPECT_EQ(heard_.outcomes.size(), taken);
  for (const auto& [tag, outcome] : heard_.outcomes) {
    EXPECT_TRUE(outcome.status == Status::kOk || outcome.code == Errc::kShuttingDown ||
                outcome.status == Status::kUnknown)
        << code_name(outcome.code);
  }
  client_.reset();  // after the shards are gone
}

TEST_F(LocalClientTest, AClientOfAStoppedNodeIsToldSo) {
  start({});
  engine().request_stop();
  EXPECT_EQ(engine().wait(), "");
  client_.reset();
  open({});
  EXPECT_EQ(append(1, {}, "x"), Errc::kShuttingDown);
}

using LocalClientDeathTest = LocalClientTest;

TEST_F(LocalClientDeathTest, AnEngineDoesNotEndBeforeItsClients) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the thread sanitizer has threads of its own in the process that is to die";
#endif
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  // Who dies leaves it behind.
  const std::string directory = "./engine-test-engine-dies";
  EXPECT_DEATH(
      {
        start({.directory = directory});
        nodes_.reset();
      },
      "local_clients_ == 0");
  std::filesystem::remove_all(directory);
}

/// Closes its client where that is not allowed.
struct ClosesInAnEvent : LocalEvents {
  void on_append(std::uint64_t, const client::AppendOutcome&) override { client->close(); }
  LocalClient* client = nullptr;
};

TEST_F(LocalClientDeathTest, AnEventDoesNotCloseItsClient) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the thread sanitizer has threads of its own in the process that is to die";
#endif
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const std::string directory = "./engine-test-event-dies";
  EXPECT_DEATH(
      {
        start({.directory = directory});
        ClosesInAnEvent events;
        auto made = engine().local_client({}, events);
        events.client = made->get();
        (void)events.client->append(0, {}, bytes_of("x"));
        settle(*events.client);
      },
      "options_.shard .. !delivering_");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice
