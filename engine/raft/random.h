// The only randomness of the Raft core: SplitMix64 (Steele, Lea, Flood 2014) from a seed that is
// handed in, so that a run can be repeated exactly.
#pragma once

#include <cstdint>

namespace sluice::raft {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  [[nodiscard]] std::uint64_t next() {
    std::uint64_t mixed = (state_ += 0x9E3779B97F4A7C15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ (mixed >> 31);
  }

  /// A number in [0, bound). The bias of the remainder does not matter for time-outs.
  /// Precondition: bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace sluice::raft
