// Which entry of a run was acknowledged at which index of one group. 4 bytes an index, grown page
// by page, so that recording never copies what is there.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
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
    if (index < forgotten_below_) return true;  // trimmed before its answer came
    if (pages_.empty())
      base_ = (index.value() / kPage > kSlack ? index.value() / kPage - kSlack : 0);
    if (index.value() / kPage < base_) return false;
    const std::uint64_t page = index.value() / kPage - base_;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (pages_[page] == nullptr) pages_[page] = std::make_unique<Page>();
    std::uint32_t& slot = pages_[page]->slots[index.value() % kPage];
    if (slot != 0) return false;
    slot = static_cast<std::uint32_t>(number) + 1;
    ++pages_[page]->used;
    if (count_ == 0 || index < first_) first_ = index;
    if (index > last_) last_ = index;
    ++count_;
    return true;
  }

  /// Whether an entry was acknowledged at `index`, and which.
  [[nodiscard]] bool find(Index index, std::uint64_t& number) const {
    const std::uint32_t* const at = slot_of(index);
    const std::uint32_t slot = at == nullptr ? 0 : *at;
    number = std::uint64_t{slot} - 1;
    return slot != 0;
  }

  /// What was recorded below `first` was trimmed on purpose: it is neither counted nor found from now
  /// on. Returns how many that were. Looks into one page at most: a load must not stand still for it.
  std::uint64_t forget_below(Index first) {
    if (count_ == 0 || first <= first_) return 0;
    std::uint64_t gone = 0;
    const std::uint64_t last_page = first.value() / kPage;
    for (std::uint64_t i = first_.value() / kPage; i <= last_page && i - base_ < pages_.size(); ++i) {
      std::unique_ptr<Page>& page = pages_[i - base_];
      if (!page) continue;
      gone += i < last_page ? std::exchange(page->used, 0) : page->clear_below(first.value() % kPage);
      if (page->used == 0) page.reset();
    }
    count_ -= gone;
    forgotten_below_ = first_ = first;
    return gone;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// Of all that was recorded and not forgotten; 0 if nothing was.
  [[nodiscard]] Index first() const { return first_; }
  [[nodiscard]] Index last() const { return last_; }

 private:
  // A page is 5 KiB, no power of two: a thousand groups, each at the same place of a page of its own,
  // would push each other out of a few of the cache's sets.
  static constexpr std::uint64_t kPage = 1278;
  static constexpr std::uint64_t kSlack = (1u << 20) / kPage;
  struct Page {
    std::array<std::uint32_t, kPage> slots{};  // 0: none; else the number + 1
    std::uint64_t used = 0;

    std::uint64_t clear_below(std::size_t end) {
      std::uint64_t gone = 0;
      for (std::size_t i = 0; i < end; ++i) gone += std::exchange(slots[i], 0) != 0;
      used -= gone;
      return gone;
    }
  };

  [[nodiscard]] const std::uint32_t* slot_of(Index index) const {
    const std::uint64_t page = index.value() / kPage - base_;
    if (index.value() / kPage < base_ || page >= pages_.size() || !pages_[page]) return nullptr;
    return &pages_[page]->slots[index.value() % kPage];
  }

  std::vector<std::unique_ptr<Page>> pages_;
  std::uint64_t base_ = 0;
  std::uint64_t count_ = 0;
  Index first_;
  Index last_;
  Index forgotten_below_;
};

}  // namespace sluice::tools
