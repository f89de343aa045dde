// How many bytes of the log are not committed yet (S52).
//
// Kept by every node in every role, not just by a leader: a leader that is elected inherits the
// tail that it took as a follower, and its bound must count it, or the tail would grow by the whole
// bound with each change of leader. What recovery found on disk comes without sizes and counts as
// 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/ids.h"
#include "wire/ring.h"

namespace sluice::raft {

class ByteLedger {
 public:
  [[nodiscard]] std::uint64_t total_bytes() const { return total_bytes_; }

  /// Fetches what the next fact will touch.
  void prefetch() const { batches_.prefetch_ends(); }

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

  Ring<Item> batches_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace sluice::raft
