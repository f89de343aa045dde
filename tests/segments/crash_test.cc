// Crashes at every point of a shard's life on disk, one after the other. What must hold after each
// is in world.h.
#include <gtest/gtest.h>

#include "tests/segments/world.h"

namespace sluice::segments::test {
namespace {

using Fate = MemoryDisk::Fate;

constexpr World::Kind kDurableWrites{.durable_writes = true};
constexpr World::Kind kSyncedLater{.durable_writes = false};

/// Runs to the crash point, crashes three times in a row with a little life in between, and goes
/// on.
World::Counts crash_at(std::uint64_t seed, World::Kind kind, std::size_t point) {
  World world(seed, kind);
  world.act(point);
  Random random(seed * 1000 + point);
  for (int crash = 0; crash < 4 && !testing::Test::HasFatalFailure(); ++crash) {
    switch (random.below(5)) {
      case 0:
        world.lose_power(Fate::kAllLost);
        break;
      case 1:
        world.lose_power(Fate::kAllKept);
        break;
      case 2:
        world.kill();
        break;
      default:
        world.lose_power(Fate::kRandom);
        break;
    }
    world.recover();
    if (testing::Test::HasFatalFailure()) break;
    // Short lives, so that the next crash falls into what a start does, too.
    world.act(random.below(crash == 1 ? 15 : 70));
  }
  return world.counts();
}

class CrashTest : public testing::TestWithParam<World::Kind> {};

INSTANTIATE_TEST_SUITE_P(Policies, CrashTest, testing::Values(kDurableWrites, kSyncedLater),
                         [](const auto& kind) {
                           return kind.param.durable_writes ? "DurableWrites" : "SyncedLater";
                         });

// S26, S27, S30 to S34, S36, S38
TEST_P(CrashTest, AtEveryPointNothingDurableIsLostAndNothingDeadComesBack) {
  World::Counts counts;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    for (std::size_t point = 0; point < 260; point += 1 + seed % 3) {
      counts += crash_at(seed, GetParam(), point);
      if (HasFailure()) FAIL() << "seed " << seed << " point " << point;
    }
  }
  // It was a test only if all this happened.
  RecordProperty("chunks", static_cast<int>(counts.chunks));
  EXPECT_GT(counts.rollovers, 1000u);
  EXPECT_GT(counts.cuts, 200u);
  EXPECT_GT(counts.dead_came_back, 0u);
  EXPECT_GT(counts.truncations, 1000u);
  EXPECT_GT(counts.trims, 1000u);
  EXPECT_GT(counts.full_disks, 100u);
}

// S30: long lives, in which each file is used again and again.
TEST_P(CrashTest, RecycledSegmentsNeverShowWhatTheyHeldBefore) {
  World::Counts counts;
  for (std::uint64_t seed = 100; seed < 130; ++seed) {
    World world(seed, GetParam());
    for (int life = 0; life < 12 && !HasFatalFailure(); ++life) {
      world.act(400);
      (life % 3 == 2) ? world.kill() : world.lose_power(Fate::kRandom);
      world.recover();
    }
    counts += world.counts();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(counts.retired, 500u);
  EXPECT_GT(counts.rewrites, 20u);
  EXPECT_GT(counts.peers_moved, 20u);
}

// A late write of a killed process, while the next one uses files again as fast as it can.
TEST_P(CrashTest, LateWritesOfAKilledProcessHitNothing) {
  World::Counts counts;
  for (std::uint64_t seed = 400; seed < 430; ++seed) {
    World world(seed, GetParam());
    for (int life = 0; life < 4 && !HasFatalFailure(); ++life) {
      world.act(120);
      world.kill();
      world.recover();
      world.act(600);
      world.lose_power(Fate::kRandom);
      world.recover();
    }
    counts += world.counts();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(counts.retired, 300u);
}

// S26, S31, S32: of the chunks on their way each sector may be the last that arrived, whether the
// others arrived or not.
TEST_P(CrashTest, EveryPrefixOfEveryWriteIsCutOrKeptWhole) {
  std::size_t checked = 0, moved = 0;
  for (std::uint64_t seed = 200; seed < 215; ++seed) {
    World world(seed, GetParam());
    for (int i = 0; i < 40; ++i) {
      world.act(9);
      for (const auto id : world.writes_under_way()) {
        ChunkSeq least, most;
        for (std::size_t sectors = 0; sectors <= world.disk().sectors_of(id); ++sectors) {
          for (const bool others_kept : {false, true}) {
            MemoryDisk disk = world.disk();
            disk.lose_power_keeping(id, sectors, others_kept);
            const ChunkSeq last = world.check(disk);
            if (HasFailure()) FAIL() << "seed " << seed << " sectors " << sectors;
            least = sectors == 0 ? last : std::min(least, last);
            most = std::max(most, last);
            ++checked;
          }
        }
        if (most > least) ++moved;
      }
    }
  }
  EXPECT_GT(checked, 3'000u);
  EXPECT_GT(moved, 100u);
}

// S34: a rollover is file steps; a start after a crash anywhere among the very first ones.
TEST_P(CrashTest, ANewDirectoryStartsWhereverTheFirstStartsWereCutShort) {
  for (std::uint64_t seed = 300; seed < 340; ++seed) {
    World world(seed, GetParam());
    for (std::size_t life = 0; life < 40 && !HasFatalFailure(); ++life) {
      world.act(life);
      world.lose_power(seed % 2 == 0 ? Fate::kRandom : Fate::kAllLost);
      world.recover();
    }
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice::segments::test
