// Whether the disk is busy with the bytes of the writes, or with making them durable.
//
// A segment is filled with zeros before it is used, since a write to blocks that the filesystem has
// only allocated changes its metadata, and making that durable takes two or three flushes instead of
// one. That pays while writes are small. Where they are large, each byte is written twice for it, on a
// disk that has no time for the first. Which is the case depends on what a flush takes, and that nobody
// knows before the disk was seen: so a write counts as bound by its bytes when it takes many times as
// long as the quickest one did, of which a flush may have been all.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::shard {

class WriteLoad {
 public:
  /// Writes as small are left out of account: a noisy disk is no reason.
  static constexpr std::uint64_t kLargeBytes = 128u << 10;
  static constexpr std::uint64_t kTimesLeast = 8;

  /// A write of `size_bytes` took `ns`.
  void record(std::uint64_t size_bytes, std::uint64_t ns) {
    least_ns_ = writes_ == 0 ? ns : std::min(least_ns_, ns);
    // The mean of all at first, so that the first one does not stand for kMemory of them.
    writes_ = std::min(writes_ + 1, kMemory);
    mean_bytes_ += (static_cast<double>(size_bytes) - mean_bytes_) / static_cast<double>(writes_);
    mean_ns_ += (static_cast<double>(ns) - mean_ns_) / static_cast<double>(writes_);
  }

  /// Of the newest writes; false without any.
  [[nodiscard]] bool bytes_bound() const {
    return mean_bytes_ >= static_cast<double>(kLargeBytes) &&
           mean_ns_ >= static_cast<double>(kTimesLeast) * static_cast<double>(least_ns_);
  }

 private:
  /// The newest count most; so many writes ago a third as much.
  static constexpr std::uint64_t kMemory = 64;

  std::uint64_t writes_ = 0;  // at most kMemory
  std::uint64_t least_ns_ = 0;
  double mean_bytes_ = 0, mean_ns_ = 0;
};

}  // namespace sluice::shard
