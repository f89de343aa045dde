// The names of the files in a shard's directory. Every other name is somebody else's and is never
// touched (S41).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/ids.h"

namespace sluice::segments {

/// "000000000000002a.segment" for epoch 42.
[[nodiscard]] std::string segment_name(Epoch epoch);
/// "spare-7": whole, ready to be given an epoch. "spare-7.tmp": not whole yet.
[[nodiscard]] std::string spare_name(std::uint64_t number);
[[nodiscard]] std::string unfinished_spare_name(std::uint64_t number);

/// What a name says, if it is exactly as the functions above would write it.
[[nodiscard]] std::optional<Epoch> parse_segment_name(std::string_view name);
[[nodiscard]] std::optional<std::uint64_t> parse_spare_name(std::string_view name);
[[nodiscard]] std::optional<std::uint64_t> parse_unfinished_spare_name(std::string_view name);

}  // namespace sluice::segments
