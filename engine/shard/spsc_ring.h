// A bounded queue between two threads: one pushes, the other pops. No lock, no allocation.
//
// push() and empty() are sequentially consistent, so that "push, then look whether the other side
// sleeps" on one thread and "say that I sleep, then look whether there is something" on the other
// cannot miss each other (mailbox.h).
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/check.h"

namespace sluice::shard {

template <class T>
class SpscRing {
 public:
  /// Room for at least `capacity` items, from 1.
  explicit SpscRing(std::size_t capacity) : slots_(std::bit_ceil(capacity)) {}

  /// The pushing thread. Precondition: fewer than `capacity` items are in the queue.
  void push(T item) {
    const std::uint64_t end = end_.load(std::memory_order_relaxed);
    SLUICE_CHECK(end - begin_.load(std::memory_order_acquire) < slots_.size());
    slots_[end & (slots_.size() - 1)] = item;
    end_.store(end + 1, std::memory_order_seq_cst);
  }

  /// The popping thread.
  [[nodiscard]] bool empty() const {
    return begin_.load(std::memory_order_relaxed) == end_.load(std::memory_order_seq_cst);
  }
  /// Precondition: !empty().
  [[nodiscard]] T front() const {
    return slots_[begin_.load(std::memory_order_relaxed) & (slots_.size() - 1)];
  }
  /// Precondition: !empty().
  void pop() {
    begin_.store(begin_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  std::vector<T> slots_;
  // A cache line for each side.
  alignas(64) std::atomic<std::uint64_t> begin_{0};
  alignas(64) std::atomic<std::uint64_t> end_{0};
};

}  // namespace sluice::shard
