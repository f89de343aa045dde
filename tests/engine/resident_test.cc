// engine/local_client: a client at home in a shard, whose events append from within the shard's loop.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/local_client.h"
#include "tests/engine/nodes.h"

namespace sluice {
namespace {

using client::Status;

/// Runs what a test does in the events, and lets the test wait for it.
struct Resident : Heard {
  void on_turn(LocalClient& own) override {
    client = &own;
    threads.insert(std::this_thread::get_id());
    if (turn) turn(own);
  }
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    threads.insert(std::this_thread::get_id());
    Heard::on_append(tag, outcome);
    if (append) append(tag, outcome);
  }
  void done() {
    const std::lock_guard lock(mutex);
    finished = true;
    changed.notify_all();
  }
  void await() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return finished; });
  }

  std::function<void(LocalClient&)> turn;
  std::function<void(std::uint64_t, const client::AppendOutcome&)> append;
  LocalClient* client = nullptr;
  std::set<std::thread::id> threads;
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;
};

std::unique_ptr<LocalClient> open(Engine& engine, Resident& events, LocalOptions options = {}) {
  if (!options.shard) options.shard = ShardId(0);
  auto made = engine.local_client(options, events);
  SLUICE_CHECK(made.has_value());
  return std::move(*made);
}

TEST(ResidentTest, AClosedLoopRunsOnTheShardsThread) {
  constexpr std::uint64_t kEntries = 5000, kOutstanding = 16;
  Nodes nodes({});
  await_leadership(*nodes.node(0));
  Resident events;
  std::uint64_t next = 0;
  const auto go_on = [&] {
    const std::string text = "entry " + std::to_string(next);
    ASSERT_EQ(events.client->append(next, {}, bytes_of(text)), Errc::kOk);
    ++next;
  };
  events.turn = [&](LocalClient&) {
    while (next < kOutstanding) go_on();
  };
  events.append = [&](std::uint64_t, const client::AppendOutcome&) {
    if (next < kEntries) go_on();
    if (events.outcomes.size() == kEntries) events.done();
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  client->close();
  EXPECT_EQ(events.threads.size(), 1u);
  EXPECT_FALSE(events.threads.contains(std::this_thread::get_id()));
  const auto log = nodes.read_all(0);
  for (std::uint64_t tag = 0; tag < kEntries; ++tag) {
    ASSERT_EQ(events.status(tag), Status::kOk);
    EXPECT_EQ(log.at(events.index(tag)), "entry " + std::to_string(tag));
  }
}

TEST(ResidentTest, ACallFromAnotherThreadIsATurnOnTheShards) {
  Nodes nodes({});
  await_leadership(*nodes.node(0));
  Resident events;
  std::atomic<std::uint64_t> wanted = 0;
  std::uint64_t next = 0;
  events.turn = [&](LocalClient& own) {
    while (next < wanted.load()) ASSERT_EQ(own.append(next++, {}, bytes_of("x")), Errc::kOk);
  };
  events.append = [&](std::uint64_t tag, const client::AppendOutcome&) {
    if (tag == 99) events.done();
  };
  auto client = open(*nodes.node(0), events);
  for (int i = 0; i < 100; ++i) {
    ++wanted;
    client->call();
  }
  events.await();
  client->close();
  EXPECT_EQ(events.outcomes.size(), 100u);
}

TEST(ResidentTest, ATurnComesAtTheTimeThatWasAskedFor) {
  const auto now_ns = [] {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
  };
  Nodes nodes({});
  Resident events;
  std::vector<std::uint64_t> wanted;
  events.turn = [&](LocalClient& own) {
    if (wanted.size() == 3) return events.done();
    if (!wanted.empty() && now_ns() < wanted.back()) return;
    wanted.push_back(now_ns() + 3'000'000);
    own.turn_at(wanted.back() + 3'600'000'000'000);
    own.turn_at(wanted.back());
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  client->close();
}

TEST(ResidentTest, ATurnAtTimeZeroComesAtOnce) {
  Nodes nodes({});
  Resident events;
  int turns = 0;
  events.turn = [&](LocalClient& own) {
    if (turns++ == 0) return own.turn_at(0);
    events.done();
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  client->close();
}

TEST(ResidentTest, ItsFirstTurnMayCall) {
  // Which may come before local_client() has returned: for the thread sanitizer.
  Nodes nodes({});
  Resident events;
  int turns = 0;
  events.turn = [&](LocalClient& own) {
    if (turns++ == 0) return own.call();
    events.done();
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  client->close();
}

TEST(ResidentTest, ItServesTheGroupsOfItsShardAlone) {
  Nodes nodes({.groups = 4, .shards = 2});
  await_leadership(*nodes.node(0), 4);
  Resident events;
  bool began = false;
  events.turn = [&](LocalClient& own) {
    if (std::exchange(began, true)) return;
    EXPECT_EQ(own.append(0, {.group = GroupId(0)}, {}), Errc::kInvalidRequest);
    EXPECT_EQ(own.append(1, {.group = GroupId(1)}, {}), Errc::kOk);
    EXPECT_EQ(own.append(2, {.group = GroupId(2)}, {}), Errc::kInvalidRequest);
    EXPECT_EQ(own.append(3, {.group = GroupId(3)}, {}), Errc::kOk);
  };
  events.append = [&](std::uint64_t, const client::AppendOutcome& outcome) {
    EXPECT_EQ(outcome.status, Status::kOk);
    if (events.outcomes.size() == 2) events.done();
  };
  auto client = open(*nodes.node(0), events, {.shard = ShardId(1)});
  events.await();
  client->close();
}

TEST(ResidentTest, S47_WhatFollowsARefusedBatchDoesNotBeginItsProducer) {
  // What is uncommitted has room for little: the producer's first batch is refused, and the second,
  // which is small, would fit.
  Nodes nodes({.batch_bytes_max = 64u << 10, .uncommitted_bytes_max = 64u << 10});
  await_leadership(*nodes.node(0));
  Resident events;
  bool began = false;
  const ProducerId producer(9);
  const std::string large(60'000, 'x');
  events.turn = [&](LocalClient& own) {
    if (std::exchange(began, true)) return;
    EXPECT_EQ(own.append(0, {}, bytes_of(std::string(10'000, 'y'))), Errc::kOk);
    EXPECT_EQ(own.append(1, {.producer = producer, .sequence = Sequence(1)}, bytes_of(large)),
              Errc::kOk);
    own.flush();
    EXPECT_EQ(own.append(2, {.producer = producer, .sequence = Sequence(2)}, bytes_of("small")),
              Errc::kOk);
  };
  events.append = [&](std::uint64_t tag, const client::AppendOutcome&) {
    const auto retry = [&](std::uint64_t sequence, std::string_view text) {
      EXPECT_EQ(events.client->append(tag + 10, {.producer = producer, .sequence = Sequence(sequence)},
                                      bytes_of(text)),
                Errc::kOk);
    };
    if (events.outcomes.size() == 3) {  // all was heard: in order, from the beginning
      tag = 1, retry(1, large);
      tag = 2, retry(2, "small");
    }
    if (events.outcomes.size() == 5) events.done();
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  client->close();
  EXPECT_EQ(events.status(0), Status::kOk);
  EXPECT_EQ(events.code(1), Errc::kOverloaded);
  EXPECT_EQ(events.status(2), Status::kRefused);
  EXPECT_EQ(events.code(2), Errc::kSequenceGap);
  EXPECT_EQ(events.outcomes.at(2).expected, Sequence{}) << "nobody knows the producer";
  EXPECT_EQ(events.status(11), Status::kOk);
  EXPECT_EQ(events.status(12), Status::kOk);
  EXPECT_LT(events.index(11), events.index(12));
}

TEST(ResidentTest, AStoppedNodeLeavesNothingUnanswered) {
  Nodes nodes({});
  await_leadership(*nodes.node(0));
  Resident events;
  std::uint64_t taken = 0;
  events.turn = [&](LocalClient& own) {
    while (taken < 64 && own.append(taken, {}, bytes_of("x")) == Errc::kOk) ++taken;
  };
  events.append = [&](std::uint64_t, const client::AppendOutcome&) {
    if (events.client->append(taken, {}, bytes_of("x")) == Errc::kOk) ++taken;
    if (taken == 500) events.done();
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  nodes.node(0)->request_stop();
  EXPECT_EQ(nodes.node(0)->wait(), "");
  EXPECT_EQ(events.outcomes.size(), taken);
  EXPECT_EQ(client->pending(), 0u);
  client.reset();
}

TEST(ResidentTest, AThreadThatBeginsWhenTheShardsHasEndedMayDestroyTheClient) {
  // Its id may be the one that the shard's thread had.
  Nodes nodes({});
  Resident events;
  events.turn = [&](LocalClient&) { events.done(); };
  auto client = open(*nodes.node(0), events);
  events.await();
  nodes.node(0)->request_stop();
  EXPECT_EQ(nodes.node(0)->wait(), "");
  std::thread([&] { client.reset(); }).join();
  EXPECT_EQ(client, nullptr);
}

TEST(ResidentTest, CloseFromAnotherThreadIsTheEndOfTheEvents) {
  Nodes nodes({});
  await_leadership(*nodes.node(0));
  Resident events;
  std::uint64_t taken = 0;
  const auto go_on = [&] {
    if (events.client->append(taken, {}, bytes_of("x")) == Errc::kOk) ++taken;
  };
  events.turn = [&](LocalClient&) {
    if (taken == 0) go_on();
  };
  events.append = [&](std::uint64_t tag, const client::AppendOutcome&) {
    go_on();
    if (tag == 100) events.done();
  };
  auto client = open(*nodes.node(0), events);
  events.await();
  client->close();
  // Nothing races with this: the shard lets go of the client before close() returns.
  EXPECT_EQ(events.outcomes.size(), taken);
  EXPECT_EQ(client->pending(), 0u);
}

}  // namespace
}  // namespace sluice
