// engine/shard/catch_up_pace: how much is read for a follower that is behind, beside what is committed.
#include "engine/shard/catch_up_pace.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sluice::shard {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kNever = 1;  // bytes a second: nothing that matters in these tests

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
  for (const std::uint64_t commit_bytes : {100'000ul, kMiB, 3 * kMiB, 8 * kMiB}) {
    CatchUpPace pace(kNever);
    const std::uint64_t committed = 1000 * commit_bytes;
    const std::uint64_t read = run(pace, 1000, commit_bytes, kMiB);
    EXPECT_LE(read, committed * 3 / 2 + 16 * kMiB) << commit_bytes;
    EXPECT_GE(read + 2 * kMiB, committed * 3 / 2) << commit_bytes << ": it would never have all of it";
  }
}

TEST_F(CatchUpPaceTest, AFollowerThatTookNothingForAWhileIsOwedNoBurst) {
  CatchUpPace pace(kNever);
  (void)run(pace, 100, kMiB, kMiB);
  load_.committed_bytes += 1000 * kMiB;
  EXPECT_LE(run(pace, 1, 0, kMiB), 16 * kMiB);
}

TEST_F(CatchUpPaceTest, ANodeAtRestReadsWithoutLimit) {
  CatchUpPace pace(kNever);
  load_.resting = true;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(pace.may_read(load_)) << i;
    pace.on_read(load_, 16 * kMiB);
  }
  load_.resting = false;
  EXPECT_FALSE(pace.may_read(load_));
}

TEST_F(CatchUpPaceTest, ANodeThatCommitsLittleReadsItsMinimum) {
  CatchUpPace pace(100 * kMiB);
  const std::uint64_t read = run(pace, 2000, 512, kMiB);  // two seconds
  EXPECT_LE(read, 202 * kMiB);
  EXPECT_GE(read, 180 * kMiB);
}

}  // namespace
}  // namespace sluice::shard
