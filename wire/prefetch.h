// Asking for memory before it is needed.
#pragma once

#include <cstddef>

namespace sluice {

inline constexpr std::size_t kCacheLineBytes = 64;

/// Fetches every cache line of an object, as far as its size tells.
template <class T>
void prefetch_object(const T& object) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(&object);
  for (std::size_t at = 0; at < sizeof object; at += kCacheLineBytes) __builtin_prefetch(bytes + at);
  __builtin_prefetch(bytes + sizeof object - 1);  // one that does not begin with a line
}

}  // namespace sluice
