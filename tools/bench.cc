// sluice bench: measures a cluster, its own or a given one, and checks that what was acknowledged
// is there.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "tools/bench_compare.h"
#include "tools/bench_run.h"
#include "tools/command.h"
#include "tools/json.h"
#include "tools/node_options.h"

namespace sluice::tools {
namespace {

class Bench : public Command {
 public:
  const char* name() const override { return "bench"; }
  const char* summary() const override {
    return "Measures a cluster: without --cluster one of its own, in processes on this machine "
           "with "
           "real sockets and directories on disk. Afterwards reads everything that was "
           "acknowledged back from every node and compares it; exit status 1 if that fails.";
  }
  void declare(OptionSet& options) override;
  int run(const OptionSet& options) override;

 private:
  void declare_cluster(OptionSet& options);
  void declare_load(OptionSet& options);
  void print(const BenchReport& report, const Json& before) const;

  BenchSettings settings_;
  BenchReport& asked_ = settings_.report;
  bool json_ = false;
  bool recycle_ = false;
  std::string plot_;
  std::string compare_;
};

void Bench::declare(OptionSet& options) {
  declare_cluster(options);
  declare_load(options);
  options.flag("json", json_, "print one JSON object instead of the table");
  options.text("plot", plot_, "FILE.svg", "also draw the latency of each percentile");
  options.text("compare", compare_, "OLD.json",
               "also show the figures of an earlier run (what --json printed) beside this one's");
}

void Bench::declare_cluster(OptionSet& options) {
  options.list("cluster", settings_.target.cluster, "HOST:PORT,...",
               "every node of the cluster to measure, since all are read and each may lead; "
               "without it, bench starts one of its own");
  options.text("cluster-id", settings_.target.cluster_id, "NAME",
               "refuse nodes of any cluster but this one");
  options.number("nodes", asked_.nodes, {1, 7}, "size of the cluster that bench starts");
  options.number("groups", asked_.groups, {1, 65'536}, "logs that the entries are spread over");
  options.number("shards", asked_.shards, {1, 64}, "threads of each node that bench starts");
  options.text("fsync", asked_.fsync, "POLICY", fsync_help());
  options.text("data-dir", settings_.data_dir, "DIR",
               "where the directories of the nodes are made, on the disk that is to be measured "
               "(default: /var/tmp, or the current directory); removed at the end");
  options.size("batch-bytes-max", asked_.batch_bytes_max, {4096, 16u << 20},
               "largest batch, of the client and of the nodes that bench starts");
  options.size("segment-bytes", asked_.segment_bytes, {1u << 20, 2ull << 30},
               "size of a segment file of the nodes that bench starts");
  options.number("writes-inflight-max", asked_.writes_inflight_max, {1, 16},
                 "group commits on their way to the disk at once, of the nodes that bench starts");
  options.size("inflight-bytes-max", asked_.inflight_bytes_max, {1u << 16, 1ull << 40},
               "bytes sent to a follower without its answer, of the nodes that bench starts");
  options.number("busy-poll-us", asked_.busy_poll_us, {0, 1'000},
                 "how long a busy thread, of the nodes that bench starts and of the client, looks for "
                 "work before it sleeps, in microseconds; 0: it sleeps at once");
  options.size("retain", asked_.retain_bytes, {0, 1ull << 50},
               "newest entries that the cluster that bench starts keeps: older ones are trimmed while "
               "the load goes on, as a log with a retention lives; 0: all of them");
  options.flag("in-process", asked_.in_process,
               "run the first node and the load in this process, on one thread, as a program does "
               "that embeds a node; that node has to lead every group");
  options.flag("keep", settings_.keep, "leave the directories of the nodes behind");
}

void Bench::declare_load(OptionSet& options) {
  options.size("entry-bytes", asked_.entry_bytes, {BenchPayload::kHeaderBytes, 15u << 20},
               "size of an entry");
  options.number("outstanding", asked_.outstanding, {1, 1'000'000},
                 "entries without an answer at any time; with --rate the most there may be, by "
                 "default 65536");
  options.real("rate", asked_.rate, 1e8,
               "open loop: so many entries per second, with the latency counted from the moment "
               "an entry was due; 0: closed loop");
  options.real("seconds", asked_.seconds, 86'400, "how long to measure");
  options.real("warmup-seconds", settings_.warm_up_s, 3600,
               "load before measuring. If it is not given, the nodes that bench starts are first "
               "filled until they write into segments that they had before, for 30 s at most");
  options.flag("recycle", recycle_, "fill first although --warmup-seconds is given");
  options.flag("producer", asked_.producers,
               "number the entries as producers do, so that each lands once whatever happens");
}

int Bench::run(const OptionSet& options) {
  asked_.embedded = !options.given("cluster");
  settings_.recycle = recycle_ || !options.given("warmup-seconds");
  // Several nodes share the cores of this machine: the scheduler places them better than pinning.
  settings_.pin = asked_.nodes == 1 && options.given("shards");
  if (asked_.rate > 0 && !options.given("outstanding")) asked_.outstanding = 0;
  check_settings(settings_);
  const Json before = compare_.empty() ? Json() : read_report(compare_);

  const BenchReport report = BenchRun(std::move(settings_)).run();
  print(report, before);
  if (!plot_.empty()) write_text_file(plot_, svg_of(bench_plot(report)));
  return report.verified ? kExitOk : kExitFailure;
}

void Bench::print(const BenchReport& report, const Json& before) const {
  const Json now = bench_json(report);
  if (json_) {
    Json shown = now;
    if (!before.is_null()) shown["compared"] = compare_json(before, now);
    fmt::print("{}\n", shown.dump());
    return;
  }
  fmt::print("{}", bench_table(report));
  if (!before.is_null()) fmt::print("\n{}", compare_table(before, now));
}

}  // namespace

std::unique_ptr<Command> make_bench_command() { return std::make_unique<Bench>(); }

}  // namespace sluice::tools
