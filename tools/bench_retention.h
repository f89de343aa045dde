// A log lives with a retention: what is old enough is trimmed, and its segments are used again. A
// benchmark that kept everything would measure a node that makes a new file every few hundred
// milliseconds for ever, which writes each byte twice (zeros first) and which no disk has room for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
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
  /// What an earlier load left in one group, whose entries are all older. Empty: last is 0.
  struct Older {
    Index first, last;
  };

  /// More is kept if that is needed for the answers of what is under way to find their place.
  explicit BenchRetention(const Options& options)
      : entry_bytes_(options.entry_bytes),
        keep_(options.bytes == 0
                  ? 0
                  : std::max(options.bytes / options.groups / options.entry_bytes,
                             std::uint64_t{2} * options.outstanding / options.groups + 64)) {}

  /// What is older goes as this load takes its place: the log keeps its length, and the nodes the
  /// segments that they have. One of each group, of entries of `entry_bytes`.
  void begin_behind(std::vector<Older> older, std::uint64_t entry_bytes) {
    older_ = std::move(older);
    older_entry_bytes_ = entry_bytes;
  }

  [[nodiscard]] bool keeps_all() const { return keep_ == 0; }

  /// For each group that holds clearly more than it keeps: forgets what was acknowledged before that,
  /// and calls trim(group, first), the first index that stays. Returns how many entries it forgot, of
  /// this load.
  template <class F>
  std::uint64_t look(std::vector<AckedIndex>& acked, F&& trim) {
    std::uint64_t forgotten = 0;
    for (std::size_t group = 0; group < acked.size() && !keeps_all(); ++group) {
      AckedIndex& index = acked[group];
      if (group < older_.size() && older_[group].last != Index{}) {
        if (const auto first = older_that_stay(older_[group], index.count())) trim(group, *first);
      }
      if (index.count() < keep_ + std::max(keep_ / 4, trim_least())) continue;
      const Index first(index.last().value() + 1 - keep_);
      forgotten += index.forget_below(first);
      trim(group, first);
    }
    return forgotten;
  }

 private:
  /// A trim is a request to the leader: not one for every few small entries of each of many groups.
  [[nodiscard]] std::uint64_t trim_least() const {
    return std::min<std::uint64_t>(1024, (256u << 10) / entry_bytes_);
  }

  /// The first that stays, if that is clearly fewer than there are now.
  std::optional<Index> older_that_stay(Older& older, std::uint64_t own_count) const {
    const std::uint64_t keep_bytes = keep_ * entry_bytes_;
    const std::uint64_t own_bytes = own_count * entry_bytes_;
    const std::uint64_t stay =
        (keep_bytes - std::min(keep_bytes, own_bytes)) / older_entry_bytes_;
    const std::uint64_t held = older.last - older.first + 1;
    if (held <= stay + keep_bytes / older_entry_bytes_ / 4) return std::nullopt;
    const Index first(older.last.value() + 1 - stay);
    older.first = first;
    if (stay == 0) older.last = {};
    return first;
  }

  std::uint64_t entry_bytes_ = 1;
  std::uint64_t keep_ = 0;  // entries of a group
  std::vector<Older> older_;
  std::uint64_t older_entry_bytes_ = 1;
};

}  // namespace sluice::tools
