// A queue over a power-of-two buffer that grows and keeps its memory: no allocation once it has
// reached its working size (std::deque allocates and frees blocks as it moves along).
#pragma once

#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

#include "wire/check.h"

namespace sluice {

template <class T>
class Ring {
 public:
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t size() const { return count_; }

  /// Memory for `count` elements at once.
  void reserve(std::size_t count) {
    if (count > slots_.size()) resize(std::bit_ceil(count));
  }

  [[nodiscard]] T& operator[](std::size_t i) { return slots_[(head_ + i) & (slots_.size() - 1)]; }
  [[nodiscard]] const T& operator[](std::size_t i) const {
    return slots_[(head_ + i) & (slots_.size() - 1)];
  }
  [[nodiscard]] T& front() { return (*this)[0]; }
  [[nodiscard]] T& back() { return (*this)[count_ - 1]; }
  [[nodiscard]] const T& front() const { return (*this)[0]; }
  [[nodiscard]] const T& back() const { return (*this)[count_ - 1]; }

  /// Fetches the first element, and the place behind the last.
  void prefetch_ends() const {
    if (slots_.empty()) return;
    __builtin_prefetch(&slots_[head_]);
    __builtin_prefetch(&slots_[(head_ + count_) & (slots_.size() - 1)]);
  }

  void push_back(T value) {
    if (count_ == slots_.size()) resize(slots_.empty() ? 8 : 2 * slots_.size());
    slots_[(head_ + count_) & (slots_.size() - 1)] = std::move(value);
    ++count_;
  }
  void pop_front() {
    SLUICE_CHECK(count_ > 0);
    slots_[head_] = T{};
    --count_;
    // Thousands of rings with little in them use the front of their buffers, not all of them in turn.
    head_ = count_ == 0 ? 0 : (head_ + 1) & (slots_.size() - 1);
  }
  void pop_back() {
    SLUICE_CHECK(count_ > 0);
    back() = T{};
    if (--count_ == 0) head_ = 0;
  }
  void clear() {
    while (count_ > 0) pop_back();
    head_ = 0;
  }

 private:
  void resize(std::size_t slots) {
    std::vector<T> larger(slots);
    for (std::size_t i = 0; i < count_; ++i) larger[i] = std::move((*this)[i]);
    slots_ = std::move(larger);
    head_ = 0;
  }

  std::vector<T> slots_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace sluice
