// Which entry of a run was acknowledged at which index of one group. 4 bytes an index, grown page
// by page, so that recording never copies what is there.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "wire/ids.h"

namespace sluice::tools {

class AckedIndex {
 public:
  /// Entry numbers a run can have at most.
  static constexpr std::uint64_t kNumberMax = 0xFFFF'FFFE;

  /// False, and nothing changed, if an entry was acknowledged at this index before: two of them
  /// cannot be there. Precondition: number <= kNumberMax.
  [[nodiscard]] bool record(Index index, std::uint64_t number) {
    // A log may be long already when the run begins: pages are counted from the first index seen,
    // a little early, because acknowledgements may come out of order.
    if (pages_.empty())
      base_ = (index.value() / kPage > kSlack ? index.value() / kPage - kSlack : 0);
    if (index.value() / kPage < base_) return false;
    const std::uint64_t page = index.value() / kPage - base_;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (pages_[page] == nullptr) pages_[page] = std::make_unique<Page>();
    std::uint32_t& slot = (*pages_[page])[index.value() % kPage];
    if (slot != 0) return false;
    slot = static_cast<std::uint32_t>(number) + 1;
    if (count_ == 0 || index < first_) first_ = index;
    if (index > last_) last_ = index;
    ++count_;
    return true;
  }

  /// Whether an entry was acknowledged at `index`, and which.
  [[nodiscard]] bool find(Index index, std::uint64_t& number) const {
    const std::uint64_t page = index.value() / kPage - base_;
    if (index.value() / kPage < base_ || page >= pages_.size() || !pages_[page]) return false;
    const std::uint32_t slot = (*pages_[page])[index.value() % kPage];
    number = std::uint64_t{slot} - 1;
    return slot != 0;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// Of all that was recorded; 0 if nothing was.
  [[nodiscard]] Index first() const { return first_; }
  [[nodiscard]] Index last() const { return last_; }

 private:
  static constexpr std::uint64_t kPage = 16'384;
  static constexpr std::uint64_t kSlack = 64;
  using Page = std::array<std::uint32_t, kPage>;  // 0: none; else the number + 1

  std::vector<std::unique_ptr<Page>> pages_;
  std::uint64_t base_ = 0;
  std::uint64_t count_ = 0;
  Index first_;
  Index last_;
};

}  // namespace sluice::tools
