// engine/shard/catch_up_pace: how much is read for a follower that is behind, beside what is committed.
#include "engine/shard/catch_up_pace.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sluice::shard {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kMs = 1'000'000;
constexpr CatchUpPace::Options kNoMinimum{.bytes_per_s_min = 1, .commit_bytes_max = 64 * kMiB};

class CatchUpPaceTest : public testing::Test {
 protected:
  /// Reads of `read_bytes` whenever they may be, while `commits` of `commit_bytes` each are made, each
  /// 1 ms after the last. How many bytes were read.
  std::uint64_t run(CatchUpPace& pace, int commits, std::uint64_t commit_bytes, std::uint64_t read_bytes) {
    std::uint64_t read = 0;
    for (int i = 0; i < commits; ++i) {
      load_.now_ns += kMs;
      load_.committed_bytes += commit_bytes;
      while (pace.may_read(load_)) {
        pace.on_read(load_, read_bytes);
        read += read_bytes;
      }
    }
    return read;
  }

  CatchUpPace::Load load_;
};

TEST_F(CatchUpPaceTest, ReadsOneAndAHalfTimesWhatIsCommitted) {
  for (const std::uint64_t commit_bytes : {100'000ul, kMiB, 3 * kMiB, 16 * kMiB, 64 * kMiB}) {
    CatchUpPace pace(kNoMinimum);
    load_ = {};
    const std::uint64_t committed = 1000 * commit_bytes;
    const std::uint64_t read = run(pace, 1000, commit_bytes, kMiB);
    EXPECT_LE(read, committed * 3 / 2 + 3 * kMiB) << commit_bytes;
    EXPECT_GE(read + 3 * kMiB, committed * 3 / 2) << commit_bytes << ": it would never have all of it";
  }
}

TEST_F(CatchUpPaceTest, AFollowerThatTookNothingForAWhileIsOwedNoBurst) {
  CatchUpPace pace({.bytes_per_s_min = 1, .commit_bytes_max = kMiB});
  (void)run(pace, 100, kMiB, kMiB);
  load_.committed_bytes += 1000 * kMiB;
  EXPECT_LE(run(pace, 1, 0, kMiB), 16 * kMiB);
}

TEST_F(CatchUpPaceTest, ANodeAtRestReadsWithoutLimit) {
  CatchUpPace pace(kNoMinimum);
  load_.resting = true;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(pace.may_read(load_)) << i;
    pace.on_read(load_, 16 * kMiB);
  }
  load_.resting = false;
  EXPECT_FALSE(pace.may_read(load_));
}

TEST_F(CatchUpPaceTest, ANodeThatCommitsLittleReadsItsMinimum) {
  CatchUpPace pace({.bytes_per_s_min = 100 * kMiB});
  load_.committed_bytes = 512;
  pace.on_read(load_, 10 * kMiB);
  EXPECT_EQ(pace.due_ns(), 100 * kMs);
  load_.now_ns = 100 * kMs - 1;
  EXPECT_FALSE(pace.may_read(load_));
  load_.now_ns = 100 * kMs;
  EXPECT_TRUE(pace.may_read(load_));
}

}  // namespace
}  // namespace sluice::shard
