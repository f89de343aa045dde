// The first block of a segment file: whose it is, which epoch, and where the process that wrote it
// took up the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "segments/chunk_builder.h"
#include "segments/record.h"
#include "segments/segment_log.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice::segments {

inline constexpr std::uint32_t kSegmentMagic = 0x53554C53;  // "SLUS"
inline constexpr std::uint8_t kSegmentVersion = 1;

/// Fills `block` (kBlockBytes).
void write_segment_header(std::span<std::byte> block, const Options& options, Epoch epoch,
                          const StreamBase& base);

/// Checks the header of the file `file`, whose name says `epoch`.
/// Errors  kTruncated, kBadMagic, kBadVersion, kBadChecksum, kBadContent (rest of the block is not
///         zero), kWrongIdentity (another directory, cluster or shard), kDamaged (another epoch
///         than the name says), kBadSize (the file is not as long as it was made).
[[nodiscard]] Result<StreamBase> read_segment_header(std::span<const std::byte> file,
                                                     const Options& options, Epoch epoch);

}  // namespace sluice::segments
