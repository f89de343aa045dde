#include "perf/peers/load.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "tools/usage.h"

namespace sluice::peers {
namespace {

using tools::machine_busy_ns;
using tools::monotonic_ns;
using tools::process_cpu_ns;

/// How long an open loop goes on after its end to send what was due before, and a peer may be
/// silent.
constexpr std::uint64_t kCatchUpNs = 10'000'000'000;
constexpr std::uint64_t kSilentNs = 30'000'000'000;

std::uint64_t seconds_ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

std::uint64_t own_cpu_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_usec) * 1000;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

std::uint64_t rss_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string word; file >> word;) {
    std::uint64_t kib = 0;
    if (word == "VmRSS:" && file >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

void declare(CLI::App& app, LoadOptions& options) {
  app.add_option("--entry-bytes", options.entry_bytes)->check(CLI::Range(8, 16 << 20));
  app.add_option("--outstanding", options.outstanding)->check(CLI::Range(1, 1'000'000));
  app.add_option("--groups", options.groups)->check(CLI::Range(1, 65'536));
  app.add_option("--rate", options.rate)->check(CLI::Range(0.0, 1e8));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.01, 3600.0));
  app.add_option("--warmup-seconds", options.warmup_seconds)->check(CLI::Range(0.0, 3600.0));
  app.add_option("--pid", options.server_pids, "the peer's processes")->delimiter(',');
}

Load::Load(const LoadOptions& options) : options_(options), started_(options.outstanding) {
  for (std::uint32_t slot = options.outstanding; slot > 0; --slot) free_.push_back(slot - 1);
}

void Load::start() {
  start_ns_ = monotonic_ns();
  measure_ns_ = start_ns_ + seconds_ns(options_.warmup_seconds);
  stop_ns_ = measure_ns_ + seconds_ns(options_.seconds);
}

bool Load::go_on(std::uint64_t now_ns) {
  if (phase_ == Phase::kWarmUp && now_ns >= measure_ns_) {
    phase_ = Phase::kMeasuring;
    begin_ = snapshot(now_ns);
  } else if (phase_ == Phase::kMeasuring && now_ns >= stop_ns_) {
    phase_ = Phase::kDraining;
    end_ = snapshot(now_ns);
    for (const pid_t pid : options_.server_pids) rss_bytes_.push_back(rss_bytes(pid));
  }
  if (phase_ != Phase::kDraining) return true;
  if (now_ns > stop_ns_ + kSilentNs) throw std::runtime_error("entries stay without an answer");
  if (options_.rate > 0 && !gave_up_ && now_ns > stop_ns_ + kCatchUpNs) {
    gave_up_ = true;
    while (due_ns(begun_ + unsent_) < stop_ns_) ++unsent_;
  }
  return completed_ != begun_ || may_begin(now_ns);
}

bool Load::may_begin(std::uint64_t now_ns) const {
  if (free_.empty()) return false;
  if (options_.rate > 0) return !gave_up_ && due_ns(begun_) < std::min(now_ns + 1, stop_ns_);
  return phase_ != Phase::kDraining;
}

std::uint64_t Load::due_ns(std::uint64_t entry) const {
  return start_ns_ + static_cast<std::uint64_t>(static_cast<double>(entry) * 1e9 / options_.rate);
}

std::uint32_t Load::begin(std::uint64_t now_ns) {
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  started_[slot] = options_.rate > 0 ? due_ns(begun_) : now_ns;
  ++begun_;
  return slot;
}

void Load::complete(std::uint32_t slot, std::uint64_t now_ns) {
  const std::uint64_t started_ns = started_.at(slot);
  // Of an open loop all that was due while measuring counts, even if its answer comes later.
  const bool counts = options_.rate > 0 ? started_ns >= measure_ns_ && started_ns < stop_ns_
                                        : phase_ == Phase::kMeasuring;
  if (counts) latency_ns_.record(now_ns - started_ns);
  free_.push_back(slot);
  ++completed_;
}

std::uint64_t Load::wait_ns(std::uint64_t now_ns) const {
  constexpr std::uint64_t kTurnNs = 100'000'000;
  std::uint64_t until_ns = now_ns + kTurnNs;
  if (phase_ == Phase::kWarmUp) until_ns = std::min(until_ns, measure_ns_);
  if (phase_ == Phase::kMeasuring) until_ns = std::min(until_ns, stop_ns_);
  if (options_.rate > 0 && !free_.empty() && phase_ != Phase::kDraining)
    until_ns = std::min(until_ns, due_ns(begun_));
  return until_ns > now_ns ? until_ns - now_ns : 0;
}

int Load::wait_ms(std::uint64_t now_ns) const {
  return static_cast<int>((wait_ns(now_ns) + 999'999) / 1'000'000);
}

Load::Snapshot Load::snapshot(std::uint64_t now_ns) const {
  Snapshot now;
  now.at_ns = now_ns;
  now.completed = completed_;
  now.own_cpu_ns = own_cpu_ns();
  now.machine_busy_ns = machine_busy_ns();
  for (const pid_t pid : options_.server_pids) now.server_cpu_ns.push_back(process_cpu_ns(pid));
  return now;
}

nlohmann::ordered_json Load::report() const {
  using Json = nlohmann::ordered_json;
  const double measured_s = static_cast<double>(end_.at_ns - begin_.at_ns) / 1e9;
  const auto entries = static_cast<double>(end_.completed - begin_.completed);
  const auto us = [entries](std::uint64_t from_ns, std::uint64_t to_ns) {
    return static_cast<double>(to_ns - from_ns) / 1e3 / std::max(1.0, entries);
  };
  const auto ms = [this](double share) {
    return static_cast<double>(latency_ns_.percentile(share)) / 1e6;
  };
  std::vector<double> servers;
  for (std::size_t i = 0; i < options_.server_pids.size(); ++i)
    servers.push_back(us(begin_.server_cpu_ns[i], end_.server_cpu_ns[i]));
  Json json;
  json["mode"] = options_.rate > 0 ? "open" : "closed";
  json["entries_per_s"] = entries / measured_s;
  json["bytes_per_s"] = entries * options_.entry_bytes / measured_s;
  json["latency_ms"] = {{"p50", ms(0.5)},    {"p90", ms(0.9)},      {"p99", ms(0.99)},
                        {"p999", ms(0.999)}, {"p9999", ms(0.9999)}, {"max", ms(1)}};
  json["cpu_us_per_entry"] = {{"servers", servers},
                              {"leader", leader_ < 0 ? Json() : Json(leader_)},
                              {"machine", us(begin_.machine_busy_ns, end_.machine_busy_ns)}};
  const bool separate = !in_process_;
  json["generator"] = {
      {"in_process", in_process_},
      {"cpu_us_per_entry", separate ? Json(us(begin_.own_cpu_ns, end_.own_cpu_ns)) : Json()},
      {"core_share", separate ? Json(static_cast<double>(end_.own_cpu_ns - begin_.own_cpu_ns) /
                                     static_cast<double>(end_.at_ns - begin_.at_ns))
                              : Json()}};
  json["rss_bytes"] = rss_bytes_;
  json["entries"] = end_.completed - begin_.completed;
  json["unsent"] = unsent_;
  json["measured_s"] = measured_s;
  json["options"] = {{"entry_bytes", options_.entry_bytes},
                     {"outstanding", options_.outstanding},
                     {"groups", options_.groups},
                     {"rate", options_.rate > 0 ? Json(options_.rate) : Json()},
                     {"seconds", options_.seconds},
                     {"warmup_seconds", options_.warmup_seconds}};
  return json;
}

}  // namespace sluice::peers
