// One run of a benchmark: starts a cluster or takes a given one, warms it up, puts it under load,
// reads everything that was acknowledged back, and says what it found.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "tools/bench_cluster.h"
#include "tools/bench_load.h"
#include "tools/bench_local.h"
#include "tools/bench_report.h"
#include "tools/bench_retention.h"
#include "tools/bench_verify.h"
#include "tools/client_loop.h"
#include "tools/errors.h"
#include "tools/progress.h"
#include "tools/status_board.h"
#include "tools/usage.h"

namespace sluice::tools {

/// A signal ended it before it was done. Exit status 1, as for any Failure.
struct Stopped : Failure {
  Stopped() : Failure("stopped by a signal") {}
};

struct BenchSettings {
  /// What is asked for, in the fields of the report that say so.
  BenchReport report;
  /// The cluster to measure; its addresses are empty for one of the run's own.
  ClusterOptions target;
  std::string data_dir;           // where the directories of an own cluster are made; empty: chosen
  bool keep = false;              // leave them behind
  bool pin = false;               // bind the nodes' threads to cores
  bool recycle = true;            // own cluster: warm up until segments were recycled
  double warm_up_s = 1;           // then, load for so long before measuring
  bool quiet = false;             // write nothing to stderr
  std::function<void()> on_turn;  // at least every 100 ms, from within; may be empty
};

/// The checks that need more than one of the settings; throws UsageError. Sets the limits of the
/// client that follow from them.
void check_settings(BenchSettings& settings);

class BenchRun : private client::Events {
 public:
  explicit BenchRun(BenchSettings settings) : settings_(std::move(settings)) {}

  /// Once. Throws Failure, Stopped.
  BenchReport run();

 private:
  struct Snapshot;

  void start_cluster();
  void start_own_node();
  void wait_ready(ClientLoop& loop);
  [[nodiscard]] bool is_ready(const std::vector<client::NodeStatus>& nodes) const;
  void know_nodes();

  // bench_warm_up.cc
  void recycle_segments(ClientLoop& loop);
  [[nodiscard]] bool fill(ClientLoop& loop, std::uint64_t until_ns,
                          const std::function<bool()>& enough);
  void trim(ClientLoop& loop, std::size_t group, Index first);
  void trim_old(ClientLoop& loop, BenchLoad& load);

  void run_load(ClientLoop& loop, BenchLoad& load);
  /// Turns the loop with the load going until `until_ns`, or until `enough` says so (asked a few
  /// times a second), with a line on stderr.
  void drive(ClientLoop& loop, BenchLoad& load, std::uint64_t until_ns, Histogram& latency,
             std::string_view what, const std::function<bool()>& enough = {});
  void show(const Histogram& recent, std::string_view what, double entries_per_s);
  void drain(ClientLoop& loop, BenchLoad& load);
  /// Compares all that `load` got acknowledged. Empty, or what is wrong.
  [[nodiscard]] std::string verify(ClientLoop& loop, const BenchLoad& load, BenchPayload& payload);
  /// The load belongs to one thread: this one, or that of the shard which it moved in with.
  void at_load(const std::function<void()>& what) {
    if (local_) return local_->run(what);
    what();
  }
  /// Also asks the nodes for their counters; the answers come to board_ while the load goes on.
  Snapshot snapshot(ClientLoop& loop, const BenchLoad& load);
  void summarise(const Snapshot& begin, const Snapshot& end, const client::NodeStatus& node_begin,
                 const client::NodeStatus& node_end);
  void turn(ClientLoop& loop);

  /// The time that the handlers of one turn share: read once, when the first of them runs.
  std::uint64_t turn_ns() {
    if (turn_ns_ == 0) turn_ns_ = monotonic_ns();
    return turn_ns_;
  }
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    load_->on_append(tag, outcome, turn_ns());
  }
  void on_read(std::uint64_t tag, const client::ReadOutcome& outcome) override {
    verify_->on_read(tag, outcome, turn_ns());
  }
  void on_status(std::uint64_t tag, const client::NodeStatus& status) override {
    board_.on_status(tag, status);
  }
  void on_trim(std::uint64_t, const client::TrimOutcome&) override { --trims_; }

  BenchSettings settings_;
  BenchReport& report_ = settings_.report;
  std::optional<BenchCluster> cluster_;
  std::unique_ptr<Engine> own_node_;   // --in-process: node 1
  std::optional<BenchLocal> local_;    // and the load in it, while it is measured
  BenchLoad* load_ = nullptr;
  BenchVerify* verify_ = nullptr;
  StatusBoard board_;
  ProgressBar bar_;
  std::vector<NodeId> node_ids_;
  std::size_t main_node_ = 0;                       // position of the node that leads most groups
  std::size_t trims_ = 0;                           // without an answer
  std::optional<BenchRetention> retention_;         // of the load that goes on
  std::vector<std::pair<std::size_t, Index>> to_trim_;
  std::vector<BenchRetention::Older> filled_;       // by the warm-up
  std::uint64_t filled_entry_bytes_ = 1;
  std::uint64_t shown_from_ns_ = 0, shown_ns_ = 0;  // what the progress bar stands for
  std::uint64_t shown_entry_bytes_ = 0;             // of the load that goes on
  std::uint64_t turn_ns_ = 0;
  std::uint64_t checked_ns_ = 0;  // when the processes were looked at last
};

}  // namespace sluice::tools
