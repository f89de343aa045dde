#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/tools/fake_client.h"
#include "tools/acked_index.h"
#include "tools/bench_cluster.h"
#include "tools/bench_load.h"
#include "tools/bench_payload.h"
#include "tools/bench_retention.h"
#include "tools/bench_verify.h"
#include "tools/errors.h"

namespace sluice::tools {
namespace {

TEST(BenchPayload, EntriesAreToldByTheirNumber) {
  BenchPayload payload(77, 64);
  std::set<std::string> seen;
  for (std::uint64_t number = 0; number < 10'000; ++number) {
    const auto bytes = payload.entry(number);
    ASSERT_EQ(bytes.size(), 64u);
    EXPECT_TRUE(seen.emplace(as_text(bytes)).second);
  }
  BenchPayload same(77, 64), other(78, 64);
  const std::string entry(as_text(payload.entry(5)));
  EXPECT_TRUE(same.matches(5, as_bytes(entry)));
  EXPECT_FALSE(same.matches(6, as_bytes(entry)));
  EXPECT_FALSE(other.matches(5, as_bytes(entry)));
  EXPECT_FALSE(same.matches(5, as_bytes(entry).first(63)));
}

TEST(BenchPayload, EachFlippedByteIsSeen) {
  BenchPayload payload(1, 100);
  const std::string entry(as_text(payload.entry(9)));
  for (std::size_t i = 0; i < entry.size(); ++i) {
    std::string wrong = entry;
    wrong[i] = static_cast<char>(wrong[i] ^ 1);
    EXPECT_FALSE(payload.matches(9, as_bytes(wrong))) << i;
  }
}

TEST(AckedIndex, FindsWhatWasRecordedInAnyOrder) {
  AckedIndex acked;
  for (std::uint64_t i = 50'000; i > 0; --i) ASSERT_TRUE(acked.record(Index(i * 3), i));
  std::uint64_t number = 0;
  for (std::uint64_t i = 1; i <= 50'000; ++i) {
    ASSERT_TRUE(acked.find(Index(i * 3), number));
    EXPECT_EQ(number, i);
    EXPECT_FALSE(acked.find(Index(i * 3 + 1), number));
  }
  EXPECT_EQ(acked.count(), 50'000u);
  EXPECT_EQ(acked.first(), Index(3));
  EXPECT_EQ(acked.last(), Index(150'000));
}

TEST(AckedIndex, ALogThatIsLongAlreadyCostsNothing) {
  AckedIndex acked;
  ASSERT_TRUE(acked.record(Index(1ull << 60), 0));
  ASSERT_TRUE(acked.record(Index((1ull << 60) - 1), 1));
  std::uint64_t number = 9;
  EXPECT_TRUE(acked.find(Index(1ull << 60), number));
  EXPECT_EQ(number, 0u);
  EXPECT_FALSE(acked.find(Index(1), number));
}

TEST(AckedIndex, OneIndexTwiceIsAContradiction) {
  AckedIndex acked;
  ASSERT_TRUE(acked.record(Index(7), 1));
  EXPECT_FALSE(acked.record(Index(7), 2));
  EXPECT_EQ(acked.count(), 1u);
}

TEST(AckedIndex, WhatIsForgottenIsNeitherCountedNorFound) {
  AckedIndex acked;
  for (std::uint64_t i = 1; i <= 50'000; ++i) ASSERT_TRUE(acked.record(Index(i * 3), i));
  std::uint64_t forgotten = 0;
  std::uint64_t number = 0;
  for (const std::uint64_t first : {4ull, 16'384ull, 16'384ull, 40'000ull, 140'002ull}) {
    forgotten += acked.forget_below(Index(first));
    EXPECT_EQ(forgotten, (first - 1) / 3);
    EXPECT_EQ(acked.count(), 50'000 - forgotten);
    EXPECT_EQ(acked.first(), Index(first));
    for (std::uint64_t i = 1; i <= 50'000; ++i)
      ASSERT_EQ(acked.find(Index(i * 3), number), i * 3 >= first) << i;
  }
  EXPECT_TRUE(acked.record(Index(8), 7)) << "an answer that was late is no contradiction";
  EXPECT_EQ(acked.count(), 50'000 - forgotten);
  EXPECT_FALSE(acked.record(Index(150'000), 7));
}

TEST(BenchRetention, TrimsWhatIsOlderThanItKeeps) {
  BenchRetention retention({.bytes = 4000, .groups = 2, .entry_bytes = 2, .outstanding = 1});
  std::vector<AckedIndex> acked(2);
  std::vector<std::pair<std::size_t, Index>> trims;
  const auto look = [&] {
    return retention.look(acked, [&](std::size_t group, Index first) {
      trims.emplace_back(group, first);
    });
  };
  for (std::uint64_t i = 1; i <= 1999; ++i) ASSERT_TRUE(acked[1].record(Index(i), i));
  EXPECT_EQ(look(), 0u);
  for (std::uint64_t i = 2000; i <= 3000; ++i) ASSERT_TRUE(acked[1].record(Index(i), i));
  EXPECT_EQ(look(), 2000u) << "1,000 entries of each group stay";
  ASSERT_EQ(trims.size(), 1u);
  EXPECT_EQ(trims[0], std::pair(std::size_t{1}, Index(2001)));
  EXPECT_EQ(acked[1].count(), 1000u);
  EXPECT_EQ(look(), 0u);
}

TEST(BenchRetention, ManyGroupsOfLargeEntriesDoNotGrowWithoutATrim) {
  BenchRetention retention({.bytes = 64u << 20, .groups = 256, .entry_bytes = 16u << 10});
  std::vector<AckedIndex> acked(256);
  for (std::uint64_t i = 1; i < 80 + 16; ++i) ASSERT_TRUE(acked[7].record(Index(i), i));
  EXPECT_EQ(retention.look(acked, [](std::size_t, Index) {}), 95u - 64);
}

TEST(BenchRetention, NeverTrimsWhatIsStillUnderWay) {
  BenchRetention retention(
      {.bytes = 1, .groups = 1, .entry_bytes = 100, .outstanding = 5000});
  std::vector<AckedIndex> acked(1);
  for (std::uint64_t i = 1; i <= 30'000; ++i) ASSERT_TRUE(acked[0].record(Index(i), i));
  EXPECT_EQ(retention.look(acked, [](std::size_t, Index) {}), 30'000u - 2 * 5000 - 64);
  EXPECT_TRUE(BenchRetention({.bytes = 0}).keeps_all());
}

TEST(BenchRetention, WhatAnEarlierLoadLeftGivesWayToThisOne) {
  BenchRetention retention({.bytes = 20'000, .groups = 1, .entry_bytes = 2, .outstanding = 1});
  retention.begin_behind({{Index(101), Index(250)}}, 200);  // 30,000 bytes
  std::vector<AckedIndex> acked(1);
  std::vector<Index> trims;
  const auto look = [&] {
    return retention.look(acked, [&](std::size_t, Index first) { trims.push_back(first); });
  };
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(trims, std::vector{Index(151)}) << "20,000 bytes stay";
  std::uint64_t next = 251;
  const auto grow_to = [&](std::uint64_t last) {
    for (; next <= last; ++next) ASSERT_TRUE(acked[0].record(Index(next), next));
  };
  grow_to(250 + 2500);
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(trims.size(), 1u) << "a quarter more than is kept is not clearly more";
  grow_to(250 + 2600);
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(trims.size(), 2u);
  EXPECT_EQ(trims.back(), Index(251 - 74)) << "5,200 bytes are this load's, 14,800 the other's";
  grow_to(250 + 10'000);
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(trims.back(), Index(251)) << "nothing of the other load is left";
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(trims.size(), 3u);
  grow_to(250 + 12'500);
  EXPECT_EQ(look(), 2500u);
  EXPECT_EQ(trims.back(), Index(251 + 2500));
}

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(BenchLoad, ClosedLoopKeepsItsNumberUnderWayAndSpreadsOverGroups) {
  BenchPayload payload(1, 32);
  BenchLoad load({.groups = 3, .outstanding = 6}, payload);
  FakeClient client;
  load.start(0);
  load.submit(client, 100);
  ASSERT_EQ(client.appends.size(), 6u);
  for (std::uint32_t i = 0; i < 6; ++i) {
    EXPECT_EQ(client.appends[i].options.group, GroupId(i % 3));
    EXPECT_EQ(client.appends[i].options.producer, kNoProducer);
  }
  load.on_append(client.appends[4].tag, acknowledged_at(2), 350);
  EXPECT_EQ(load.recent().max(), 250u);
  load.submit(client, 400);
  ASSERT_EQ(client.appends.size(), 7u);
  EXPECT_EQ(client.appends[6].tag, client.appends[4].tag);
  EXPECT_EQ(load.acknowledged(), 1u);
  EXPECT_EQ(load.acked()[1].count(), 1u);
}

TEST(BenchLoad, EntriesThatFallDueTogetherLeaveTogetherAndTheirWaitCounts) {
  BenchPayload payload(1, 32);
  BenchLoad seldom({.outstanding = 100, .rate = 10'000}, payload);
  FakeClient client;
  seldom.start(kSecond);
  seldom.submit(client, kSecond);
  EXPECT_EQ(seldom.next_turn_ns(), seldom.next_due_ns()) << "100 us apart: each at its time";

  BenchLoad dense({.outstanding = 100, .rate = 1'000'000}, payload);
  client.appends.clear();
  dense.start(kSecond);
  dense.submit(client, kSecond);
  ASSERT_EQ(client.appends.size(), 1u);
  EXPECT_EQ(dense.next_due_ns(), kSecond + 1'000);
  const std::uint64_t turn = dense.next_turn_ns();
  EXPECT_EQ(turn, kSecond + 1'000 + BenchLoad::kSliceNs);
  dense.submit(client, turn);
  ASSERT_EQ(client.appends.size(), 1u + 1 + BenchLoad::kSliceNs / 1'000);
  dense.on_append(client.appends[1].tag, acknowledged_at(1), turn);
  EXPECT_EQ(dense.recent().max(), BenchLoad::kSliceNs) << "from the moment it was due";
  while (dense.next_due_ns() != 0) dense.submit(client, dense.next_due_ns());
  EXPECT_EQ(dense.next_turn_ns(), 0u) << "no slot is free";
}

// A cluster that stalls for a second must show a second, not the little that was asked meanwhile.
TEST(BenchLoad, OpenLoopCountsLatencyFromTheMomentAnEntryWasDue) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 2, .rate = 10}, payload);
  FakeClient client;
  load.start(kSecond);
  load.submit(client, kSecond);
  EXPECT_EQ(client.appends.size(), 1u);
  EXPECT_EQ(load.next_due_ns(), kSecond + kSecond / 10);
  load.submit(client, 2 * kSecond);  // the loop was away: 10 are due, 1 more has a slot
  EXPECT_EQ(client.appends.size(), 2u);
  EXPECT_EQ(load.next_due_ns(), 0u);
  load.on_append(client.appends[0].tag, acknowledged_at(1), 3 * kSecond);
  load.submit(client, 3 * kSecond);
  ASSERT_EQ(client.appends.size(), 3u);
  load.on_append(client.appends[2].tag, acknowledged_at(2), 3 * kSecond);
  EXPECT_GE(load.recent().percentile(0.01), kSecond * 18 / 10);  // due at 1.2 s, answered at 3 s
}

TEST(BenchLoad, OpenLoopSendsItsRate) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 100'000, .rate = 1000}, payload);
  FakeClient client;
  load.start(kSecond);
  for (std::uint64_t ms = 0; ms < 5000; ms += 7) load.submit(client, kSecond + ms * 1'000'000);
  EXPECT_NEAR(static_cast<double>(client.appends.size()), 5000, 10);
}

// A stall that lasts until the end must not take the entries that were due meanwhile with it.
TEST(BenchLoad, OpenLoopSendsWhatWasDueBeforeTheEnd) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 2, .rate = 10}, payload);
  FakeClient client;
  load.start(kSecond);
  load.submit(client, 2 * kSecond - 1);
  EXPECT_EQ(client.appends.size(), 2u);
  load.finish(2 * kSecond);  // 10 were due, 2 of them have a slot
  EXPECT_TRUE(load.behind());
  for (std::size_t answered = 0; !load.idle(); ++answered) {
    load.on_append(client.appends[answered].tag, acknowledged_at(answered + 1), 4 * kSecond);
    load.submit(client, 4 * kSecond);
  }
  EXPECT_EQ(client.appends.size(), 10u);
  EXPECT_FALSE(load.behind());
  EXPECT_EQ(load.recent().count(), 10u);
  EXPECT_EQ(load.recent().max(), 3 * kSecond);
  EXPECT_GE(load.recent().percentile(0.01), 2 * kSecond);
  load.stop();
  EXPECT_EQ(load.unsent(), 0u);
}

TEST(BenchLoad, OpenLoopCountsWhatWasDueAndNeverWentOut) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 2, .rate = 10}, payload);
  FakeClient client;
  load.start(kSecond);
  load.submit(client, 2 * kSecond - 1);
  load.finish(2 * kSecond);
  load.stop();
  EXPECT_EQ(load.unsent(), 8u);
  EXPECT_FALSE(load.behind());
  load.on_append(client.appends[0].tag, acknowledged_at(1), 3 * kSecond);
  load.submit(client, 3 * kSecond);
  EXPECT_EQ(client.appends.size(), 2u);
}

TEST(BenchLoad, ClosedLoopEndsAtTheEnd) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 2}, payload);
  FakeClient client;
  load.start(0);
  load.submit(client, 0);
  load.finish(1);
  load.on_append(client.appends[0].tag, acknowledged_at(1), 2);
  load.submit(client, 2);
  EXPECT_EQ(client.appends.size(), 2u);
  EXPECT_FALSE(load.behind());
  EXPECT_EQ(load.unsent(), 0u);
}

TEST(BenchLoad, RefusedAndUnknownAreCountedAndFreeTheirSlots) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 2}, payload);
  FakeClient client;
  load.start(0);
  load.submit(client, 0);
  load.on_append(client.appends[0].tag, refused_with(Errc::kOverloaded), 1);
  load.on_append(client.appends[1].tag, unknown_with(Errc::kTimeout), 1);
  EXPECT_TRUE(load.idle());
  EXPECT_EQ(load.refused(), 1u);
  EXPECT_EQ(load.unknown(), 1u);
  EXPECT_EQ(load.acknowledged(), 0u);
  load.stop();
  load.submit(client, 2);
  EXPECT_EQ(client.appends.size(), 2u);
}

TEST(BenchLoad, ProducersNumberTheEntriesOfEachGroupWithoutGaps) {
  BenchPayload payload(1, 32);
  BenchLoad load({.groups = 2, .outstanding = 6, .producers = true, .run_id = 5}, payload);
  FakeClient client;
  load.start(0);
  load.submit(client, 0);
  std::map<std::uint32_t, std::uint64_t> next;
  for (const auto& append : client.appends)
    EXPECT_EQ(append.options.sequence.value(), ++next[append.options.group.value()]);
  EXPECT_NE(client.appends[0].options.producer, client.appends[1].options.producer);
  load.on_append(client.appends[0].tag, unknown_with(Errc::kTimeout), 1);
  load.submit(client, 1);
  EXPECT_NE(client.appends[6].options.producer, client.appends[0].options.producer);
  EXPECT_EQ(client.appends[6].options.sequence, Sequence(1));
}

TEST(BenchLoad, TwoEntriesAtOneIndexAreAContradiction) {
  BenchPayload payload(1, 32);
  BenchLoad load({.outstanding = 2}, payload);
  FakeClient client;
  load.start(0);
  load.submit(client, 0);
  load.on_append(client.appends[0].tag, acknowledged_at(1), 1);
  EXPECT_FALSE(load.contradicted());
  load.on_append(client.appends[1].tag, acknowledged_at(1), 1);
  EXPECT_TRUE(load.contradicted());
}

/// Nodes with logs of their own, read a few entries at a time.
class BenchVerifyTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kEntries = 100;

  BenchVerifyTest() : acked_(2) {
    // Group 0: a no-op at 1, then ours. Group 1: ours and, at even indexes, somebody else's.
    for (std::uint64_t i = 0; i < kEntries; ++i) {
      EXPECT_TRUE(acked_[0].record(Index(i + 2), i));
      EXPECT_TRUE(acked_[1].record(Index(2 * i + 1), 1000 + i));
    }
    for (auto& log : logs_) {
      log[0].emplace_back();
      for (std::uint64_t i = 0; i < kEntries; ++i) {
        log[0].emplace_back(as_text(payload_.entry(i)));
        log[1].emplace_back(as_text(payload_.entry(1000 + i)));
        log[1].emplace_back("other");
      }
    }
  }

  /// Runs the check to its end; answers each read from the log of its node.
  std::string verify() {
    BenchVerify verify(acked_, payload_, {NodeId(1), NodeId(2), NodeId(3)});
    std::uint64_t now_ns = 1;
    while (!verify.done()) {
      verify.submit(client_, now_ns);
      if (client_.reads.empty()) now_ns = std::max(now_ns + 1, verify.next_due_ns());
      for (; !client_.reads.empty(); client_.reads.pop_front())
        answer(verify, client_.reads.front(), now_ns);
    }
    checked_ = verify.checked();
    total_ = verify.total();
    return verify.problem();
  }

  void answer(BenchVerify& verify, const FakeClient::Read& read, std::uint64_t& now_ns) {
    const auto& log = logs_[read.options.node.value() - 1][read.options.group.value()];
    client::ReadOutcome outcome;
    outcome.commit_index = Index(log.size());
    for (std::uint64_t i = read.options.from.value();
         i <= log.size() && i < read.options.from.value() + 7; ++i)
      outcome.entries.push_back(
          {Index(i), Term(1), read.options.group == GroupId(0) && i == 1, as_bytes(log[i - 1])});
    if (outcome.entries.empty()) now_ns += std::uint64_t{read.options.wait_ms} * 1'000'000;
    verify.on_read(read.tag, outcome, now_ns);
  }

  BenchPayload payload_{3, 48};
  std::vector<AckedIndex> acked_;
  std::map<std::uint32_t, std::vector<std::string>> logs_[3];  // by group; [0] is index 1
  FakeClient client_;
  std::uint64_t checked_ = 0, total_ = 0;
};

TEST_F(BenchVerifyTest, EqualLogsAreEqual) {
  EXPECT_EQ(verify(), "");
  EXPECT_EQ(checked_, total_);
  EXPECT_EQ(total_, 3 * 2 * kEntries);
}

TEST_F(BenchVerifyTest, OneWrongByteOnOneNodeIsFound) {
  logs_[2][1][50][20] ^= 1;
  EXPECT_NE(verify().find("node 3 group 1 index 51"), std::string::npos);
}

TEST_F(BenchVerifyTest, AnEntryThatIsMissingIsFound) {
  logs_[1][0].erase(logs_[1][0].begin() + 40);
  EXPECT_NE(verify().find("node 2 group 0 index 41"), std::string::npos);
}

TEST_F(BenchVerifyTest, ANodeThatNeverGetsThereIsFound) {
  logs_[0][0].pop_back();
  EXPECT_NE(verify().find("node 1 group 0 index 101: the node knows entries up to 100"),
            std::string::npos);
}

TEST_F(BenchVerifyTest, AGroupWithoutAcknowledgementsIsSkipped) {
  acked_[0] = AckedIndex();
  EXPECT_EQ(verify(), "");
  EXPECT_EQ(total_, 3 * kEntries);
}

TEST(BenchCluster, WhatCannotStartLeavesNothingBehind) {
  char path[] = "/tmp/sluice-bench-cluster-XXXXXX";
  const std::string directory = ::mkdtemp(path);
  BenchCluster::Options options;
  options.data_dir = directory;
  options.nodes = 1'000'000;  // there are not so many ports
  EXPECT_THROW(BenchCluster cluster(options), Failure);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove_all(directory);
}

TEST(BenchCluster, FreePortsAreDistinct) {
  const auto ports = free_ports(7);
  EXPECT_EQ(std::set(ports.begin(), ports.end()).size(), 7u);
}

TEST(BenchCluster, KnowsWhatLiesInMemory) {
  EXPECT_FALSE(on_tmpfs("/proc"));
  EXPECT_FALSE(on_tmpfs("/no/such/place"));
}

}  // namespace
}  // namespace sluice::tools
