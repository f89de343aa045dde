// Whether the disk is busy with the bytes of the writes, or with making them durable.
//
// A segment is filled with zeros before it is used, since a write to blocks that the filesystem has
// only allocated changes its metadata, and making that durable takes two or three flushes instead of
// one. That pays while writes are small. Where they are large, each byte is written twice for it, on a
// disk that has better things to do. Which is the case depends on what a flush takes, and that nobody
// knows before the disk was seen: so writes count as bound by their bytes when they are large and keep
// the disk busy for several times as long as the quickest one lately took, of which a flush may have
// been all. Busy: what a write spends behind others of its own log says how many are in flight, not what
// the disk does. (Large ones alone do not say it: commits gather while a slow flush lasts. And where
// nothing is made durable at once, no flush is in any of them, and zeros save little.)
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace sluice::shard {

class WriteLoad {
 public:
  static constexpr std::uint64_t kLargeBytes = 128u << 10;
  /// Between what was measured where zeros lose and where they gain, with three nodes on one disk
  /// (perf/README.md).
  static constexpr std::uint64_t kTimesLeast = 3;
  /// The mean is one of so many writes, the newest counting most. Fewer say nothing.
  static constexpr std::uint64_t kMemory = 64;
  /// The quickest is that of the newest kWindow writes, and of as many before at most: a disk that was
  /// quick once may since be held to a number of operations a second. Not of fewer: the small writes of a
  /// start and those onto zeros show what a flush takes. A load of large ones onto none hides it, is taken
  /// to be bound by flushes once those are forgotten, and gets zeros for a segment, which show it again.
  static constexpr std::uint64_t kWindow = 16'384;

  /// From `large_bytes` on a write is large.
  explicit WriteLoad(std::uint64_t large_bytes) : large_bytes_(large_bytes) {}

  /// A write of `size_bytes` that began at `submitted_ns` ended at `done_ns`. Writes are recorded in the order
  /// in which they ended.
  void record(std::uint64_t size_bytes, std::uint64_t submitted_ns, std::uint64_t done_ns) {
    const std::uint64_t ns = done_ns - submitted_ns;
    const std::uint64_t busy_ns = done_ns - std::max(submitted_ns, std::exchange(done_ns_, done_ns));
    if (writes_++ % kWindow == 0) least_ns_ = {ns, writes_ == 1 ? ns : least_ns_[0]};
    least_ns_[0] = std::min(least_ns_[0], ns);
    // The mean of all at first, so that the first one does not stand for kMemory of them.
    const auto weight = static_cast<double>(std::min(writes_, kMemory));
    mean_bytes_ += (static_cast<double>(size_bytes) - mean_bytes_) / weight;
    mean_busy_ns_ += (static_cast<double>(busy_ns) - mean_busy_ns_) / weight;
  }

  [[nodiscard]] bool bytes_bound() const {
    const auto least_ns = static_cast<double>(std::min(least_ns_[0], least_ns_[1]));
    return writes_ >= kMemory && mean_bytes_ >= static_cast<double>(large_bytes_) &&
           mean_busy_ns_ >= static_cast<double>(kTimesLeast) * least_ns;
  }

 private:
  std::uint64_t large_bytes_;
  std::uint64_t writes_ = 0;
  std::array<std::uint64_t, 2> least_ns_{};  // of this window and of the one before
  std::uint64_t done_ns_ = 0;                  // when the newest ended
  double mean_bytes_ = 0, mean_busy_ns_ = 0;
};

}  // namespace sluice::shard
