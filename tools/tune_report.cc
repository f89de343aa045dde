#include "tools/tune_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/bench_report.h"
#include "tools/json.h"
#include "tools/sizes.h"

namespace sluice::tools {
namespace {

constexpr std::size_t kColumns = 64, kRows = 14;

std::string load_text(const TunePoint& point) {
  return fmt::format("{} outstanding", point.outstanding);
}

std::string nodes_text(const TuneReport& report) {
  return fmt::format("{} node{}", report.nodes, report.nodes == 1 ? "" : "s");
}

bool is_front(const std::vector<TuneResult>& front, const TuneResult& one) {
  return std::ranges::any_of(front, [&](const TuneResult& r) { return r.point == one.point; });
}

/// Position on an axis of `cells`.
std::size_t cell(double value, double low, double high, std::size_t cells) {
  if (high <= low) return 0;
  const double share = std::clamp((value - low) / (high - low), 0.0, 1.0);
  return static_cast<std::size_t>(share * static_cast<double>(cells - 1) + 0.5);
}

std::string points_table(const TuneReport& report) {
  std::vector<std::size_t> order(report.results.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, std::greater(),
                    [&](std::size_t i) { return report.results[i].entries_per_s; });
  std::string table =
      fmt::format("  {:>12}{:>10}{:>10}{:>13}{:>10}{:>8}{:>10}  {}\n", "entries/s", "p50 ms",
                  "p99 ms", "outstanding", "batch", "depth", "window", "fsync");
  for (const std::size_t i : order) {
    const TuneResult& one = report.results[i];
    const std::string figures =
        one.entries_per_s > 0 ? fmt::format("{:>12}{:>10.3f}{:>10.3f}",
                                            with_commas(one.entries_per_s), one.p50_ms, one.p99_ms)
                              : fmt::format("{:>32}", "could not be measured");
    table += fmt::format("{} {}{:>13}{:>10}{:>8}{:>10}  {}\n", i == report.chosen ? "*" : " ",
                         figures, one.point.outstanding, size_text(one.point.batch_bytes_max),
                         one.point.writes_inflight_max, size_text(one.point.inflight_bytes_max),
                         one.point.fsync);
  }
  return table;
}

std::string policies_text(const TuneReport& report) {
  std::string text;
  for (const TuneResult& one : report.results)
    if (one.point.fsync != "always")
      text += fmt::format(
          "  --fsync {} is not durable, and never chosen: an acknowledged entry is "
          "{}\n",
          one.point.fsync, durable_text(one.point.fsync));
  return text;
}

}  // namespace

std::string goal_text(const TuneGoal& goal) {
  return goal.p99_ms_max > 0 ? fmt::format("p99 at most {:g} ms, then throughput", goal.p99_ms_max)
                             : "most throughput";
}

bool is_met(const TuneReport& report) {
  return report.goal.p99_ms_max <= 0 ||
         report.results.at(report.chosen).p99_ms <= report.goal.p99_ms_max;
}

std::string curve_text(const TuneReport& report) {
  std::vector<TuneResult> shown;
  for (const TuneResult& one : report.results)
    if (one.point.fsync == "always" && one.entries_per_s > 0) shown.push_back(one);
  if (shown.empty()) return {};
  const auto front = frontier(shown);
  double right = 0, low = 1e300, high = 0;
  for (const TuneResult& one : shown) {
    right = std::max(right, one.entries_per_s);
    low = std::min(low, std::max(one.p99_ms, 1e-3));
    high = std::max(high, std::max(one.p99_ms, 1e-3));
  }
  std::vector<std::string> rows(kRows, std::string(kColumns, ' '));
  const auto put = [&](const TuneResult& one, char mark) {
    const std::size_t x = cell(one.entries_per_s, 0, right, kColumns);
    const double y = std::log(std::max(one.p99_ms, 1e-3));
    rows[kRows - 1 - cell(y, std::log(low), std::log(high), kRows)][x] = mark;
  };
  for (const TuneResult& one : shown)
    if (!is_front(front, one)) put(one, '.');
  for (const TuneResult& one : front) put(one, 'o');
  put(report.results.at(report.chosen), '*');

  std::string text = "  p99 ms (logarithmic)\n";
  for (std::size_t row = 0; row < kRows; ++row) {
    const std::string label = row == 0           ? fmt::format("{:.3g}", high)
                              : row == kRows - 1 ? fmt::format("{:.3g}", low)
                                                 : "";
    std::string line = rows[row];
    line.erase(line.find_last_not_of(' ') + 1);
    text += fmt::format("{:>9} |{}\n", label, line);
  }
  text += fmt::format("{:>9} +{}\n", "", std::string(kColumns, '-'));
  text += fmt::format("{:>11}{:<{}}{:>10} entries/s\n", "0", "", kColumns - 14, with_commas(right));
  text += "  * chosen   o beaten by no other point in both   . the others\n";
  return text;
}

std::string tune_text(const TuneReport& report) {
  const TuneResult& chosen = report.results.at(report.chosen);
  std::string text =
      fmt::format("\n{}\n{}{}", curve_text(report), points_table(report), policies_text(report));
  text += fmt::format(
      "chosen for {}: {} entries/s, p50 {:.3f} ms, p99 {:.3f} ms with {} ({} on this machine, "
      "entries of {} bytes{})\n",
      goal_text(report.goal), with_commas(chosen.entries_per_s), chosen.p50_ms, chosen.p99_ms,
      load_text(chosen.point), nodes_text(report), report.entry_bytes,
      report.complete ? "" : "; the search was cut short");
  if (!is_met(report))
    text += fmt::format(
        "no point keeps p99 at or below {:g} ms: the one that comes closest was chosen\n",
        report.goal.p99_ms_max);
  return text;
}

Json tune_json(const TuneReport& report) {
  const auto result_json = [](const TuneResult& one) {
    Json json = point_json(one.point);
    json["entries_per_s"] = one.entries_per_s;
    json["p50_ms"] = one.p50_ms;
    json["p99_ms"] = one.p99_ms;
    return json;
  };
  Json json;
  json["goal"] = goal_text(report.goal);
  json["met"] = is_met(report);
  json["complete"] = report.complete;
  json["entry_bytes"] = report.entry_bytes;
  json["nodes"] = report.nodes;
  json["disk"] = probe_json(report.disk, report.probes);
  json["chosen"] = result_json(report.results.at(report.chosen));
  Json& points = json["points"] = Json::array();
  for (const TuneResult& one : report.results) points.push_back(result_json(one));
  return json;
}

Plot tune_plot(const TuneReport& report) {
  const TuneResult& chosen = report.results.at(report.chosen);
  Plot plot;
  plot.title = "Throughput against p99";
  plot.subtitle = fmt::format("{} on one machine, entries of {} bytes; chosen for {}",
                              nodes_text(report), report.entry_bytes, goal_text(report.goal));
  plot.x = {.label = "entries/s", .logarithmic = false, .ticks = {}};
  plot.y = {.label = "p99 (ms)", .logarithmic = true, .ticks = {}};
  PlotSeries front{.name = "beaten by no other point in both", .points = {}};
  for (const TuneResult& one : frontier(report.results))
    front.points.push_back({one.entries_per_s, one.p99_ms});
  PlotSeries durable{.name = "measured, fsync always", .points = {}, .line = false};
  PlotSeries others{.name = "other fsync policies (can lose data)", .points = {}, .line = false};
  for (const TuneResult& one : report.results) {
    if (one.entries_per_s <= 0) continue;
    PlotSeries& series = one.point.fsync == "always" ? durable : others;
    series.points.push_back({one.entries_per_s, one.p99_ms});
  }
  plot.series = {front, durable};
  if (!others.points.empty()) plot.series.push_back(others);
  plot.marks.push_back({{chosen.entries_per_s, chosen.p99_ms}, "chosen"});
  return plot;
}

std::string tune_toml(const TuneReport& report) {
  const TuneResult& chosen = report.results.at(report.chosen);
  const TunePoint& point = chosen.point;
  std::string text = fmt::format(
      "# Made by `sluice tune` for {}{}.\n"
      "# Measured here: {} entries/s, p50 {:.3f} ms, p99 {:.3f} ms, {} on one machine,\n"
      "# entries of {} bytes, closed loop of {}, {:.1f} s at each point.\n"
      "# Disk: {}{}; {}.\n"
      "#\n"
      "# sluice serve --config FILE and sluice bench --config FILE take it as it is. What is a "
      "node's\n"
      "# own (node_id, cluster_id, data_dir, listen, peers) stands on the command line, or in a "
      "table\n"
      "# [serve] at the end of this file.\n\n",
      goal_text(report.goal), report.complete ? "" : " (the search was cut short)",
      with_commas(chosen.entries_per_s), chosen.p50_ms, chosen.p99_ms, nodes_text(report),
      report.entry_bytes, load_text(point), report.seconds_each, report.disk.filesystem,
      report.disk.device.empty() ? "" : " on " + report.disk.device, cache_promise(report.disk));
  text += fmt::format(
      "# An append is acknowledged when it is on the stable storage of a majority. The other\n"
      "# policies are faster and can lose what was acknowledged (sluice serve --help).\n"
      "fsync = \"{}\"\n\n",
      point.fsync);
  text += fmt::format(
      "# Largest batch, and so largest entry. The same on all nodes.\nbatch_bytes_max = \"{}\"\n\n",
      size_text(point.batch_bytes_max));
  text += fmt::format(
      "# Group commits on their way to the disk at once, per thread.\nwrites_inflight_max = {}\n\n",
      point.writes_inflight_max);
  text += fmt::format(
      "# Bytes sent to a follower without its answer, per group.\ninflight_bytes_max = \"{}\"\n\n",
      size_text(point.inflight_bytes_max));
  text += fmt::format(
      "# The load at which this was measured, for `sluice bench` alone.\n"
      "[bench]\nentry_bytes = {}\noutstanding = {}\nnodes = {}\n",
      report.entry_bytes, point.outstanding, report.nodes);
  return text;
}

}  // namespace sluice::tools
