#include "segments/names.h"

#include <charconv>

namespace sluice::segments {
namespace {

constexpr std::string_view kSegmentSuffix = ".segment";
constexpr std::string_view kSparePrefix = "spare-";
constexpr std::string_view kUnfinishedSuffix = ".tmp";
constexpr std::size_t kEpochDigits = 16;

std::optional<std::uint64_t> parse_number(std::string_view digits, int base) {
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, value, base);
  if (error != std::errc{} || at != end) return std::nullopt;
  return value;
}

}  // namespace

std::string segment_name(Epoch epoch) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name(kEpochDigits, '0');
  std::uint64_t rest = epoch.value();
  for (std::size_t i = kEpochDigits; i > 0; --i, rest >>= 4) name[i - 1] = kDigits[rest & 15];
  return name.append(kSegmentSuffix);
}

std::string spare_name(std::uint64_t number) {
  return std::string(kSparePrefix) + std::to_string(number);
}

std::string unfinished_spare_name(std::uint64_t number) {
  return spare_name(number).append(kUnfinishedSuffix);
}

std::optional<Epoch> parse_segment_name(std::string_view name) {
  if (name.size() != kEpochDigits + kSegmentSuffix.size()) return std::nullopt;
  const auto number = parse_number(name.substr(0, kEpochDigits), 16);
  if (!number || *number == 0 || segment_name(Epoch(*number)) != name) return std::nullopt;
  return Epoch(*number);
}

std::optional<std::uint64_t> parse_spare_name(std::string_view name) {
  if (!name.starts_with(kSparePrefix)) return std::nullopt;
  const auto number = parse_number(name.substr(kSparePrefix.size()), 10);
  if (!number || spare_name(*number) != name) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> parse_unfinished_spare_name(std::string_view name) {
  if (!name.ends_with(kUnfinishedSuffix)) return std::nullopt;
  return parse_spare_name(name.substr(0, name.size() - kUnfinishedSuffix.size()));
}

}  // namespace sluice::segments
