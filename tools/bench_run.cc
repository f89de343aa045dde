#include "tools/bench_run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>

#include "tools/node_options.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/usage.h"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
/// --in-process: the other nodes leave it to the first to become the leader.
constexpr const char* kOthersElectionTimeout = "--election-timeout-ms=3000";
constexpr std::uint64_t kReadyNs = 60 * kSecondNs;
/// Data of entries without an answer: they are all in memory, here and on the nodes.
constexpr std::uint64_t kOutstandingBytesMax = 4ull << 30;
constexpr std::uint32_t kOpenLoopOutstanding = 65'536;
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

}  // namespace

/// Counters at one moment; the difference of two is what was used in between.
struct BenchRun::Snapshot {
  std::uint64_t at_ns = 0;
  std::uint64_t nodes_cpu_ns = 0;
  std::uint64_t client_cpu_ns = 0;
  std::uint64_t acknowledged = 0;
};

void check_settings(BenchSettings& settings) {
  BenchReport& report = settings.report;
  const std::uint64_t outstanding_max = kOutstandingBytesMax / report.entry_bytes;
  if (report.outstanding == 0)
    report.outstanding =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(kOpenLoopOutstanding, outstanding_max));
  if (report.outstanding > outstanding_max)
    throw UsageError(fmt::format("--outstanding {} with --entry-bytes {} is more than {} in memory",
                                 report.outstanding, report.entry_bytes,
                                 size_text(kOutstandingBytesMax)));
  settings.target.inflight_bytes_max =
      std::max(settings.target.inflight_bytes_max,
               report.outstanding * (report.entry_bytes + kEntryOverheadBytes));
  if (report.seconds <= 0) throw UsageError("--seconds: choose more than 0");
  settings.target.busy_poll_us = report.busy_poll_us;
  settings.target.batch_bytes_max = static_cast<std::uint32_t>(report.batch_bytes_max);
  if (report.entry_bytes + 128 > report.batch_bytes_max)
    throw UsageError(fmt::format("--entry-bytes {} does not fit in --batch-bytes-max {}",
                                 report.entry_bytes, size_text(report.batch_bytes_max)));
  if (report.in_process && (!report.embedded || report.shards != 1))
    throw UsageError("--in-process needs a cluster of its own, and --shards 1: the load runs on one");
  if (report.embedded && report.groups / report.shards > kGroupsPerShardMax)
    throw UsageError(fmt::format("--groups {} are too many for --shards {}; use more --shards",
                                 report.groups, report.shards));
}

BenchReport BenchRun::run() {
  if (report_.embedded) {
    // From here on a signal must not leave nodes and their directories behind. One that comes
    // between this and the loop's own waits: both signals stay blocked.
    std::atomic<bool> stopped = false;
    {
      const StopSignal stop([&stopped] { stopped = true; });
      start_cluster();
    }
    if (stopped) throw Stopped();
  }
  {
    ClientLoop loop(settings_.target, *this);
    loop.set_tick_ms(100);
    wait_ready(loop);
    const bool recycle = report_.embedded && settings_.recycle;
    report_.warm_up = recycle ? "" : fmt::format("{:.1f} s of load", settings_.warm_up_s);
    if (recycle) recycle_segments(loop);
    const std::uint64_t run_id = loop.io().random();
    BenchPayload payload(run_id, report_.entry_bytes);
    BenchLoad load({report_.groups, report_.outstanding, report_.rate, settings_.target.timeout_ms,
                    report_.producers, run_id},
                   payload);
    run_load(loop, load);
    if (report_.problem.empty()) report_.problem = verify(loop, load, payload);
    report_.verified = report_.problem.empty();
  }
  own_node_.reset();
  cluster_.reset();
  return std::move(report_);
}

void BenchRun::start_cluster() {
  (void)fsync_policy(report_.fsync);  // throws before anything is started
  BenchCluster::Options wanted;
  wanted.nodes = report_.nodes;
  wanted.data_dir = settings_.data_dir;
  wanted.keep = settings_.keep;
  wanted.serve_options = {fmt::format("--groups={}", report_.groups),
                          fmt::format("--shards={}", report_.shards),
                          "--fsync=" + report_.fsync,
                          fmt::format("--batch-bytes-max={}", report_.batch_bytes_max),
                          fmt::format("--segment-bytes={}", report_.segment_bytes),
                          fmt::format("--writes-inflight-max={}", report_.writes_inflight_max),
                          fmt::format("--inflight-bytes-max={}", report_.inflight_bytes_max),
                          fmt::format("--busy-poll-us={}", report_.busy_poll_us)};
  if (!settings_.pin) wanted.serve_options.emplace_back("--no-pin");
  wanted.without_first = report_.in_process;
  if (report_.in_process) wanted.serve_options.emplace_back(kOthersElectionTimeout);
  cluster_.emplace(wanted);
  if (report_.in_process) start_own_node();
  settings_.target.cluster = cluster_->addresses();
  settings_.target.cluster_id = cluster_->name();
  report_.data_dir = cluster_->directory();
  report_.tmpfs = on_tmpfs(cluster_->directory());
  if (settings_.quiet) return;
  fmt::print(stderr, "starting {} node{} in {}\n", report_.nodes, report_.nodes == 1 ? "" : "s",
             cluster_->directory());
  if (report_.tmpfs)
    fmt::print(stderr,
               "WARNING: {} is in memory (tmpfs): the figures say nothing about durable writes; "
               "choose a --data-dir on a disk\n",
               cluster_->directory());
}

void BenchRun::start_own_node() {
  Config config;
  config.node_id = NodeId(1);
  config.cluster_name = cluster_->name();
  config.data_dir = cluster_->directory() + "/node-1";
  config.listen = cluster_->addresses().front();
  for (const std::string& address : cluster_->addresses())
    config.peers.push_back({NodeId(static_cast<std::uint32_t>(config.peers.size() + 1)), address});
  config.groups = report_.groups;
  config.shards = 1;
  config.pin = settings_.pin;
  config.fsync = fsync_policy(report_.fsync);
  config.batch_bytes_max = static_cast<std::uint32_t>(report_.batch_bytes_max);
  config.segment_bytes = report_.segment_bytes;
  config.writes_inflight_max = report_.writes_inflight_max;
  config.inflight_bytes_max = report_.inflight_bytes_max;
  config.busy_poll_us = report_.busy_poll_us;
  auto started = Engine::start(config);
  if (!started) throw Failure(started.error());
  own_node_ = std::move(*started);
}

void BenchRun::turn(ClientLoop& loop) {
  turn_ns_ = 0;
  loop.turn();
  if (loop.stopped()) throw Stopped();
  if (settings_.on_turn) settings_.on_turn();
  const std::uint64_t now = monotonic_ns();
  if (!cluster_ || now - checked_ns_ < kSecondNs / 5) return;
  checked_ns_ = now;
  cluster_->check_alive();
}

bool BenchRun::is_ready(const std::vector<client::NodeStatus>& nodes) const {
  std::vector<bool> led(report_.groups);
  for (const client::NodeStatus& node : nodes) {
    if (!node.reachable) return false;
    if (own_node_ && node.node != NodeId(1)) continue;  // whoever else leads, we could not append
    for (const client::GroupState& group : node.groups)
      if (group.role == 3 && group.group.value() < led.size()) led[group.group.value()] = true;
  }
  return std::ranges::all_of(led, [](bool has_leader) { return has_leader; });
}

void BenchRun::wait_ready(ClientLoop& loop) {
  const std::uint64_t give_up_ns = monotonic_ns() + kReadyNs;
  for (;;) {
    board_.ask(loop.client(), settings_.target.cluster.size(), 1000);
    while (!board_.complete()) turn(loop);
    if (is_ready(board_.nodes())) break;
    if (monotonic_ns() > give_up_ns)
      throw Failure(fmt::format(
          "the cluster is not ready after {} s: every node must be reachable and each of the {} "
          "groups must have a leader{}",
          kReadyNs / kSecondNs, report_.groups,
          own_node_ ? ", which must be the node in this process" : ""));
    turn(loop);  // up to a tick
  }
  know_nodes();
}

void BenchRun::know_nodes() {
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

BenchRun::Snapshot BenchRun::snapshot(ClientLoop& loop, const BenchLoad& load) {
  Snapshot now;
  now.at_ns = monotonic_ns();
  now.nodes_cpu_ns = cluster_ ? cluster_->cpu_ns() : 0;
  // In one process a client cannot be told from its node.
  (own_node_ ? now.nodes_cpu_ns : now.client_cpu_ns) += own_cpu_ns();
  at_load([&] { now.acknowledged = load.acknowledged(); });
  board_.ask(loop.client(), settings_.target.cluster.size(), settings_.target.timeout_ms);
  return now;
}

void BenchRun::run_load(ClientLoop& loop, BenchLoad& load) {
  load_ = &load;
  if (report_.embedded) {
    retention_.emplace(BenchRetention::Options{.bytes = report_.retain_bytes,
                                               .groups = report_.groups,
                                               .entry_bytes = report_.entry_bytes,
                                               .outstanding = report_.outstanding});
    retention_->begin_behind(std::move(filled_), filled_entry_bytes_);
  }
  shown_entry_bytes_ = report_.entry_bytes;
  if (!settings_.quiet)
    fmt::print(stderr, "warming up for {:g} s, then measuring for {:g} s\n", settings_.warm_up_s,
               report_.seconds);
  const auto after = [](std::uint64_t from_ns, double seconds) {
    return from_ns + static_cast<std::uint64_t>(seconds * 1e9);
  };
  Histogram ignored;
  if (own_node_)
    local_.emplace(*own_node_, load, report_.entry_bytes, report_.outstanding, report_.groups,
                   report_.batch_bytes_max);
  const std::uint64_t start_ns = monotonic_ns();
  at_load([&] { load.start(start_ns); });
  shown_from_ns_ = start_ns;
  shown_ns_ = static_cast<std::uint64_t>(settings_.warm_up_s * 1e9);
  drive(loop, load, after(start_ns, settings_.warm_up_s), ignored, "warm-up");
  at_load([&] { load.take_recent(ignored); });

  // The answers about the nodes' counters come a moment later, while the load goes on: the same
  // moment at the beginning and at the end.
  Histogram& latency = report_.latency_ns;
  const Snapshot begin = snapshot(loop, load);
  shown_from_ns_ = begin.at_ns;
  shown_ns_ = static_cast<std::uint64_t>(report_.seconds * 1e9);
  drive(loop, load, after(begin.at_ns, report_.seconds / 2), latency, "measuring");
  const client::NodeStatus node_begin = board_.nodes()[main_node_];
  drive(loop, load, after(begin.at_ns, report_.seconds), latency, "measuring");
  bar_.clear();
  at_load([&] { load.take_recent(latency); });
  const Snapshot end = snapshot(loop, load);
  at_load([&] { load.finish(end.at_ns); });
  drain(loop, load);
  local_.reset();
  // All of these were due before the end: without them a stall that lasts until then is not seen.
  if (report_.rate > 0) load.take_recent(latency);

  report_.refused = load.refused();
  report_.unknown = load.unknown();
  report_.unsent = load.unsent();
  summarise(begin, end, node_begin, board_.nodes()[main_node_]);
}

void BenchRun::summarise(const Snapshot& begin, const Snapshot& end,
                         const client::NodeStatus& node_begin, const client::NodeStatus& node_end) {
  report_.entries = end.acknowledged - begin.acknowledged;
  report_.measured_s = static_cast<double>(end.at_ns - begin.at_ns) / 1e9;
  const double entries = std::max<double>(1, static_cast<double>(report_.entries));
  if (cluster_)
    report_.cpu_us_per_entry =
        static_cast<double>(end.nodes_cpu_ns - begin.nodes_cpu_ns) / 1e3 / entries;
  report_.client_cpu_us_per_entry =
      static_cast<double>(end.client_cpu_ns - begin.client_cpu_ns) / 1e3 / entries;
  if (!node_begin.reachable || !node_end.reachable) return;
  report_.stages = StageCounts(node_end.stages).since(StageCounts(node_begin.stages));
  const wire::ShardCounters& from = node_begin.counters;
  const wire::ShardCounters& to = node_end.counters;
  if (to.flushes() <= from.flushes()) return;
  const auto flushes = static_cast<double>(to.flushes() - from.flushes());
  report_.flushes_per_s = flushes / report_.measured_s;
  report_.entries_per_flush =
      static_cast<double>(to.entries_appended() - from.entries_appended()) / flushes;
}

void BenchRun::drive(ClientLoop& loop, BenchLoad& load, std::uint64_t until_ns, Histogram& latency,
                     std::string_view what, const std::function<bool()>& enough) {
  const std::uint64_t began_ns = monotonic_ns();
  std::uint64_t line_ns = began_ns, asked_ns = began_ns;
  std::uint64_t line_acknowledged = 0;
  at_load([&] { line_acknowledged = load.acknowledged(); });
  for (std::uint64_t now = began_ns; now < until_ns; now = monotonic_ns()) {
    if (!local_) {
      load.submit(loop.client(), now);
      if (const std::uint64_t due = load.next_turn_ns(); due != 0) loop.wake_at(due);
    }
    loop.wake_at(until_ns);
    turn(loop);
    if (turn_ns() - asked_ns >= kSecondNs / 10) {
      asked_ns = turn_ns();
      if (enough && enough()) break;
      if (retention_ && !retention_->keeps_all()) trim_old(loop, load);
    }
    const std::uint64_t since_ns = turn_ns() - line_ns;
    if (since_ns < (bar_.visible() ? kSecondNs / 4 : kSecondNs)) continue;
    Histogram recent;
    std::uint64_t acknowledged = 0;
    at_load([&] {
      load.take_recent(recent);
      acknowledged = load.acknowledged();
    });
    const double rate = static_cast<double>(acknowledged - line_acknowledged) * 1e9 /
                        static_cast<double>(since_ns);
    show(recent, what, rate);
    latency.merge(recent);
    line_ns = turn_ns();
    line_acknowledged = acknowledged;
  }
}

/// Not while earlier trims are under way: those wait for the slowest node.
void BenchRun::trim_old(ClientLoop& loop, BenchLoad& load) {
  if (trims_ > 0) return;
  to_trim_.clear();
  at_load([&] {
    report_.trimmed += retention_->look(load.acked(), [this](std::size_t group, Index first) {
      to_trim_.emplace_back(group, first);
    });
  });
  for (const auto& [group, first] : to_trim_) trim(loop, group, first);
}

/// On a terminal one line that is drawn again and again, else a line each second.
void BenchRun::show(const Histogram& recent, std::string_view what, double entries_per_s) {
  if (settings_.quiet) return;
  const std::string line = fmt::format(
      "{:<9} {:>10} entries/s  {:7.1f} MB/s  p50 {:7.2f} ms  p99 {:7.2f} ms", what,
      with_commas(entries_per_s), entries_per_s * static_cast<double>(shown_entry_bytes_) / 1e6,
      static_cast<double>(recent.percentile(0.5)) / 1e6,
      static_cast<double>(recent.percentile(0.99)) / 1e6);
  if (bar_.visible()) {
    bar_.show_line(fmt::format("{} {}", bar_text(turn_ns() - shown_from_ns_, shown_ns_, 12), line));
  } else {
    fmt::print(stderr, "  {}\n", line);
  }
}

void BenchRun::drain(ClientLoop& loop, BenchLoad& load) {
  // A rate far above what the cluster takes may have left more behind than it can catch up with.
  const std::uint64_t give_up_ns =
      monotonic_ns() + std::uint64_t{settings_.target.timeout_ms} * (kSecondNs / 1000);
  for (bool busy = true; busy || trims_ > 0 || !board_.complete(); turn(loop)) {
    const std::uint64_t now = monotonic_ns();
    at_load([&] {
      if (load.behind() && now >= give_up_ns) load.stop();
      if (!local_) load.submit(loop.client(), now);
      busy = load.behind() || !load.idle();
    });
  }
}

std::string BenchRun::verify(ClientLoop& loop, const BenchLoad& load, BenchPayload& payload) {
  if (!settings_.quiet)
    fmt::print(stderr, "reading back {} entries from {} node{}\n",
               with_commas(static_cast<double>(load.remembered())), node_ids_.size(),
               node_ids_.size() == 1 ? "" : "s");
  BenchVerify verify(load.acked(), payload, node_ids_);
  verify_ = &verify;
  std::uint64_t line_ns = monotonic_ns();
  while (!verify.done()) {
    verify.submit(loop.client(), monotonic_ns());
    if (const std::uint64_t due = verify.next_due_ns(); due != 0) loop.wake_at(due);
    turn(loop);
    if (settings_.quiet) continue;
    if (bar_.visible()) bar_.show("entries compared", verify.checked(), verify.total());
    if (bar_.visible() || turn_ns() - line_ns < kSecondNs) continue;
    line_ns = turn_ns();
    fmt::print(stderr, "  compared {:>14} of {}\n",
               with_commas(static_cast<double>(verify.checked())),
               with_commas(static_cast<double>(verify.total())));
  }
  bar_.clear();
  verify_ = nullptr;
  report_.verified_entries += verify.checked();
  if (load.contradicted()) return "one index was acknowledged for two entries";
  if (load.acknowledged() == 0) return "nothing was acknowledged";
  return verify.problem();
}

}  // namespace sluice::tools
