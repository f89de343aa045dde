#include "wire/checksum.h"

#define XXH_STATIC_LINKING_ONLY  // XXH3_state_t on the stack
#include <xxhash.h>
#if defined(__x86_64__)
// The library's choice by what the processor has, at run time: Debian's is built for SSE2, and AVX2
// hashes a batch in half the time.
#include <xxh_x86dispatch.h>
#endif

#include <array>
#include <cstring>

#include "wire/check.h"

namespace sluice {
namespace {

constexpr std::size_t kHeaderBytesMax = 256;
// Up to here header and rest are hashed from one copy: cheaper than XXH3's streaming state.
constexpr std::size_t kCopyBytesMax = 1024;

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t header_checksum(std::span<const std::byte> header, std::size_t field_offset,
                              std::span<const std::byte> rest) {
  SLUICE_CHECK(header.size() <= kHeaderBytesMax);
  SLUICE_CHECK(field_offset + sizeof(std::uint64_t) <= header.size());

  std::array<std::byte, kCopyBytesMax> copy;
  std::memcpy(copy.data(), header.data(), header.size());
  std::memset(copy.data() + field_offset, 0, sizeof(std::uint64_t));

  if (header.size() + rest.size() <= copy.size()) {
    if (!rest.empty()) std::memcpy(copy.data() + header.size(), rest.data(), rest.size());
    return XXH3_64bits(copy.data(), header.size() + rest.size());
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, copy.data(), header.size());
  XXH3_64bits_update(&state, rest.data(), rest.size());
  return XXH3_64bits_digest(&state);
}

ClusterId cluster_id_of(std::string_view name) {
  return ClusterId(checksum(std::as_bytes(std::span(name.data(), name.size()))));
}

}  // namespace sluice
