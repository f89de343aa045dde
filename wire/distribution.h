// How often values of each size came up: log-linear buckets, 16 for each power of two, so that a
// bucket's largest value is at most 1/16 above its smallest. The form in which a node counts how
// long the stages of a commit take (ClientStatusReply), in 5 KB each and without a division.
//
// A value below 32 has a bucket of its own. Above, `shift` is such that value >> shift lies in
// [16, 31]; the bucket is shift * 16 + (value >> shift), which grows without gaps:
//   value 31 -> 31, 32 and 33 -> 32, 62 and 63 -> 47, 64 to 67 -> 48, ...
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice {

class Distribution {
 public:
  /// Largest value that is told apart (as ns: 18 minutes); larger ones go to the last bucket.
  static constexpr std::uint64_t kValueMax = (1ull << 40) - 1;
  static constexpr std::size_t kBuckets = 35 * 16 + 32;

  static constexpr std::size_t bucket_of(std::uint64_t value) {
    const std::uint64_t bounded = std::min(value, kValueMax);
    const auto width = static_cast<unsigned>(std::bit_width(bounded));
    const unsigned shift = width > 5 ? width - 5 : 0;
    return shift * 16 + static_cast<std::size_t>(bounded >> shift);
  }
  static constexpr std::uint64_t lowest_in(std::size_t bucket) {
    if (bucket < 32) return bucket;
    const auto shift = static_cast<unsigned>(bucket / 16 - 1);
    return (std::uint64_t{bucket} - shift * 16) << shift;
  }
  static constexpr std::uint64_t highest_in(std::size_t bucket) {
    return bucket + 1 < kBuckets ? lowest_in(bucket + 1) - 1 : kValueMax;
  }

  void record(std::uint64_t value) { ++counts_[bucket_of(value)]; }
  /// `count` values of a bucket, as another node counted them. Precondition: bucket < kBuckets.
  void add(std::size_t bucket, std::uint64_t count) { counts_[bucket] += count; }
  [[nodiscard]] std::uint64_t count_in(std::size_t bucket) const { return counts_[bucket]; }

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
};

}  // namespace sluice
