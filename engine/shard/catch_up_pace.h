// When a leader may read the next stretch of its log from disk for a follower that is behind.
//
// Unrestrained, such reads take whatever the disk has to give, and what the clients are promised
// waits behind them. So they keep pace with the commits of their thread: kPerCommitted times as much is
// read as is committed meanwhile. More than once as much, or a follower under full load would never have
// all of it, and the group would be one failure from standing still for as long as the load lasts; little
// more, because the clients pay for it. A thread that commits nothing reads as fast as its disk can; one
// that commits little reads `bytes_per_s_min` for a follower at least.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::shard {

class CatchUpPace {
 public:
  struct Options {
    std::uint64_t bytes_per_s_min = 1;   // at least 1
    std::uint64_t commit_bytes_max = 0;  // what is committed between two looks at most
  };

  /// What this thread is doing.
  struct Load {
    std::uint64_t now_ns = 0;
    std::uint64_t committed_bytes = 0;  // written to the disk for commits so far
    bool resting = false;               // nothing for a while, and nothing on its way
  };

  explicit CatchUpPace(const Options& options) : options_(options) {}

  [[nodiscard]] bool may_read(const Load& load) const {
    return load.resting || load.committed_bytes >= committed_due_ || load.now_ns >= due_ns_;
  }
  /// When may_read() holds whatever happens until then.
  [[nodiscard]] std::uint64_t due_ns() const { return due_ns_; }

  /// A read of `size_bytes` begins.
  void on_read(const Load& load, std::uint64_t size_bytes) {
    // What comes late, because commits end in large steps, is made up for. What was not taken is not: a
    // follower that stood still for a while would be owed all of it at once, and is owed some commits' worth.
    const std::uint64_t cost = size_bytes * kPerCommittedOf / kPerCommitted;
    const std::uint64_t late_max = std::max(kLateBytes, 2 * std::max(cost, options_.commit_bytes_max));
    const std::uint64_t late = load.committed_bytes - std::min(load.committed_bytes, committed_due_);
    committed_due_ = load.committed_bytes - std::min(late, late_max) + cost;
    due_ns_ = load.now_ns + size_bytes * kNsPerS / options_.bytes_per_s_min;
  }

 private:
  static constexpr std::uint64_t kNsPerS = 1'000'000'000;
  static constexpr std::uint64_t kLateBytes = 8u << 20;
  /// One and a half times.
  static constexpr std::uint64_t kPerCommitted = 3, kPerCommittedOf = 2;

  Options options_;
  std::uint64_t committed_due_ = 0;
  std::uint64_t due_ns_ = 0;
};

}  // namespace sluice::shard
