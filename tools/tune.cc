// sluice tune: finds the settings for this machine by trying them.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "tools/bench_run.h"
#include "tools/command.h"
#include "tools/disk_probe.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/svg_plot.h"
#include "tools/tune_report.h"
#include "tools/tune_search.h"
#include "tools/usage.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

constexpr double kMeasureSMin = 0.2, kMeasureSMax = 2.5;
constexpr double kProbeSMax = 0.4;

/// What was acknowledged is not there: no reason to go on.
struct NotEqual : Failure {
  using Failure::Failure;
};

/// A measurement that would take longer than there is time: it is given up.
struct OutOfTime {};

double seconds_since(std::uint64_t from_ns) {
  return static_cast<double>(monotonic_ns() - from_ns) / 1e9;
}

class Tune : public Command {
 public:
  const char* name() const override { return "tune"; }
  const char* summary() const override {
    return "Finds the settings for this machine: probes the disk, then measures clusters of its "
           "own "
           "with different batch sizes, disk depths and windows under different loads, and writes "
           "the best of them to a file for --config of serve and bench. Every measurement ends "
           "with "
           "the check that what was acknowledged reads back equal. A signal (Ctrl-C) ends the "
           "search; what was found until then is printed and written. Run it on a machine that "
           "does "
           "nothing else.";
  }
  void declare(OptionSet& options) override;
  int run(const OptionSet& options) override;

 private:
  void check(const OptionSet& options);
  void probe_disk();
  void search();
  [[nodiscard]] TuneResult measure(const TunePoint& point);
  void show(const std::string& what, double progress, double left_s);
  [[nodiscard]] double left_s() const;
  void finish();

  std::string data_dir_;
  std::string p99_;
  bool throughput_ = false;
  double seconds_ = 180;
  std::string out_ = "sluice.toml";
  std::string plot_;
  bool force_ = false;
  bool json_ = false;
  TuneReport report_;
  std::unique_ptr<TuneSearch> search_;
  ProgressBar bar_;
  std::uint64_t began_ns_ = 0;
  std::uint64_t search_began_ns_ = 0;
  std::size_t measured_ = 0;
  std::string now_;      // what is being measured
  std::string problem_;  // of the last measurement that failed
  bool stopped_ = false;
};

void Tune::declare(OptionSet& options) {
  options.text("data-dir", data_dir_, "DIR",
               "where the directories of the nodes are made, on the disk that is to be used "
               "(default: /var/tmp, or the current directory); removed at the end");
  options.text("p99", p99_, "DURATION",
               "choose the most throughput with a p99 of at most this: 500us, 5ms, 1s");
  options.flag("throughput", throughput_, "choose the most throughput (the default)");
  options.size("entry-bytes", report_.entry_bytes, {BenchPayload::kHeaderBytes, 1u << 20},
               "size of an entry");
  options.number("nodes", report_.nodes, {1, 7}, "size of the clusters, all on this machine");
  options.real("seconds", seconds_, 86'400, "time for everything");
  options.text("out", out_, "FILE",
               "where the settings are written (default sluice.toml); the plot goes beside it, "
               "with .svg for .toml");
  options.text("plot", plot_, "FILE.svg", "where the plot goes instead");
  options.flag("force", force_, "overwrite these files");
  options.flag("json", json_, "print one JSON object instead of the tables");
}

void Tune::check(const OptionSet& options) {
  if (options.given("p99") && throughput_)
    throw UsageError("--p99 and --throughput: choose one of them");
  if (options.given("p99")) {
    const auto limit_ns = parse_duration(p99_);
    if (!limit_ns || *limit_ns == 0)
      throw UsageError(
          fmt::format("--p99: \"{}\" is not a duration: write 500us, 5ms or 1s", p99_));
    report_.goal.p99_ms_max = static_cast<double>(*limit_ns) / 1e6;
  }
  if (seconds_ <= 0) throw UsageError("--seconds: choose more than 0");
  if (plot_.empty()) plot_ = fs::path(out_).replace_extension(".svg");
  if (plot_ == out_) throw UsageError("--out and --plot name the same file");
  // Now and not after three minutes.
  for (const std::string& file : {out_, plot_})
    if (!force_ && fs::exists(file))
      throw UsageError(fmt::format("{} exists: name another --out, or say --force", file));
}

int Tune::run(const OptionSet& options) {
  check(options);
  began_ns_ = monotonic_ns();
  if (data_dir_.empty()) data_dir_ = default_data_dir();
  probe_disk();
  if (!stopped_) search();
  bar_.clear();
  finish();
  return kExitOk;
}

void Tune::probe_disk() {
  DiskProbe probe(data_dir_);
  report_.disk = disk_facts(data_dir_);
  const auto cases = probe_cases();
  const double each_s = std::min(kProbeSMax, seconds_ / 20 / static_cast<double>(cases.size()));
  std::atomic<bool> stopped = false;
  {
    const StopSignal stop([&stopped] { stopped = true; });
    for (std::size_t i = 0; i < cases.size() && !stopped; ++i) {
      show(fmt::format("disk: {}, depth {}", path_name(cases[i].path), cases[i].depth),
           static_cast<double>(i) / static_cast<double>(cases.size()) / 20,
           seconds_ - seconds_since(began_ns_));
      report_.probes.push_back(probe.run(cases[i], each_s, [&] { return stopped.load(); }));
    }
  }
  stopped_ = stopped;
  bar_.clear();
  if (!json_) fmt::print("{}", probe_table(report_.disk, report_.probes));
  std::fflush(stdout);
}

/// Of the search: by what a measurement took until now, but never more than there is.
double Tune::left_s() const {
  const double budget_s = std::max(0.0, seconds_ - seconds_since(began_ns_));
  if (measured_ == 0) return budget_s;
  const double each_s = seconds_since(search_began_ns_) / static_cast<double>(measured_);
  return std::min(budget_s, each_s * static_cast<double>(search_->left()));
}

void Tune::search() {
  report_.seconds_each = std::clamp(seconds_ / 80, kMeasureSMin, kMeasureSMax);
  search_ = std::make_unique<TuneSearch>(report_.goal, report_.entry_bytes, Config().segment_bytes);
  search_began_ns_ = monotonic_ns();
  while (const auto point = search_->next()) {
    const double each_s =
        measured_ == 0 ? 0 : seconds_since(search_began_ns_) / static_cast<double>(measured_);
    if (measured_ > 0 && seconds_since(began_ns_) + each_s > seconds_) return;
    now_ =
        fmt::format("{}: {} outstanding, batch {}, depth {}, window {}, fsync {}",
                    search_->stage_name(), point->outstanding, size_text(point->batch_bytes_max),
                    point->writes_inflight_max, size_text(point->inflight_bytes_max), point->fsync);
    try {
      const TuneResult result = measure(*point);
      search_->add(result);
      ++measured_;
      if (!bar_.visible())
        fmt::print(stderr, "  {}: {} entries/s, p99 {:.3f} ms; about {:.0f} s left\n", now_,
                   with_commas(result.entries_per_s), result.p99_ms, left_s());
    } catch (const Stopped&) {
      stopped_ = true;
      return;
    } catch (const OutOfTime&) {
      return;
    } catch (const NotEqual&) {
      throw;
    } catch (const Failure& failure) {
      // A cluster that did not come up in time does not spoil what the others showed.
      problem_ = failure.what();
      bar_.clear();
      fmt::print(stderr, "  {}: {}\n", now_, problem_);
      search_->add({.point = *point});
    }
  }
  report_.complete = true;
}

TuneResult Tune::measure(const TunePoint& point) {
  BenchSettings settings;
  BenchReport& asked = settings.report;
  asked.nodes = report_.nodes;
  asked.entry_bytes = report_.entry_bytes;
  asked.outstanding = point.outstanding;
  asked.batch_bytes_max = point.batch_bytes_max;
  asked.writes_inflight_max = point.writes_inflight_max;
  asked.inflight_bytes_max = point.inflight_bytes_max;
  asked.fsync = point.fsync;
  asked.seconds = report_.seconds_each;
  settings.data_dir = data_dir_;
  settings.recycle = false;
  settings.warm_up_s = report_.seconds_each / 4;
  settings.quiet = true;
  settings.on_turn = [this] {
    const double spent_s = seconds_since(began_ns_);
    if (measured_ > 0 && spent_s > seconds_) throw OutOfTime();
    const double left = left_s();
    show(now_, spent_s / std::max(spent_s + left, 1e-3), left);
  };
  check_settings(settings);
  const BenchReport found = BenchRun(std::move(settings)).run();
  if (!found.verified)
    throw NotEqual(
        fmt::format("what was acknowledged did not read back equal ({}): {}", now_, found.problem));
  const auto ms = [&](double share) {
    return static_cast<double>(found.latency_ns.percentile(share)) / 1e6;
  };
  return {point, found.entries_per_s(), ms(0.5), ms(0.99)};
}

void Tune::show(const std::string& what, double progress, double left_s) {
  if (!bar_.visible()) return;
  bar_.show_line(fmt::format("{} ~{:.0f} s left  {}",
                             bar_text(static_cast<std::uint64_t>(progress * 1000), 1000, 20),
                             std::max(0.0, left_s), what));
}

void Tune::finish() {
  report_.results = search_ ? medians(search_->results()) : std::vector<TuneResult>();
  const auto chosen = best_of(report_.results, report_.goal);
  if (!chosen && stopped_) throw Failure("stopped by a signal before anything was measured");
  if (!chosen)
    throw Failure(problem_.empty()
                      ? "nothing was measured in the time that there was: give more --seconds"
                      : "nothing could be measured: " + problem_);
  report_.chosen = *chosen;
  if (json_) {
    fmt::print("{}\n", tune_json(report_).dump());
  } else {
    fmt::print("{}", tune_text(report_));
  }
  write_text_file(out_, tune_toml(report_));
  write_text_file(plot_, svg_of(tune_plot(report_)));
  fmt::print(stderr, "wrote {} and {}\n", out_, plot_);
}

}  // namespace

std::unique_ptr<Command> make_tune_command() { return std::make_unique<Tune>(); }

}  // namespace sluice::tools
