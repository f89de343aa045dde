// What the entries of a benchmark hold: told by their number alone, so that they can be checked
// after reading them back without keeping them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace sluice::tools {

/// Entry `number` of a run: the run's id, the number, then bytes that look random. The tail is a
/// window into one random block, which begins at a place that the number chooses: no two windows of
/// neighbours are equal, and making one costs a copy.
class BenchPayload {
 public:
  static constexpr std::size_t kHeaderBytes = 16;

  BenchPayload(std::uint64_t run_id, std::size_t entry_bytes)
      : run_id_(run_id), block_(kStarts + entry_bytes), entry_(entry_bytes) {
    std::uint64_t state = run_id;
    for (std::byte& byte : block_) {
      state = mix(state + 0x9E3779B97F4A7C15);
      byte = static_cast<std::byte>(state >> 56);
    }
  }

  /// The bytes of entry `number`; valid until the next call.
  [[nodiscard]] std::span<const std::byte> entry(std::uint64_t number) {
    std::memcpy(entry_.data(), &run_id_, 8);
    std::memcpy(entry_.data() + 8, &number, 8);
    const std::size_t start = static_cast<std::size_t>(mix(number) % kStarts);
    std::memcpy(entry_.data() + kHeaderBytes, block_.data() + start, entry_.size() - kHeaderBytes);
    return entry_;
  }

  [[nodiscard]] bool matches(std::uint64_t number, std::span<const std::byte> bytes) {
    const std::span<const std::byte> wanted = entry(number);
    return bytes.size() == wanted.size() &&
           std::memcmp(bytes.data(), wanted.data(), bytes.size()) == 0;
  }

 private:
  static constexpr std::size_t kStarts = 16'384;

  /// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
  static constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
  }

  std::uint64_t run_id_;
  std::vector<std::byte> block_;
  std::vector<std::byte> entry_;
};

}  // namespace sluice::tools
