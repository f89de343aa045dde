// The simulator's only source of chance: xoshiro256** (Blackman and Vigna, 2018), seeded by
// splitmix64. Integers only, so that every compiler draws the same.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "wire/check.h"

namespace sluice::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9E3779B97F4A7C15;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
      word = z ^ (z >> 31);
    }
  }
  /// A generator of its own for one part of the world: what that part draws does not shift what the
  /// others draw.
  Random(std::uint64_t seed, std::string_view part, std::uint64_t number = 0)
      : Random(seed ^ hash(part) ^ (number * 0xD1B54A32D192ED03)) {}

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// In [0, n). Precondition: n > 0.
  std::uint64_t below(std::uint64_t n) {
    SLUICE_CHECK(n > 0);
    return next() % n;  // the bias is far below anything that a test could see
  }
  /// In [first, last].
  std::uint64_t between(std::uint64_t first, std::uint64_t last) {
    return first + below(last - first + 1);
  }
  /// True `per_million` times in a million.
  bool chance(std::uint64_t per_million) {
    if (per_million == 0) return false;
    return below(1'000'000) < per_million;
  }
  bool coin() { return (next() & 1) != 0; }
  template <class T, std::size_t N>
  const T& pick(const T (&choices)[N]) {
    return choices[below(N)];
  }
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  static constexpr std::uint64_t hash(std::string_view text) {  // FNV-1a
    std::uint64_t h = 0xCBF29CE484222325;
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3;
    return h;
  }
  std::uint64_t state_[4];
};

}  // namespace sluice::sim
