#include "tools/bench_report.h"

#include <fmt/format.h>

#include "tools/json.h"
#include "tools/sizes.h"

namespace sluice::tools {
namespace {

double ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

/// x: one in how many is slower; y: ms.
std::vector<PlotPoint> latency_curve(const Histogram& latency) {
  std::vector<PlotPoint> curve;
  if (latency.count() == 0) return curve;
  const auto one_in_max = static_cast<double>(latency.count());
  for (double one_in = 1; one_in < one_in_max; one_in *= 1.2589254117941673)  // a tenth of a nine
    curve.push_back({one_in, ms(latency.percentile(1 - 1 / one_in))});
  curve.push_back({one_in_max, ms(latency.max())});
  return curve;
}

Json options_json(const BenchReport& report) {
  Json options;
  options["embedded"] = report.embedded;
  options["client"] = report.in_process ? "in-process" : "network";
  options["nodes"] = report.nodes;
  options["groups"] = report.groups;
  options["shards"] = report.embedded ? Json(report.shards) : Json();
  options["entry_bytes"] = report.entry_bytes;
  options["outstanding"] = report.outstanding;
  options["batch_bytes_max"] = report.batch_bytes_max;
  options["segment_bytes"] = report.embedded ? Json(report.segment_bytes) : Json();
  options["writes_inflight_max"] = report.embedded ? Json(report.writes_inflight_max) : Json();
  options["inflight_bytes_max"] = report.embedded ? Json(report.inflight_bytes_max) : Json();
  options["busy_poll_us"] = report.busy_poll_us;
  options["retain_bytes"] = report.embedded ? Json(report.retain_bytes) : Json();
  options["rate"] = report.rate > 0 ? Json(report.rate) : Json();
  options["seconds"] = report.seconds;
  options["producer"] = report.producers;
  options["fsync"] = report.fsync;
  options["data_dir"] = report.embedded ? Json(report.data_dir) : Json();
  return options;
}

}  // namespace

std::string with_commas(double number) {
  const std::string digits = fmt::format("{:.0f}", number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string durable_text(const std::string& fsync) {
  if (fsync == "always") return "on the stable storage of a majority before the acknowledgement";
  if (fsync == "never")
    return "in the memory of a majority; on stable storage when the operating system likes";
  constexpr std::string_view kPrefix = "interval=";
  return fmt::format("in the memory of a majority; on stable storage at least every {}",
                     fsync.starts_with(kPrefix) ? fsync.substr(kPrefix.size()) : fsync);
}

Json bench_json(const BenchReport& report) {
  const Histogram& latency = report.latency_ns;
  Json json;
  json["mode"] = report.rate > 0 ? "open" : "closed";
  json["entries_per_s"] = report.entries_per_s();
  json["bytes_per_s"] = report.bytes_per_s();
  json["latency_ms"] = {
      {"p50", ms(latency.percentile(0.5))},      {"p90", ms(latency.percentile(0.9))},
      {"p99", ms(latency.percentile(0.99))},     {"p999", ms(latency.percentile(0.999))},
      {"p9999", ms(latency.percentile(0.9999))}, {"max", ms(latency.max())}};
  Json& curve = json["latency_curve"] = Json::array();
  for (const PlotPoint& point : latency_curve(latency))
    curve.push_back({{"share", 1 - 1 / point.x}, {"ms", point.y}});
  json["flushes_per_s"] = report.flushes_per_s;
  json["entries_per_flush"] = report.entries_per_flush;
  json["stages"] = stages_json(report.stages);
  json["cpu_us_per_entry"] = report.cpu_us_per_entry ? Json(*report.cpu_us_per_entry) : Json();
  json["client_cpu_us_per_entry"] = report.client_cpu_us_per_entry;
  json["warm_up"] = report.warm_up;
  json["recycled"] = report.recycled;
  json["durable"] = durable_text(report.fsync);
  json["tmpfs"] = report.tmpfs;
  json["verified"] = report.verified;
  json["verified_entries"] = report.verified_entries;
  json["trimmed_entries"] = report.trimmed;
  json["problem"] = report.problem.empty() ? Json() : Json(report.problem);
  json["entries"] = report.entries;
  json["refused"] = report.refused;
  json["unknown"] = report.unknown;
  json["unsent"] = report.unsent;
  json["measured_s"] = report.measured_s;
  json["options"] = options_json(report);
  return json;
}

std::string bench_table(const BenchReport& report) {
  std::string table;
  const auto row = [&](std::string_view name, const std::string& value) {
    table += fmt::format("  {:<22}{}\n", name, value);
  };
  const Histogram& latency = report.latency_ns;
  table += fmt::format(
      "{} node{}{}, {} group{}, entries of {} bytes, {}, fsync {}, {:.1f} s\n", report.nodes,
      report.nodes == 1 ? "" : "s", report.embedded ? " on this machine" : "", report.groups,
      report.groups == 1 ? "" : "s", report.entry_bytes,
      report.rate > 0 ? fmt::format("open loop of {} entries/s", with_commas(report.rate))
                      : fmt::format("closed loop of {} outstanding", report.outstanding),
      report.fsync, report.measured_s);
  row("entries/s", with_commas(report.entries_per_s()));
  row("payload MB/s", fmt::format("{:.1f}", report.bytes_per_s() / 1e6));
  row("latency p50", fmt::format("{:.3f} ms", ms(latency.percentile(0.5))));
  row("        p90", fmt::format("{:.3f} ms", ms(latency.percentile(0.9))));
  row("        p99", fmt::format("{:.3f} ms", ms(latency.percentile(0.99))));
  row("        p99.9", fmt::format("{:.3f} ms", ms(latency.percentile(0.999))));
  row("        p99.99", fmt::format("{:.3f} ms", ms(latency.percentile(0.9999))));
  row("        max", fmt::format("{:.3f} ms", ms(latency.max())));
  row("flushes/s",
      fmt::format("{} (on the node that leads most groups)", with_commas(report.flushes_per_s)));
  row("entries per flush", fmt::format("{:.1f}", report.entries_per_flush));
  row("CPU per entry", fmt::format("{}, client {:.2f} us",
                                   report.cpu_us_per_entry ? fmt::format("all nodes {:.2f} us",
                                                                         *report.cpu_us_per_entry)
                                                           : std::string("nodes not known"),
                                   report.client_cpu_us_per_entry));
  if (!report.warm_up.empty()) row("warm-up", report.warm_up);
  if (report.refused + report.unknown > 0)
    row("not acknowledged", fmt::format("{} refused, {} unknown", report.refused, report.unknown));
  if (report.unsent > 0)
    row("due but never sent", fmt::format("{}: the rate is above what the cluster takes",
                                          with_commas(static_cast<double>(report.unsent))));
  row("an acknowledgement is", durable_text(report.fsync));
  row("read back", report.verified
                       ? fmt::format("equal on all nodes ({} entries compared{})",
                                     with_commas(static_cast<double>(report.verified_entries)),
                                     report.trimmed == 0
                                         ? ""
                                         : fmt::format("; {} older ones were trimmed meanwhile",
                                                       with_commas(static_cast<double>(
                                                           report.trimmed))))
                       : "NOT equal: " + report.problem);
  table += stages_table(report.stages);
  if (report.tmpfs)
    table +=
        "  WARNING: the data directory is in memory (tmpfs): these figures say nothing about "
        "durable writes\n";
  return table;
}

Plot bench_plot(const BenchReport& report) {
  Plot plot;
  plot.title = "Latency of an append, by percentile";
  plot.subtitle = fmt::format(
      "{} nodes, {} groups, {} bytes, {}, fsync {}: {} entries/s", report.nodes, report.groups,
      report.entry_bytes,
      report.rate > 0 ? fmt::format("open loop of {}/s", with_commas(report.rate))
                      : fmt::format("closed loop of {} outstanding", report.outstanding),
      report.fsync, with_commas(report.entries_per_s()));
  plot.x = {.label = "percentile", .logarithmic = true, .ticks = {{1, "0"}, {2, "50"}}};
  std::string nines = "9";
  for (double one_in = 10; one_in <= static_cast<double>(report.latency_ns.count()); one_in *= 10) {
    const std::string after_point = nines.size() > 2 ? "." + nines.substr(2) : "";
    plot.x.ticks.push_back({one_in, nines.size() == 1 ? "90" : "99" + after_point});
    nines += '9';
  }
  plot.y = {.label = "latency (ms)", .logarithmic = true, .ticks = {}};
  plot.series.push_back({.name = "", .points = latency_curve(report.latency_ns), .markers = false});
  return plot;
}

}  // namespace sluice::tools
