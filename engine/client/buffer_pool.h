// Memory for batches, recycled. Buffers come in classes of 5 KiB, 20 KiB, 80 KiB, ... so that a
// thousand groups with one small entry each do not take a thousand times the largest batch.
//
// No powers of two: a thousand small batches, each at the beginning of a page of its own, would share a
// quarter of a cache's sets and push each other out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sluice::client {

/// One buffer, aligned to 8.
struct Buffer {
  std::unique_ptr<std::byte[]> memory;
  std::size_t size_bytes = 0;
  [[nodiscard]] std::span<std::byte> bytes() const { return {memory.get(), size_bytes}; }
};

class BufferPool {
 public:
  static constexpr std::size_t kSmallestBytes = 5120;

  /// Keeps at most `free_bytes_max` of unused memory.
  explicit BufferPool(std::uint64_t free_bytes_max) : free_bytes_max_(free_bytes_max) {}

  /// A buffer of at least `size_bytes`, of the smallest class that holds it.
  [[nodiscard]] Buffer acquire(std::size_t size_bytes);
  void release(Buffer buffer);

 private:
  static constexpr std::size_t kClasses = 9;  // up to 320 MiB

  std::uint64_t free_bytes_max_;
  std::uint64_t free_bytes_ = 0;
  std::vector<Buffer> free_[kClasses];
};

}  // namespace sluice::client
