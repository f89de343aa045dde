// From a scenario that fails to a smaller one that fails too: fewer faults (delta debugging, Zeller
// and Hildebrandt 2002), then fewer machines and fewer requests.
#pragma once

#include <functional>

#include "tests/sim/scenario.h"

namespace sluice::sim {

/// `fails(scenario)` runs it. Gives up after `tries_max` runs with what it has.
[[nodiscard]] Scenario shrink(Scenario scenario, unsigned tries_max,
                              const std::function<bool(const Scenario&)>& fails);

}  // namespace sluice::sim
