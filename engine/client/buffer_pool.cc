#include "engine/client/buffer_pool.h"

#include <utility>

#include "wire/check.h"

namespace sluice::client {
namespace {

constexpr std::size_t class_bytes(std::size_t smallest, std::size_t index) {
  return smallest << (2 * index);
}

}  // namespace

Buffer BufferPool::acquire(std::size_t size_bytes) {
  std::size_t index = 0;
  while (class_bytes(kSmallestBytes, index) < size_bytes) ++index;
  SLUICE_CHECK(index < kClasses);
  if (free_[index].empty()) {
    const std::size_t bytes = class_bytes(kSmallestBytes, index);
    return {std::unique_ptr<std::byte[]>(new std::byte[bytes]), bytes};
  }
  Buffer buffer = std::move(free_[index].back());
  free_[index].pop_back();
  free_bytes_ -= buffer.size_bytes;
  return buffer;
}

void BufferPool::release(Buffer buffer) {
  if (free_bytes_ + buffer.size_bytes > free_bytes_max_) return;
  std::size_t index = 0;
  while (class_bytes(kSmallestBytes, index) < buffer.size_bytes) ++index;
  free_bytes_ += buffer.size_bytes;
  free_[index].push_back(std::move(buffer));
}

}  // namespace sluice::client
