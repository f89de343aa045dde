// Runs scenarios in a child process, so that a broken invariant of the engine or a sanitizer's report,
// which end a process, are findings about a scenario like any other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/run_scenario.h"

namespace sluice::sim {

/// One scenario. An end by a signal or by a sanitizer becomes the outcome's violation, with the first
/// line that it wrote.
[[nodiscard]] Outcome run_in_child(const Scenario& scenario, const RunOptions& options);

/// Scenario after scenario, in one child as long as it lives: next() gives them (false: no more),
/// done() hears of each. done() says whether to go on.
void run_many(const std::function<bool(Scenario&)>& next, const RunOptions& options,
              const std::function<bool(const Scenario&, const Outcome&)>& done);

}  // namespace sluice::sim
