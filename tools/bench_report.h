// What a benchmark found, as a table for people and as JSON for scripts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/config.h"
#include "tools/histogram.h"
#include "tools/json_fwd.h"
#include "tools/stage_report.h"
#include "tools/svg_plot.h"

namespace sluice::tools {

struct BenchReport {
  // What was asked for.
  bool embedded = true;
  bool in_process = false;  // the client, with the node that leads; else it is one of the network
  std::uint32_t nodes = 3;
  std::uint32_t groups = 1;
  std::uint32_t shards = 1;  // of an embedded cluster
  std::uint64_t entry_bytes = 256;
  std::uint32_t outstanding = 256;
  std::uint64_t batch_bytes_max = 1u << 20;
  std::uint64_t segment_bytes = Config().segment_bytes;              // these three: of the nodes
  std::uint32_t writes_inflight_max = Config().writes_inflight_max;  // of an embedded cluster
  std::uint64_t inflight_bytes_max = Config().inflight_bytes_max;
  std::uint32_t busy_poll_us = Config().busy_poll_us;  // of an embedded cluster and of the client
  std::uint64_t retain_bytes = 256u << 20;  // of an embedded cluster; 0: all
  double rate = 0;  // 0: closed loop
  double seconds = 10;
  bool producers = false;
  std::string fsync = "always";  // asked of an embedded cluster; then as the nodes say it
  std::string data_dir;          // of an embedded cluster
  bool tmpfs = false;

  // What was measured.
  std::string warm_up;    // what was done before, for people
  bool recycled = false;  // the nodes write into segments that they had before
  double measured_s = 0;
  std::uint64_t entries = 0;  // acknowledged in measured_s
  Histogram latency_ns;
  std::uint64_t refused = 0;  // in the whole run
  std::uint64_t unknown = 0;
  std::uint64_t unsent = 0;  // open loop: were due, and the cluster was too far behind to send them
  double flushes_per_s = 0;  // of the node that leads most groups
  double entries_per_flush = 0;
  StageCounts stages;                      // of the same node, while it was measured
  std::optional<double> cpu_us_per_entry;  // all nodes of an embedded cluster
  double client_cpu_us_per_entry = 0;
  bool verified = false;
  std::uint64_t verified_entries = 0;  // compared, over all nodes
  std::uint64_t trimmed = 0;           // acknowledged, and gone by intention before that
  std::string problem;                 // why it is not verified

  [[nodiscard]] double entries_per_s() const {
    return measured_s > 0 ? static_cast<double>(entries) / measured_s : 0;
  }
  [[nodiscard]] double bytes_per_s() const {
    return entries_per_s() * static_cast<double>(entry_bytes);
  }
};

/// What the policy promises of an acknowledged entry, in one phrase.
[[nodiscard]] std::string durable_text(const std::string& fsync);

[[nodiscard]] Json bench_json(const BenchReport& report);
[[nodiscard]] std::string bench_table(const BenchReport& report);
/// The latency of each percentile, on an axis that gives each further nine the same room.
[[nodiscard]] Plot bench_plot(const BenchReport& report);

/// "1,234,567".
[[nodiscard]] std::string with_commas(double number);

}  // namespace sluice::tools
