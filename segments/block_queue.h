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
  BlockQueue() = default;
  BlockQueue(BlockQueue&&) = default;  // what was moved from may only be destroyed or assigned to
  BlockQueue& operator=(BlockQueue&&) = default;
  BlockQueue(const BlockQueue& other)
      : blocks_(other.blocks_), spare_(other.spare_), begin_(other.begin_), size_(other.size_) {
    end_at(other.end_place_);
  }
  BlockQueue& operator=(const BlockQueue& other) { return *this = BlockQueue(other); }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Precondition of these: i < size(), or !empty(). A reference stays valid until its value goes.
  [[nodiscard]] const T& operator[](std::size_t i) const { return at(i); }
  [[nodiscard]] const T& front() const { return at(0); }
  [[nodiscard]] const T& back() const { return end_[-1]; }

  /// Fetches the last value, and the place behind it.
  void prefetch_back() const {
    if (end_ == nullptr) return;
    __builtin_prefetch(end_ - 1);
    __builtin_prefetch(end_);
  }

  void push_back(const T& value) {
    if (end_place_ == 0 || end_place_ == kBlockValues) {
      if (spare_.empty()) spare_.resize(kBlockValues);
      blocks_.push_back(std::exchange(spare_, {}));
      end_at(0);
    }
    *end_ = value;
    ++end_;
    ++end_place_;
    ++size_;
  }

  void pop_front() {
    SLUICE_CHECK(size_ > 0);
    --size_;
    if (++begin_ < kBlockValues) return;
    spare_ = std::move(blocks_.front());
    blocks_.pop_front();
    begin_ = 0;
    if (blocks_.empty()) end_at(0);
  }

  void pop_back() {
    SLUICE_CHECK(size_ > 0);
    --size_;
    --end_;
    --end_place_;
    if (begin_ + size_ > (blocks_.size() - 1) * kBlockValues) return;
    spare_ = std::move(blocks_.back());
    blocks_.pop_back();
    end_at(blocks_.empty() ? 0 : kBlockValues);
  }

 private:
  [[nodiscard]] const T& at(std::size_t i) const {
    if (const std::size_t from_end = size_ - i; from_end <= end_place_) {
      return *(end_ - static_cast<std::ptrdiff_t>(from_end));
    }
    const std::size_t place = begin_ + i;
    return blocks_[place / kBlockValues][place % kBlockValues];
  }
  void end_at(std::size_t place) {
    end_ = blocks_.empty() ? nullptr : blocks_.back().data() + place;
    end_place_ = place;
  }

  // Invariant: the last block holds at least one value or is the block that begin_ points into.
  Ring<std::vector<T>> blocks_;  // each of kBlockValues
  std::vector<T> spare_;         // the same, or empty
  std::size_t begin_ = 0;  // of the first value, in the first block
  std::size_t size_ = 0;
  // Where the next value goes, unless the last block is full, and that place's number in the block (0
  // without a block). At hand, since most that is asked of one index among thousands is its end.
  T* end_ = nullptr;
  std::size_t end_place_ = 0;
};

}  // namespace sluice::segments
