// sluice bench: measures a cluster, its own or a given one, and checks that what was acknowledged
// is there.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tools/bench_cluster.h"
#include "tools/bench_load.h"
#include "tools/bench_report.h"
#include "tools/bench_verify.h"
#include "tools/client_loop.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/node_options.h"
#include "tools/sizes.h"
#include "tools/status_board.h"
#include "tools/stop_signal.h"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kReadyNs = 60 * kSecondNs;
constexpr std::uint32_t kOpenLoopOutstanding = 65'536;
/// Data of entries without an answer: they are all in memory, here and on the nodes.
constexpr std::uint64_t kOutstandingBytesMax = 4ull << 30;
/// Above what the client counts for an entry in a batch of its own.
constexpr std::uint64_t kEntryOverheadBytes = 8u << 10;

std::uint64_t own_cpu_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * kSecondNs +
           static_cast<std::uint64_t>(time.tv_usec) * 1000;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

/// Counters at one moment; the difference of two is what was used in between.
struct Snapshot {
  std::uint64_t at_ns = 0;
  std::uint64_t nodes_cpu_ns = 0;
  std::uint64_t client_cpu_ns = 0;
  std::uint64_t acknowledged = 0;
};

class Bench : public Command, private client::Events {
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
  /// Throws UsageError. Sets what follows from several options.
  void check(const OptionSet& options);
  void start_cluster(const OptionSet& options);
  void wait_ready(ClientLoop& loop);
  [[nodiscard]] bool is_ready(const std::vector<client::NodeStatus>& nodes) const;
  void run_load(ClientLoop& loop, BenchLoad& load);
  /// Turns the loop with the load going until `until_ns`, with a line each second.
  void drive(ClientLoop& loop, BenchLoad& load, std::uint64_t until_ns, Histogram& latency,
             bool warm_up);
  void drain(ClientLoop& loop, BenchLoad& load);
  void verify(ClientLoop& loop, const BenchLoad& load);
  /// Also asks the nodes for their counters; the answers come to board_ while the load goes on.
  Snapshot snapshot(ClientLoop& loop, const BenchLoad& load);
  void summarise(const Snapshot& begin, const Snapshot& end, const client::NodeStatus& node_begin,
                 const client::NodeStatus& node_end);
  void check_running(ClientLoop& loop);

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

  // Options.
  ClusterOptions target_;
  std::uint32_t nodes_ = 3;
  std::uint32_t shards_ = 1;
  std::string fsync_ = "always";
  std::string data_dir_;
  std::uint64_t segment_bytes_ = Config().segment_bytes;
  bool keep_ = false;
  double warm_up_s_ = 1;
  bool json_ = false;
  BenchReport report_;

  std::optional<BenchCluster> cluster_;
  BenchLoad* load_ = nullptr;
  BenchVerify* verify_ = nullptr;
  std::unique_ptr<BenchPayload> payload_;
  StatusBoard board_;
  std::vector<NodeId> node_ids_;
  std::size_t main_node_ = 0;  // position of the node that leads most groups
  std::uint64_t turn_ns_ = 0;
  std::uint64_t checked_ns_ = 0;  // when check_running() looked at the processes last
};

void Bench::declare(OptionSet& options) {
  options.list("cluster", target_.cluster, "HOST:PORT,...",
               "every node of the cluster to measure, since all are read and each may lead; "
               "without it, bench starts one of its own");
  options.text("cluster-id", target_.cluster_id, "NAME",
               "refuse nodes of any cluster but this one");
  options.number("nodes", nodes_, {1, 7}, "size of the cluster that bench starts");
  options.number("groups", report_.groups, {1, 65'536}, "logs that the entries are spread over");
  options.number("shards", shards_, {1, 64}, "threads of each node that bench starts");
  options.size("entry-bytes", report_.entry_bytes, {BenchPayload::kHeaderBytes, 15u << 20},
               "size of an entry");
  options.number("outstanding", report_.outstanding, {1, 1'000'000},
                 "entries without an answer at any time; with --rate the most there may be, by "
                 "default 65536");
  options.size("batch-bytes-max", target_.batch_bytes_max, {4096, 16u << 20},
               "largest batch, of the client and of the nodes that bench starts");
  options.real("rate", report_.rate, 1e8,
               "open loop: so many entries per second, with the latency counted from the moment "
               "an entry was due; 0: closed loop");
  options.real("seconds", report_.seconds, 86'400, "how long to measure");
  options.real("warmup-seconds", warm_up_s_, 3600, "load before measuring");
  options.flag("producer", report_.producers,
               "number the entries as producers do, so that each lands once whatever happens");
  options.text("fsync", fsync_, "POLICY", fsync_help());
  options.text("data-dir", data_dir_, "DIR",
               "where the directories of the nodes are made, on the disk that is to be measured "
               "(default: /var/tmp, or the current directory); removed at the end");
  options.size("segment-bytes", segment_bytes_, {1u << 20, 2ull << 30},
               "size of a segment file of the nodes that bench starts");
  options.flag("keep", keep_, "leave the directories of the nodes behind");
  options.flag("json", json_, "print one JSON object instead of the table");
}

void Bench::check(const OptionSet& options) {
  const std::uint64_t outstanding_max = kOutstandingBytesMax / report_.entry_bytes;
  if (report_.rate > 0 && !options.given("outstanding"))
    report_.outstanding =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(kOpenLoopOutstanding, outstanding_max));
  if (report_.outstanding > outstanding_max)
    throw UsageError(fmt::format("--outstanding {} with --entry-bytes {} is more than {} in memory",
                                 report_.outstanding, report_.entry_bytes,
                                 size_text(kOutstandingBytesMax)));
  target_.inflight_bytes_max =
      std::max(target_.inflight_bytes_max,
               report_.outstanding * (report_.entry_bytes + kEntryOverheadBytes));
  if (report_.seconds <= 0) throw UsageError("--seconds: choose more than 0");
  report_.embedded = !options.given("cluster");
  report_.batch_bytes_max = target_.batch_bytes_max;
  if (report_.entry_bytes + 128 > target_.batch_bytes_max)
    throw UsageError(fmt::format("--entry-bytes {} does not fit in --batch-bytes-max {}",
                                 report_.entry_bytes, size_text(target_.batch_bytes_max)));
  if (report_.embedded && report_.groups / shards_ > kGroupsPerShardMax)
    throw UsageError(fmt::format("--groups {} are too many for --shards {}; use more --shards",
                                 report_.groups, shards_));
}

int Bench::run(const OptionSet& options) {
  check(options);
  if (report_.embedded) {
    // From here on a signal must not leave nodes and their directories behind. One that comes
    // between this and the loop's own waits: both signals stay blocked.
    std::atomic<bool> stopped = false;
    {
      const StopSignal stop([&stopped] { stopped = true; });
      start_cluster(options);
    }
    if (stopped) throw Failure("stopped by a signal");
  }
  {
    ClientLoop loop(target_, *this);
    loop.set_tick_ms(100);
    wait_ready(loop);
    const std::uint64_t run_id = loop.io().random();
    payload_ = std::make_unique<BenchPayload>(run_id, report_.entry_bytes);
    BenchLoad load({report_.groups, report_.outstanding, report_.rate, target_.timeout_ms,
                    report_.producers, run_id},
                   *payload_);
    load_ = &load;
    run_load(loop, load);
    verify(loop, load);
  }
  cluster_.reset();
  if (json_) {
    fmt::print("{}\n", bench_json(report_).dump());
  } else {
    fmt::print("{}", bench_table(report_));
  }
  return report_.verified ? kExitOk : kExitFailure;
}

void Bench::start_cluster(const OptionSet& options) {
  (void)fsync_policy(fsync_);  // throws before anything is started
  BenchCluster::Options wanted;
  wanted.nodes = nodes_;
  wanted.data_dir = data_dir_;
  wanted.keep = keep_;
  wanted.serve_options = {fmt::format("--groups={}", report_.groups),
                          fmt::format("--shards={}", shards_), "--fsync=" + fsync_,
                          fmt::format("--batch-bytes-max={}", target_.batch_bytes_max),
                          fmt::format("--segment-bytes={}", segment_bytes_)};
  // Several nodes share the cores of this machine: the scheduler places them better than pinning.
  if (nodes_ > 1 || !options.given("shards")) wanted.serve_options.emplace_back("--no-pin");
  cluster_.emplace(wanted);
  target_.cluster = cluster_->addresses();
  target_.cluster_id = cluster_->name();
  report_.nodes = nodes_;
  report_.shards = shards_;
  report_.data_dir = cluster_->directory();
  report_.tmpfs = on_tmpfs(cluster_->directory());
  fmt::print(stderr, "starting {} node{} in {}\n", nodes_, nodes_ == 1 ? "" : "s",
             cluster_->directory());
  if (report_.tmpfs)
    fmt::print(stderr,
               "WARNING: {} is in memory (tmpfs): the figures say nothing about durable writes; "
               "choose a --data-dir on a disk\n",
               cluster_->directory());
}

void Bench::check_running(ClientLoop& loop) {
  if (loop.stopped()) throw Failure("stopped by a signal");
  const std::uint64_t now = monotonic_ns();
  if (!cluster_ || now - checked_ns_ < kSecondNs / 5) return;
  checked_ns_ = now;
  cluster_->check_alive();
}

bool Bench::is_ready(const std::vector<client::NodeStatus>& nodes) const {
  std::vector<bool> led(report_.groups);
  for (const client::NodeStatus& node : nodes) {
    if (!node.reachable) return false;
    for (const client::GroupState& group : node.groups)
      if (group.role == 3 && group.group.value() < led.size()) led[group.group.value()] = true;
  }
  return std::ranges::all_of(led, [](bool has_leader) { return has_leader; });
}

void Bench::wait_ready(ClientLoop& loop) {
  const std::uint64_t give_up_ns = monotonic_ns() + kReadyNs;
  for (;;) {
    board_.ask(loop.client(), target_.cluster.size(), 1000);
    while (!board_.complete()) {
      loop.turn();
      check_running(loop);
    }
    if (is_ready(board_.nodes())) break;
    if (monotonic_ns() > give_up_ns)
      throw Failure(fmt::format(
          "the cluster is not ready after {} s: every node must be reachable and each of the {} "
          "groups must have a leader",
          kReadyNs / kSecondNs, report_.groups));
    loop.turn();  // up to a tick
  }
  report_.nodes = static_cast<std::uint32_t>(board_.nodes().size());
  report_.fsync = board_.nodes().front().fsync_policy;
  std::ptrdiff_t most = -1;
  for (std::size_t i = 0; i < board_.nodes().size(); ++i) {
    const client::NodeStatus& node = board_.nodes()[i];
    node_ids_.push_back(node.node);
    const std::ptrdiff_t leads = std::ranges::count(node.groups, 3, &client::GroupState::role);
    if (leads > most) main_node_ = i;
    most = std::max(most, leads);
  }
}

Snapshot Bench::snapshot(ClientLoop& loop, const BenchLoad& load) {
  Snapshot now;
  now.at_ns = monotonic_ns();
  now.nodes_cpu_ns = cluster_ ? cluster_->cpu_ns() : 0;
  now.client_cpu_ns = own_cpu_ns();
  now.acknowledged = load.acknowledged();
  board_.ask(loop.client(), target_.cluster.size(), target_.timeout_ms);
  return now;
}

void Bench::run_load(ClientLoop& loop, BenchLoad& load) {
  fmt::print(stderr, "warming up for {:.0f} s, then measuring for {:.0f} s\n", warm_up_s_,
             report_.seconds);
  const auto after = [](std::uint64_t from_ns, double seconds) {
    return from_ns + static_cast<std::uint64_t>(seconds * 1e9);
  };
  Histogram ignored;
  load.start(monotonic_ns());
  drive(loop, load, after(monotonic_ns(), warm_up_s_), ignored, /*warm_up=*/true);
  load.take_recent(ignored);

  // The answers about the nodes' counters come a moment later, while the load goes on: the same
  // moment at the beginning and at the end.
  const Snapshot begin = snapshot(loop, load);
  drive(loop, load, after(begin.at_ns, report_.seconds / 2), report_.latency_ns, false);
  const client::NodeStatus node_begin = board_.nodes()[main_node_];
  drive(loop, load, after(begin.at_ns, report_.seconds), report_.latency_ns, false);
  load.take_recent(report_.latency_ns);
  const Snapshot end = snapshot(loop, load);
  load.finish(end.at_ns);
  drain(loop, load);
  // All of these were due before the end: without them a stall that lasts until then is not seen.
  if (report_.rate > 0) load.take_recent(report_.latency_ns);

  report_.refused = load.refused();
  report_.unknown = load.unknown();
  report_.unsent = load.unsent();
  summarise(begin, end, node_begin, board_.nodes()[main_node_]);
}

void Bench::summarise(const Snapshot& begin, const Snapshot& end,
                      const client::NodeStatus& node_begin, const client::NodeStatus& node_end) {
  report_.entries = end.acknowledged - begin.acknowledged;
  report_.measured_s = static_cast<double>(end.at_ns - begin.at_ns) / 1e9;
  const double entries = std::max<double>(1, static_cast<double>(report_.entries));
  if (cluster_)
    report_.cpu_us_per_entry =
        static_cast<double>(end.nodes_cpu_ns - begin.nodes_cpu_ns) / 1e3 / entries;
  report_.client_cpu_us_per_entry =
      static_cast<double>(end.client_cpu_ns - begin.client_cpu_ns) / 1e3 / entries;
  const wire::ShardCounters& from = node_begin.counters;
  const wire::ShardCounters& to = node_end.counters;
  if (!node_begin.reachable || !node_end.reachable || to.flushes() <= from.flushes()) return;
  const auto flushes = static_cast<double>(to.flushes() - from.flushes());
  report_.flushes_per_s = flushes / report_.measured_s;
  report_.entries_per_flush =
      static_cast<double>(to.entries_appended() - from.entries_appended()) / flushes;
}

void Bench::drive(ClientLoop& loop, BenchLoad& load, std::uint64_t until_ns, Histogram& latency,
                  bool warm_up) {
  const std::uint64_t began_ns = monotonic_ns();
  std::uint64_t line_ns = began_ns;
  std::uint64_t line_acknowledged = load.acknowledged();
  for (std::uint64_t now = began_ns; now < until_ns; now = monotonic_ns()) {
    load.submit(loop.client(), now);
    if (const std::uint64_t due = load.next_due_ns(); due != 0) loop.wake_at(due);
    loop.wake_at(until_ns);
    turn_ns_ = 0;
    loop.turn();
    check_running(loop);
    const std::uint64_t since_ns = turn_ns() - line_ns;
    if (since_ns < kSecondNs) continue;
    const double rate = static_cast<double>(load.acknowledged() - line_acknowledged) * 1e9 /
                        static_cast<double>(since_ns);
    fmt::print(stderr, "  {}{:>10} entries/s  {:7.1f} MB/s  p50 {:7.2f} ms  p99 {:7.2f} ms\n",
               warm_up ? "warm-up  " : "measuring", with_commas(rate),
               rate * static_cast<double>(report_.entry_bytes) / 1e6,
               static_cast<double>(load.recent().percentile(0.5)) / 1e6,
               static_cast<double>(load.recent().percentile(0.99)) / 1e6);
    load.take_recent(latency);
    line_ns = turn_ns();
    line_acknowledged = load.acknowledged();
  }
}

void Bench::drain(ClientLoop& loop, BenchLoad& load) {
  // A rate far above what the cluster takes may have left more behind than it can catch up with.
  const std::uint64_t give_up_ns =
      monotonic_ns() + std::uint64_t{target_.timeout_ms} * (kSecondNs / 1000);
  while (load.behind() || !load.idle() || !board_.complete()) {
    const std::uint64_t now = monotonic_ns();
    if (load.behind() && now >= give_up_ns) load.stop();
    load.submit(loop.client(), now);
    turn_ns_ = 0;
    loop.turn();
    check_running(loop);
  }
}

void Bench::verify(ClientLoop& loop, const BenchLoad& load) {
  fmt::print(stderr, "reading back {} entries from {} node{}\n",
             with_commas(static_cast<double>(load.acknowledged())), node_ids_.size(),
             node_ids_.size() == 1 ? "" : "s");
  BenchVerify verify(load.acked(), *payload_, node_ids_);
  verify_ = &verify;
  std::uint64_t line_ns = monotonic_ns();
  while (!verify.done()) {
    turn_ns_ = 0;
    verify.submit(loop.client(), monotonic_ns());
    if (const std::uint64_t due = verify.next_due_ns(); due != 0) loop.wake_at(due);
    loop.turn();
    check_running(loop);
    if (turn_ns() - line_ns < kSecondNs) continue;
    line_ns = turn_ns();
    fmt::print(stderr, "  compared {:>14} of {}\n",
               with_commas(static_cast<double>(verify.checked())),
               with_commas(static_cast<double>(verify.total())));
  }
  verify_ = nullptr;
  report_.problem = verify.problem();
  if (load.contradicted()) report_.problem = "one index was acknowledged for two entries";
  if (load.acknowledged() == 0) report_.problem = "nothing was acknowledged";
  report_.verified = report_.problem.empty();
  report_.verified_entries = verify.checked();
}

}  // namespace

std::unique_ptr<Command> make_bench_command() { return std::make_unique<Bench>(); }

}  // namespace sluice::tools
