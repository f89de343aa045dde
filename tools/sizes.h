// Numbers and sizes as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::tools {

/// A whole number without sign: "1000". Nothing else may stand beside it.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

/// A number of bytes: "65536", "64KiB", "1MiB", "2GiB" (powers of two), "64kB", "1MB", "2GB"
/// (powers of ten), also "512B". Case does not matter, and a space may stand before the unit.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// A duration in ns: "500us", "10ms", "2s"; whole numbers, at most an hour.
[[nodiscard]] std::optional<std::uint64_t> parse_duration(std::string_view text);

/// The shortest exact way to write a size: "64KiB", "1MiB", "1000".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace sluice::tools
