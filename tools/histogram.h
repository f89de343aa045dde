// A log-linear histogram of times: 128 buckets for each power of two, so that what it reports is at
// most 1/128 (0.8 %) above what was recorded, from 1 ns to 18 minutes, in 35 KB and without a
// division.
//
// A value below 256 has a bucket of its own. Above, `shift` is such that value >> shift lies in
// [128, 255]; the bucket is shift * 128 + (value >> shift), which grows without gaps:
//   value 255 -> 255, 256 and 257 -> 256, 510 and 511 -> 383, 512 to 515 -> 384, ...
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sluice::tools {

class Histogram {
 public:
  /// Largest value that is told apart; larger ones are counted in the last bucket.
  static constexpr std::uint64_t kValueMax = (1ull << 40) - 1;

  void record(std::uint64_t value) {
    ++counts_[bucket_of(std::min(value, kValueMax))];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }

  void clear() { *this = Histogram(); }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// Exact.
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  /// The smallest reported value that at least `share` (0 to 1) of what was recorded does not
  /// exceed. Never above max(). 0 if nothing was recorded.
  [[nodiscard]] std::uint64_t percentile(double share) const {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank) return i + 1 == counts_.size() ? max_ : std::min(highest_in(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned kShiftMax = 32;
  static constexpr std::size_t kBuckets = kShiftMax * 128 + 256;

  static constexpr std::size_t bucket_of(std::uint64_t value) {
    const unsigned width = static_cast<unsigned>(std::bit_width(value));
    const unsigned shift = width > 8 ? width - 8 : 0;
    return shift * 128 + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::uint64_t highest_in(std::size_t bucket) {
    if (bucket < 256) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket / 128 - 1);
    return ((std::uint64_t{bucket} - shift * 128 + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace sluice::tools
