// Two reports of `sluice bench --json`, side by side.
#pragma once

#include <string>
#include <vector>

#include "tools/json_fwd.h"


namespace sluice::tools {

struct Difference {
  std::string name;  // "latency p99 ms"
  double before = 0;
  double now = 0;

  /// now / before; 0 if before is 0.
  [[nodiscard]] double ratio() const { return before == 0 ? 0 : now / before; }
};

/// The figures that both reports have, in the order in which they are shown. What one of them lacks
/// (it was made by another version) or holds as null is left out.
[[nodiscard]] std::vector<Difference> differences(const Json& before, const Json& now);

/// "outstanding: 16, now 256" for each option that differs. Where the data lay does not count.
[[nodiscard]] std::vector<std::string> different_options(const Json& before, const Json& now);

/// A table with before, now and ratio, and what to make of it.
[[nodiscard]] std::string compare_table(const Json& before, const Json& now);
/// {"latency p99 ms":{"before":..,"now":..,"ratio":..},...}
[[nodiscard]] Json compare_json(const Json& before, const Json& now);

/// Reads what `sluice bench --json` printed. Throws UsageError that names the file.
[[nodiscard]] Json read_report(const std::string& path);

}  // namespace sluice::tools
