// Reads chunks back: the other half of chunk_builder.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "segments/record.h"
#include "segments/recovery.h"
#include "segments/segment_log.h"

namespace sluice::segments {

/// A segment file in memory.
struct SegmentBytes {
  Epoch epoch;
  std::span<const std::byte> bytes;
};

/// The header at `offset`, if a whole chunk of this segment begins there: magic, version, identity,
/// place and size are right and so is the checksum over header and descriptors.
[[nodiscard]] std::optional<FoundChunk> find_chunk(const Options& options,
                                                   const SegmentBytes& segment,
                                                   std::uint64_t offset);

/// Whether something at `offset` claims to be a chunk of this segment, right or not.
[[nodiscard]] bool claims_chunk(const Options& options, const SegmentBytes& segment,
                                std::uint64_t offset);

/// Whether the records fill the chunk as its descriptors say, each is right, and the padding is
/// zero.
[[nodiscard]] bool records_are_right(const Options& options, const SegmentBytes& segment,
                                     const FoundChunk& chunk);

/// Record `i` of a chunk whose records are right.
[[nodiscard]] Record record_at(const SegmentBytes& segment, const FoundChunk& chunk,
                               std::uint32_t i);

}  // namespace sluice::segments
