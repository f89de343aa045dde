// Records: what a chunk carries. A batch is the log itself; the others are this node's own state,
// which rides in the same stream so that one write makes everything durable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "segments/format_generated.h"
#include "wire/batch.h"
#include "wire/ids.h"

namespace sluice::segments {

enum class RecordKind : std::uint8_t {
  kBatch = 1,      // a sealed batch, verbatim
  kHardState = 2,  // HardStateRecord: the newest of a group counts
  kTrim = 3,       // TrimRecord: the group's log begins after it
  kProducers = 4,  // snapshot of a group's producer sessions, opaque here
};

/// Where a record lies.
struct Location {
  ChunkSeq seq;
  Epoch epoch;
  std::uint32_t offset = 0;      // of the record's first byte, in the segment file
  std::uint32_t size_bytes = 0;
};

struct TrimPoint {
  Index prev_index;
  Term prev_term;
  std::uint64_t prev_checksum = 0;
  bool operator==(const TrimPoint&) const = default;
};

/// A record of a valid chunk, found by a scan. `bytes` lie in the scanned memory.
struct Record {
  RecordKind kind{};
  GroupId group;
  Location location;
  std::span<const std::byte> bytes;
};

}  // namespace sluice::segments
