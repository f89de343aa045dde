#include "tests/client/allocations.h"

#include <cstdlib>
#include <new>

namespace sluice::client {
namespace {
std::size_t count = 0;
int not_counted = 0;
}  // namespace

std::size_t allocation_count() { return count; }
NotCounted::NotCounted() { ++not_counted; }
NotCounted::~NotCounted() { --not_counted; }

namespace {
void* counted(std::size_t size) {
  if (not_counted == 0) ++count;
  void* const memory = std::malloc(size > 0 ? size : 1);
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace
}  // namespace sluice::client

// The whole set, or the sanitizers see a mismatch.
void* operator new(std::size_t size) { return sluice::client::counted(size); }
void* operator new[](std::size_t size) { return sluice::client::counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
