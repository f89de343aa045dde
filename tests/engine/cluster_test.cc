// engine/local_client on three nodes in one process, and from several threads at once.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/engine/nodes.h"

namespace sluice {
namespace {

using client::Status;

TEST(LocalClusterTest, ANodeThatDoesNotLeadNamesTheOneThatDoes) {
  Nodes nodes({.nodes = 3});
  const std::size_t leader = leader_of(nodes);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Heard heard;
    auto client = nodes.node(i)->local_client({}, heard);
    ASSERT_TRUE(client);
    // A follower hears of the leader with its first message, at the latest.
    std::uint64_t tag = 0;
    do {
      ASSERT_EQ((*client)->append(++tag, {}, bytes_of("x")), Errc::kOk);
      settle(**client);
    } while (i != leader && heard.status(tag) == Status::kNotLeader &&
             heard.outcomes.at(tag).leader == kNoNode);
    if (i == leader) {
      EXPECT_EQ(heard.status(tag), Status::kOk);
    } else {
      EXPECT_EQ(heard.status(tag), Status::kNotLeader);
      EXPECT_EQ(heard.outcomes.at(tag).leader, NodeId(static_cast<std::uint32_t>(leader + 1)));
    }
  }
}

TEST(LocalClusterTest, S48_ALeaderThatLosesItsFollowersSaysUnknown) {
  Nodes nodes({.nodes = 3});
  const std::size_t leader = leader_of(nodes);
  Heard heard;
  auto client = nodes.node(leader)->local_client({}, heard);
  ASSERT_TRUE(client);
  std::thread stopper([&] {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (i != leader) nodes.stop(i);
    }
  });
  // There is always an entry under way: the last ones are in this log alone when it steps down.
  std::uint64_t tag = 0;
  const auto others = [&] { return heard.outcomes.size(); };
  while (heard.outcomes.empty() || heard.status(heard.order.back()) == Status::kOk) {
    while (tag < others() + 8) ASSERT_EQ((*client)->append(tag++, {}, bytes_of("x")), Errc::kOk);
    (*client)->flush();
    (*client)->wait(1000);
    (void)(*client)->poll();
  }
  settle(**client);
  stopper.join();
  EXPECT_EQ(heard.outcomes.size(), tag);
  bool lost = false;
  for (const std::uint64_t next : heard.order) {
    const client::AppendOutcome& outcome = heard.outcomes.at(next);
    if (outcome.status == Status::kOk) {
      EXPECT_FALSE(lost) << "tag " << next;
    } else if (!lost) {
      EXPECT_EQ(outcome.status, Status::kUnknown);
      EXPECT_EQ(outcome.code, Errc::kLeadershipLost);
      lost = true;
    } else {
      EXPECT_TRUE(outcome.status == Status::kUnknown || outcome.status == Status::kNotLeader);
    }
  }
  EXPECT_TRUE(lost);
}

/// Appends `count` entries to each of its groups, each as a producer of its own, and hears of all.
void append_from_a_thread(Engine& engine, std::uint32_t thread, std::uint32_t groups,
                          std::uint64_t count, std::vector<std::string>& problems) {
  Heard heard;
  auto client = engine.local_client({.batch_bytes = 4096, .batches = 8}, heard);
  std::uint64_t tag = 0;
  for (std::uint64_t i = 1; i <= count; ++i) {
    for (std::uint32_t group = 0; group < groups; ++group, ++tag) {
      const std::string text =
          std::to_string(thread) + ":" + std::to_string(group) + ":" + std::to_string(i);
      const LocalAppend where{
          .group = GroupId(group), .producer = ProducerId(thread + 1), .sequence = Sequence(i)};
      while ((*client)->append(tag, where, bytes_of(text)) == Errc::kOverloaded) {
        (*client)->flush();
        if ((*client)->poll() == 0) (*client)->wait(1000);
      }
    }
    if (i % 7 == thread) (*client)->flush();
    if (i % 5 == thread) (void)(*client)->poll();
  }
  settle(**client);
  for (std::uint64_t each = 0; each < tag; ++each) {
    if (heard.status(each) != Status::kOk) {
      problems.push_back(std::string(code_name(heard.code(each))));
    }
  }
}

TEST(LocalClusterTest, ClientsOfSeveralThreadsAppendToSeveralShards) {
  constexpr std::uint32_t kThreads = 3, kGroups = 4;
  constexpr std::uint64_t kEntries = 400;
  Nodes nodes({.groups = kGroups, .shards = 2});
  await_leadership(*nodes.node(0), kGroups);
  std::vector<std::vector<std::string>> problems(kThreads);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back(
        [&, i] { append_from_a_thread(*nodes.node(0), i, kGroups, kEntries, problems[i]); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& found : problems) EXPECT_EQ(found, std::vector<std::string>{});
  // Every thread's entries are there, in its order.
  for (std::uint32_t group = 0; group < kGroups; ++group) {
    std::vector<std::uint64_t> next(kThreads, 1);
    for (const auto& [index, text] : nodes.read_all(group)) {
      if (text.empty()) continue;  // of await_leadership()
      const auto thread = static_cast<std::uint32_t>(text[0] - '0');
      ASSERT_LT(thread, kThreads);
      EXPECT_EQ(text, std::to_string(thread) + ":" + std::to_string(group) + ":" +
                          std::to_string(next[thread]++));
    }
    for (const std::uint64_t end : next) EXPECT_EQ(end, kEntries + 1);
  }
}

}  // namespace
}  // namespace sluice
