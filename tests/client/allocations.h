// Counts the allocations of the code under test: those of the fake around it are left out.
#pragma once

#include <cstddef>

namespace sluice::client {

/// Allocations since the program started, but those made while a NotCounted exists.
[[nodiscard]] std::size_t allocation_count();

class NotCounted {
 public:
  NotCounted();
  ~NotCounted();
  NotCounted(const NotCounted&) = delete;
  NotCounted& operator=(const NotCounted&) = delete;
};

}  // namespace sluice::client
