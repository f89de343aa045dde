// What `sluice tune` found: for people, for `sluice serve`, and as a plot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/disk_probe.h"
#include "tools/json_fwd.h"
#include "tools/svg_plot.h"
#include "tools/tune_search.h"

namespace sluice::tools {

struct TuneReport {
  TuneGoal goal;
  std::uint64_t entry_bytes = 256;
  std::uint32_t nodes = 3;
  double seconds_each = 0;  // measured at each point
  bool complete = false;    // neither stopped nor out of time
  DiskFacts disk;
  std::vector<ProbeResult> probes;
  std::vector<TuneResult> results;  // one for each point
  std::size_t chosen = 0;           // position in `results`
};

/// "p99 at most 5 ms" or "most throughput".
[[nodiscard]] std::string goal_text(const TuneGoal& goal);
/// The goal is met by what was chosen.
[[nodiscard]] bool is_met(const TuneReport& report);

/// Throughput against p99 as characters: `*` what was chosen, `o` points that no other one beats in
/// both, `.` the rest.
[[nodiscard]] std::string curve_text(const TuneReport& report);
/// The curve, a table of the points, and what each policy that is no promise can lose.
[[nodiscard]] std::string tune_text(const TuneReport& report);
[[nodiscard]] Json tune_json(const TuneReport& report);
[[nodiscard]] Plot tune_plot(const TuneReport& report);

/// A file for `--config` of serve and bench, with what was found as comments.
[[nodiscard]] std::string tune_toml(const TuneReport& report);

}  // namespace sluice::tools
