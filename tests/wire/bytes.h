// Bytes for tests: hex literals that a reader can lay beside wire/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

/// Aligned to 16 by the default allocator, and exactly as long as it says: what reads one byte too
/// far is seen by the address sanitizer.
using Bytes = std::vector<std::byte>;

inline int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// Two digits a byte; blanks and line ends between them are ignored.
inline Bytes from_hex(std::string_view text) {
  Bytes bytes;
  int high = -1;
  for (const char c : text) {
    const int digit = hex_digit(c);
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::byte>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

/// Lines of 16 bytes in groups of 8, as in the README.
inline std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto value = std::to_integer<unsigned>(bytes[i]);
    text += "0123456789abcdef"[value / 16];
    text += "0123456789abcdef"[value % 16];
    text += (i % 16 == 15) ? "\n" : (i % 8 == 7) ? "  " : " ";
  }
  return text;
}

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Bytes first(std::span<const std::byte> bytes, std::size_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// Overwrites the bytes at `offset` with a little-endian number.
template <class Number>
void put(std::span<std::byte> bytes, std::size_t offset, Number value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

/// The same numbers for the same seed on every machine (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
  std::byte byte() { return static_cast<std::byte>(next() & 0xFF); }

 private:
  std::uint64_t state_;
};

}  // namespace sluice::test
