// XXH3-64 (https://github.com/Cyan4973/xxHash), the one checksum of the project: it guards against
// accidents of disks and networks, not against an adversary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "wire/ids.h"

namespace sluice {

/// XXH3-64 with seed 0 over `bytes`.
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes);

/// XXH3-64 over the fixed header at `header`, with the eight bytes at `field_offset` (its own
/// checksum field) taken as zero, followed by `rest`. The bytes themselves are not changed.
/// Preconditions: field_offset + 8 <= header.size() <= 256.
[[nodiscard]] std::uint64_t header_checksum(std::span<const std::byte> header,
                                            std::size_t field_offset,
                                            std::span<const std::byte> rest = {});

/// The cluster's 64-bit id: checksum of its name.
[[nodiscard]] ClusterId cluster_id_of(std::string_view name);

}  // namespace sluice
