// What goes over the wires: batches one way, positions the other.
//
// A batch is a header and `entries` times a 32-bit length with the bytes of one entry. The same
// bytes lie in memory, on the wires and on the disks.
#pragma once

#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // as in wire/checksum.cc
#endif

#include <cstddef>
#include <cstdint>

namespace sluice::floor {

struct BatchHeader {
  static constexpr std::uint32_t kMagic = 0x524c4f46;  // "FLOR"

  std::uint32_t magic;
  std::uint32_t payload_bytes;   // after this header
  std::uint64_t first_sequence;  // entries are numbered from 0 without gaps
  std::uint64_t checksum;        // XXH3-64 of the payload, with first_sequence as the seed
  std::uint32_t entries;
  std::uint32_t reserved;
};
static_assert(sizeof(BatchHeader) == 32);

/// What a follower answers: all entries below `sequence` are on its stable storage.
struct Ack {
  std::uint64_t sequence;
};

using EntryLength = std::uint32_t;

inline std::uint64_t payload_checksum(const std::byte* payload, std::size_t size_bytes,
                                      std::uint64_t first_sequence) {
  return XXH3_64bits_withSeed(payload, size_bytes, first_sequence);
}

}  // namespace sluice::floor
