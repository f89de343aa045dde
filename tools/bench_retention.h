// A log lives with a retention: what is old enough is trimmed, and its segments are used again. A
// benchmark that kept everything would measure a node that makes a new file every few hundred
// milliseconds for ever, which writes each byte twice (zeros first) and which no disk has room for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tools/acked_index.h"

namespace sluice::tools {

class BenchRetention {
 public:
  struct Options {
    std::uint64_t bytes = 0;  // of the newest entries to keep, over all groups; 0: all
    std::uint32_t groups = 1;
    std::uint64_t entry_bytes = 1;
    std::uint32_t outstanding = 1;
  };

  /// More is kept if that is needed for the answers of what is under way to find their place.
  explicit BenchRetention(const Options& options)
      : keep_(options.bytes == 0
                  ? 0
                  : std::max(options.bytes / options.groups / options.entry_bytes,
                             std::uint64_t{2} * options.outstanding / options.groups + 64)) {}

  [[nodiscard]] bool keeps_all() const { return keep_ == 0; }

  /// For each group that holds clearly more than it keeps: forgets what was acknowledged before that,
  /// and calls trim(group, first), the first index that stays. Returns how many entries it forgot.
  template <class F>
  std::uint64_t look(std::vector<AckedIndex>& acked, F&& trim) const {
    std::uint64_t forgotten = 0;
    for (std::size_t group = 0; group < acked.size() && !keeps_all(); ++group) {
      AckedIndex& index = acked[group];
      if (index.count() < keep_ + std::max(keep_ / 4, kTrimLeast)) continue;
      const Index first(index.last().value() + 1 - keep_);
      forgotten += index.forget_below(first);
      trim(group, first);
    }
    return forgotten;
  }

 private:
  // A trim is a request to the leader: not one for every few entries of each of many groups.
  static constexpr std::uint64_t kTrimLeast = 1024;
  std::uint64_t keep_ = 0;  // entries of a group
};

}  // namespace sluice::tools
