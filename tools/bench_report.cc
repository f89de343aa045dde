#include "tools/bench_report.h"

#include <fmt/format.h>

#include "tools/sizes.h"

namespace sluice::tools {
namespace {

double ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

Json options_json(const BenchReport& report) {
  Json options;
  options["embedded"] = report.embedded;
  options["nodes"] = report.nodes;
  options["groups"] = report.groups;
  options["shards"] = report.embedded ? Json(report.shards) : Json();
  options["entry_bytes"] = report.entry_bytes;
  options["outstanding"] = report.outstanding;
  options["batch_bytes_max"] = report.batch_bytes_max;
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
  json["latency_ms"] = {{"p50", ms(latency.percentile(0.5))},
                        {"p90", ms(latency.percentile(0.9))},
                        {"p99", ms(latency.percentile(0.99))},
                        {"p999", ms(latency.percentile(0.999))},
                        {"max", ms(latency.max())}};
  json["flushes_per_s"] = report.flushes_per_s;
  json["entries_per_flush"] = report.entries_per_flush;
  json["cpu_us_per_entry"] = report.cpu_us_per_entry ? Json(*report.cpu_us_per_entry) : Json();
  json["client_cpu_us_per_entry"] = report.client_cpu_us_per_entry;
  json["durable"] = durable_text(report.fsync);
  json["tmpfs"] = report.tmpfs;
  json["verified"] = report.verified;
  json["verified_entries"] = report.verified_entries;
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
  row("        max", fmt::format("{:.3f} ms", ms(latency.max())));
  row("flushes/s",
      fmt::format("{} (on the node that leads most groups)", with_commas(report.flushes_per_s)));
  row("entries per flush", fmt::format("{:.1f}", report.entries_per_flush));
  row("CPU per entry", fmt::format("{}, client {:.2f} us",
                                   report.cpu_us_per_entry ? fmt::format("all nodes {:.2f} us",
                                                                         *report.cpu_us_per_entry)
                                                           : std::string("nodes not known"),
                                   report.client_cpu_us_per_entry));
  if (report.refused + report.unknown > 0)
    row("not acknowledged", fmt::format("{} refused, {} unknown", report.refused, report.unknown));
  if (report.unsent > 0)
    row("due but never sent", fmt::format("{}: the rate is above what the cluster takes",
                                          with_commas(static_cast<double>(report.unsent))));
  row("an acknowledgement is", durable_text(report.fsync));
  row("read back", report.verified
                       ? fmt::format("equal on all nodes ({} entries compared)",
                                     with_commas(static_cast<double>(report.verified_entries)))
                       : "NOT equal: " + report.problem);
  if (report.tmpfs)
    table +=
        "  WARNING: the data directory is in memory (tmpfs): these figures say nothing about "
        "durable writes\n";
  return table;
}

}  // namespace sluice::tools
