// The load of a peer's driver: which entries may leave now, what each took, and what the processors
// did meanwhile. The driver speaks the peer's protocol, and names each entry in flight by its slot.
#pragma once

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/histogram.h"

namespace sluice::peers {

struct LoadOptions {
  std::uint32_t entry_bytes = 256;
  /// Closed loop: entries without an answer at any time. Open loop: the most there may be.
  std::uint32_t outstanding = 256;
  /// Logs of the peer that the entries go to in turn.
  std::uint32_t groups = 1;
  /// Entries per second of the open loop; 0: closed loop.
  double rate = 0;
  double seconds = 5;
  double warmup_seconds = 1;
  /// The peer's processes, one a node.
  std::vector<pid_t> server_pids;
};

/// The options that all drivers share.
void declare(CLI::App& app, LoadOptions& options);

class Load {
 public:
  explicit Load(const LoadOptions& options);

  /// The warm-up begins.
  void start();
  /// Call in each turn. False when all is measured and answered.
  bool go_on(std::uint64_t now_ns);
  /// Whether one more entry may leave.
  [[nodiscard]] bool may_begin(std::uint64_t now_ns) const;
  /// The entry that leaves: below slots().
  std::uint32_t begin(std::uint64_t now_ns);
  void complete(std::uint32_t slot, std::uint64_t now_ns);
  /// Time until an entry is due or the phase changes.
  [[nodiscard]] std::uint64_t wait_ns(std::uint64_t now_ns) const;
  [[nodiscard]] int wait_ms(std::uint64_t now_ns) const;

  [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(started_.size()); }
  /// The log of the entry that leaves next.
  [[nodiscard]] std::uint32_t next_group() const {
    return static_cast<std::uint32_t>(begun_ % options_.groups);
  }
  [[nodiscard]] const LoadOptions& options() const { return options_; }
  /// The leader's position among the processes, if the driver knows it.
  void set_leader(std::size_t leader) { leader_ = static_cast<int>(leader); }
  /// That the generator is one of the servers.
  void set_in_process() { in_process_ = true; }
  [[nodiscard]] nlohmann::ordered_json report() const;

 private:
  struct Snapshot {
    std::uint64_t at_ns = 0;
    std::uint64_t completed = 0;
    std::uint64_t own_cpu_ns = 0;
    std::uint64_t machine_busy_ns = 0;
    std::vector<std::uint64_t> server_cpu_ns;
  };
  enum class Phase { kWarmUp, kMeasuring, kDraining };

  [[nodiscard]] Snapshot snapshot(std::uint64_t now_ns) const;
  [[nodiscard]] std::uint64_t due_ns(std::uint64_t entry) const;

  LoadOptions options_;
  Phase phase_ = Phase::kWarmUp;
  std::uint64_t start_ns_ = 0, measure_ns_ = 0, stop_ns_ = 0;
  std::vector<std::uint64_t> started_;  // by slot: when it began, or was due
  std::vector<std::uint32_t> free_;
  std::uint64_t begun_ = 0, completed_ = 0, unsent_ = 0;
  bool gave_up_ = false;
  int leader_ = -1;
  bool in_process_ = false;
  Snapshot begin_, end_;
  std::vector<std::uint64_t> rss_bytes_;
  tools::Histogram latency_ns_;
};

/// What a driver's main() does around its work: parses, runs, prints the JSON or the error.
template <typename Work>
int run_driver(CLI::App& app, int argc, char** argv, Work&& work) {
  CLI11_PARSE(app, argc, argv);
  try {
    const std::string text = work().dump() + "\n";
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}

}  // namespace sluice::peers
