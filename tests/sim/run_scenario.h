// Runs one scenario: builds the cluster, lets the faults happen, mends everything, and sees that the
// cluster comes to rest with everything where it was acknowledged.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/scenario.h"

namespace sluice::sim {

struct RunOptions {
  bool trace = false;
  std::uint64_t events_max = 0;  // 0: as the scenario says
};

struct Outcome {
  std::string violation;  // empty: none
  std::uint64_t events = 0;
  Time simulated = 0;
  std::uint64_t hash = 0;  // of everything that happened
  std::uint64_t entries = 0, acknowledgements = 0, reads = 0, elections = 0;
  std::uint64_t faults = 0;
};

[[nodiscard]] Outcome run_scenario(const Scenario& scenario, const RunOptions& options);

}  // namespace sluice::sim
