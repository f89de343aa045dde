// A queue of plain values in blocks of fixed size, with access by position. It grows without moving
// what it holds (an index of millions of batches must not be copied while commits wait), and takes
// one allocation for a whole block; a block that was emptied is kept for the next.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "wire/check.h"
#include "wire/ring.h"

namespace sluice::segments {

template <class T, std::size_t kBlockValues = 128>
class BlockQueue {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Precondition of these: i < size(), or !empty(). A reference stays valid until its value goes.
  [[nodiscard]] const T& operator[](std::size_t i) const { return at(i); }
  [[nodiscard]] const T& front() const { return at(0); }
  [[nodiscard]] const T& back() const { return at(size_ - 1); }

  /// Fetches the last value, and the place behind it.
  void prefetch_back() const {
    if (size_ == 0) return;
    __builtin_prefetch(&back());
    __builtin_prefetch(&back() + 1);
  }

  void push_back(const T& value) {
    const std::size_t end = begin_ + size_;
    if (end == blocks_.size() * kBlockValues) {
      if (spare_.empty()) spare_.resize(kBlockValues);
      blocks_.push_back(std::exchange(spare_, {}));
    }
    blocks_[end / kBlockValues][end % kBlockValues] = value;
    ++size_;
  }

  void pop_front() {
    SLUICE_CHECK(size_ > 0);
    --size_;
    if (++begin_ < kBlockValues) return;
    spare_ = std::move(blocks_.front());
    blocks_.pop_front();
    begin_ = 0;
  }

  void pop_back() {
    SLUICE_CHECK(size_ > 0);
    --size_;
    if (begin_ + size_ > (blocks_.size() - 1) * kBlockValues) return;
    spare_ = std::move(blocks_.back());
    blocks_.pop_back();
  }

 private:
  [[nodiscard]] const T& at(std::size_t i) const {
    const std::size_t place = begin_ + i;
    return blocks_[place / kBlockValues][place % kBlockValues];
  }

  // Invariant: the last block holds at least one value or is the block that begin_ points into.
  Ring<std::vector<T>> blocks_;  // each of kBlockValues
  std::vector<T> spare_;         // the same, or empty
  std::size_t begin_ = 0;  // of the first value, in the first block
  std::size_t size_ = 0;
};

}  // namespace sluice::segments
