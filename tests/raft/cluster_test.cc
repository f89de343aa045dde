// The deterministic cluster: thousands of short runs, each a whole life of a cluster from a seed.
//
//   SLUICE_RAFT_SEED=123    replays one seed (of every cluster size)
//   SLUICE_RAFT_SEEDS=N     runs N seeds per cluster size
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/raft/sim_cluster.h"

namespace sluice::raft {
namespace {

volatile std::sig_atomic_t running_seed = 0;

/// A broken SLUICE_CHECK aborts; the seed must not be lost with it.
extern "C" void print_seed(int) {
  std::fprintf(stderr, "SLUICE_RAFT_SEED=%d\n", static_cast<int>(running_seed));
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class RaftCluster : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override { std::signal(SIGABRT, print_seed); }
  void TearDown() override { std::signal(SIGABRT, SIG_DFL); }
};

TEST_P(RaftCluster, KeepsItsPromisesUnderAnyFaultsAndRecoversFromThem) {
  constexpr std::uint32_t kRounds = 200;
  const std::uint64_t only = number_from("SLUICE_RAFT_SEED", 0);
  const std::uint64_t seeds = number_from("SLUICE_RAFT_SEEDS", 700);
  sim::Coverage coverage;
  for (std::uint64_t seed = only ? only : 1; seed <= (only ? only : seeds); ++seed) {
    running_seed = static_cast<std::sig_atomic_t>(seed);
    sim::Cluster cluster(GetParam(), seed);
    ASSERT_TRUE(cluster.run(kRounds))
        << "SLUICE_RAFT_SEED=" << seed << ", " << GetParam() << " nodes: " << cluster.failure();
    coverage.add(cluster.coverage());
  }
  std::printf(
      "%zu nodes: elections %lu, commits %lu, truncations %lu (deferred %lu), "
      "rejections %lu, crashes %lu, trims %lu, step-downs %lu\n",
      GetParam(), coverage.elections, coverage.commits, coverage.truncations,
      coverage.deferred_truncations, coverage.rejections, coverage.crashes, coverage.trims,
      coverage.step_downs);
  if (only) return;
  // A simulation that gets nowhere proves nothing.
  EXPECT_GT(coverage.elections, seeds);
  EXPECT_GT(coverage.commits, 10 * seeds);
  EXPECT_GT(coverage.crashes, seeds / 2);
  EXPECT_GT(coverage.trims, seeds / 10);
  if (GetParam() >= 3) {
    EXPECT_GT(coverage.truncations, seeds / 10);
    EXPECT_GT(coverage.rejections, seeds / 2);
    EXPECT_GT(coverage.step_downs, seeds / 10);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, RaftCluster, testing::Values(1, 2, 3, 4, 5, 7),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace sluice::raft
