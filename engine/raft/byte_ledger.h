// How many bytes of the log are not committed yet (S52).
//
// Kept by every node in every role, not just by a leader: a leader that is elected inherits the
// tail that it took as a follower, and its bound must count it, or the tail would grow by the whole
// bound with each change of leader. What recovery found on disk comes without sizes and counts as
// 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/ids.h"

namespace sluice::raft {

class ByteLedger {
 public:
  [[nodiscard]] std::uint64_t total_bytes() const { return total_bytes_; }

  /// Fetches what the next fact will touch.
  void prefetch() const {
    if (ring_.empty()) return;
    __builtin_prefetch(&ring_[head_]);
    __builtin_prefetch(&ring_[(head_ + count_) & (ring_.size() - 1)]);
  }

  /// A batch that ends at `last_index` was appended. Precondition: last_index rises.
  void add(Index last_index, std::uint64_t size_bytes);
  /// Everything up to `index` is committed.
  void commit(Index index);
  /// Everything from `from` on was dropped.
  void truncate_from(Index from);

 private:
  struct Item {
    Index last_index;
    std::uint64_t size_bytes = 0;
  };
  [[nodiscard]] Item& at(std::size_t position) {
    return ring_[(head_ + position) & (ring_.size() - 1)];
  }
  void grow();

  std::vector<Item> ring_;  // capacity a power of two; doubles rarely and never shrinks
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace sluice::raft
