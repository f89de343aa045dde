#include "tools/sizes.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>

namespace sluice::tools {
namespace {

struct Unit {
  const char* name;
  std::uint64_t count;  // of bytes, or of ns
};
constexpr Unit kUnits[] = {
    {"b", 1},
    {"kib", 1ull << 10},
    {"mib", 1ull << 20},
    {"gib", 1ull << 30},
    {"tib", 1ull << 40},
    {"kb", 1'000},
    {"mb", 1'000'000},
    {"gb", 1'000'000'000},
};

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  const std::optional<std::uint64_t> count = parse_number(text.substr(0, digits));
  if (!count || digits == std::string_view::npos) return count;
  std::string name(text.substr(digits));
  if (name.front() == ' ') name.erase(0, 1);
  for (const Unit& unit : kUnits) {
    if (::strcasecmp(name.c_str(), unit.name) != 0) continue;
    if (*count > std::numeric_limits<std::uint64_t>::max() / unit.count) return {};
    return *count * unit.count;
  }
  return {};
}

std::optional<std::uint64_t> parse_duration(std::string_view text) {
  static constexpr Unit kTimes[] = {{"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1'000}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::uint64_t> count = parse_number(text.substr(0, digits));
  for (const Unit& unit : kTimes) {
    if (!count || text.substr(digits) != unit.name) continue;
    if (*count > 3600 * kTimes[0].count / unit.count) return {};
    return *count * unit.count;
  }
  return {};
}

std::string size_text(std::uint64_t bytes) {
  static constexpr Unit kWritten[] = {
      {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}};
  for (const Unit& unit : kWritten)
    if (bytes != 0 && bytes % unit.count == 0)
      return std::to_string(bytes / unit.count) + unit.name;
  return std::to_string(bytes);
}

}  // namespace sluice::tools
