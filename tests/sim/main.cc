// sluice_sim: seeds in, findings out. The only file of the simulator that reads a real clock, to say
// how fast it was and when its minutes are over.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "tests/sim/child.h"
#include "tests/sim/shrink.h"

namespace sluice::sim {
namespace {

struct Options {
  std::string seeds = "1..100";
  std::string scenario_file;
  std::string directory = ".";
  std::string commit = "unknown";
  std::uint64_t steps_max = RunOptions{}.events_max;
  double minutes = 0;
  unsigned shrink_tries = 300;
  bool liveness = false, trace = false, calm = false, stop_on_failure = false, hashes = false;
};

struct Totals {
  std::uint64_t seeds = 0, failed = 0, compared = 0;
  std::uint64_t events = 0, simulated = 0, entries = 0, acknowledgements = 0, reads = 0,
                elections = 0, faults = 0;
  void add(const Outcome& o) {
    events += o.events;
    simulated += o.simulated;
    entries += o.entries;
    acknowledgements += o.acknowledgements;
    reads += o.reads;
    elections += o.elections;
    faults += o.faults;
  }
};

/// Simulated against real time depends on what is simulated: runs that carry little say it best.
struct SmallRuns {
  static constexpr std::uint32_t kNodes = 3, kEntryBytesMax = 200;
  std::uint64_t runs = 0, simulated = 0;
  double seconds = 0;
  void add(const Scenario& s, const Outcome& outcome, double took) {
    if (s.nodes != kNodes || s.entry_bytes_max > kEntryBytesMax) return;
    ++runs;
    simulated += outcome.simulated;
    seconds += took;
  }
};

constexpr std::uint64_t kCompareOneIn = 20;

class Runner {
 public:
  explicit Runner(Options options) : options_(std::move(options)) {}

  int run() {
    begun_ = std::chrono::steady_clock::now();
    if (!options_.scenario_file.empty()) return replay();
    std::uint64_t first = 0, last = 0;
    if (!parse_seeds(first, last)) {
      std::fprintf(stderr, "sluice_sim: --seeds wants A..B, not '%s'\n", options_.seeds.c_str());
      return 2;
    }
    run_seeds(first, last);
    print_totals();
    return totals_.failed == 0 ? 0 : 1;
  }

 private:
  [[nodiscard]] bool parse_seeds(std::uint64_t& first, std::uint64_t& last) const {
    const auto dots = options_.seeds.find("..");
    try {
      first = std::stoull(options_.seeds.substr(0, dots));
      last = dots == std::string::npos ? first : std::stoull(options_.seeds.substr(dots + 2));
    } catch (const std::exception&) {
      return false;
    }
    return first <= last;
  }

  [[nodiscard]] RunOptions run_options() const {
    return {.trace = options_.trace, .events_max = options_.steps_max};
  }

  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  }

  void run_seeds(std::uint64_t first, std::uint64_t last) {
    std::uint64_t seed = first;
    bool again = false;  // the same seed once more, to compare
    std::uint64_t hash = 0;
    double run_begun = 0;
    run_many(
        [&](Scenario& scenario) {
          if (!again) {
            const bool over = options_.minutes > 0 && seconds() >= options_.minutes * 60;
            if (over || (options_.minutes <= 0 && seed > last)) return false;
            scenario = draw_scenario(seed++, {options_.liveness, options_.calm});
          }
          run_begun = seconds();
          return true;
        },
        run_options(),
        [&](const Scenario& scenario, const Outcome& outcome) {
          if (again) {
            again = false;
            ++totals_.compared;
            if (outcome.hash == hash && outcome.violation.empty()) return true;
            Outcome differs = outcome;
            differs.violation = "two runs of the same seed differ: something is not deterministic";
            return failed(scenario, differs);
          }
          ++totals_.seeds;
          totals_.add(outcome);
          small_.add(scenario, outcome, seconds() - run_begun);
          if (options_.hashes) {
            std::printf("seed=%llu hash=%016llx events=%llu\n", ull(scenario.seed),
                        ull(outcome.hash), ull(outcome.events));
          }
          if (!outcome.violation.empty()) return failed(scenario, outcome);
          if (scenario.seed % kCompareOneIn == 0 && !options_.calm) {
            again = true;
            hash = outcome.hash;
          }
          return true;
        });
  }

  static unsigned long long ull(std::uint64_t value) { return value; }

  bool failed(const Scenario& scenario, const Outcome& outcome) {
    ++totals_.failed;
    std::printf("FAILED seed=%llu %s\n", ull(scenario.seed), outcome.violation.c_str());
    std::printf("  commit %s, again by: tests/sim/run --seeds %llu..%llu%s --trace\n",
                options_.commit.c_str(), ull(scenario.seed), ull(scenario.seed),
                scenario.liveness ? " --liveness" : "");
    std::fflush(stdout);
    if (options_.shrink_tries > 0) shrink_and_write(scenario, outcome.violation);
    return !options_.stop_on_failure;
  }

  /// What broke, without the numbers: a smaller scenario must break the same.
  [[nodiscard]] static std::string kind_of(const std::string& violation) {
    std::string kind;
    for (const char c : violation.substr(0, 60)) {
      if (c < '0' || c > '9') kind += c;
    }
    return kind;
  }

  void shrink_and_write(const Scenario& scenario, const std::string& violation) {
    std::string last = violation;
    const Scenario small = shrink(scenario, options_.shrink_tries, [&](const Scenario& candidate) {
      const Outcome outcome = run_in_child(candidate, {.events_max = options_.steps_max});
      const bool same = kind_of(outcome.violation) == kind_of(violation);
      if (same) last = outcome.violation;
      return same;
    });
    const std::string path = options_.directory + "/" + (scenario.liveness ? "liveness-" : "seed-") +
                             std::to_string(scenario.seed) + ".scenario";
    std::ofstream(path) << to_text(small);
    std::printf("  shrunk to %zu of %zu faults: %s\n  written to %s, again by: tests/sim/run "
                "--scenario FILE --trace\n",
                small.faults.size(), scenario.faults.size(), last.c_str(), path.c_str());
    std::fflush(stdout);
  }

  int replay() {
    std::ifstream in(options_.scenario_file);
    if (!in) {
      std::fprintf(stderr, "sluice_sim: cannot read %s\n", options_.scenario_file.c_str());
      return 2;
    }
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto scenario = parse_scenario(text);
    if (!scenario) {
      std::fprintf(stderr, "sluice_sim: %s: %s\n", options_.scenario_file.c_str(),
                   scenario.error().c_str());
      return 2;
    }
    const Outcome outcome = run_in_child(*scenario, run_options());
    ++totals_.seeds;
    totals_.add(outcome);
    if (!outcome.violation.empty()) {
      ++totals_.failed;
      std::printf("FAILED %s %s\n", options_.scenario_file.c_str(), outcome.violation.c_str());
    }
    if (options_.hashes) std::printf("hash=%016llx\n", ull(outcome.hash));
    print_totals();
    return totals_.failed == 0 ? 0 : 1;
  }

  void print_totals() const {
    const double took = seconds();
    const double simulated = static_cast<double>(totals_.simulated) / 1e9;
    std::printf("seeds run: %llu\n", ull(totals_.seeds));
    std::printf("%s mode: %llu failed, %llu run twice and compared\n",
                options_.liveness ? "liveness" : "safety", ull(totals_.failed),
                ull(totals_.compared));
    std::printf("faults %llu, elections %llu, entries %llu, acknowledged %llu, read %llu\n",
                ull(totals_.faults), ull(totals_.elections), ull(totals_.entries),
                ull(totals_.acknowledgements), ull(totals_.reads));
    std::printf("%.1f s: %.0f events/s, simulated time %.0f times real time (%.0f s)\n", took,
                static_cast<double>(totals_.events) / took, simulated / took, simulated);
    if (small_.runs == 0) return;
    std::printf("of these, %llu with %u nodes and entries of at most %u bytes: %.0f times real time\n",
                ull(small_.runs), SmallRuns::kNodes, SmallRuns::kEntryBytesMax,
                static_cast<double>(small_.simulated) / 1e9 / small_.seconds);
  }

  Options options_;
  Totals totals_;
  SmallRuns small_;
  std::chrono::steady_clock::time_point begun_;
};

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  sluice::sim::Options options;
  CLI::App app{"Runs a whole cluster, its disks and its network in one thread, under a seed."};
  app.add_option("--seeds", options.seeds, "A..B: the seeds to run (with --minutes: from A on)");
  app.add_option("--steps", options.steps_max, "events of one run before it counts as stuck");
  app.add_option("--minutes", options.minutes, "run seeds until so many minutes are over");
  app.add_flag("--liveness", options.liveness, "faults stop for a quorum, which must then go on");
  app.add_flag("--trace", options.trace, "print what happens");
  app.add_option("--scenario", options.scenario_file, "replay this file instead of seeds");
  app.add_flag("--stop-on-failure", options.stop_on_failure, "end with the first seed that fails");
  app.add_option("--shrink", options.shrink_tries, "runs spent on making a failure smaller; 0: none");
  app.add_option("--directory", options.directory, "where shrunk scenarios are written");
  app.add_option("--commit", options.commit, "what failures name as the commit");
  app.add_flag("--calm", options.calm, "no faults: for measuring speed");
  app.add_flag("--hashes", options.hashes, "print the hash of each run");
  CLI11_PARSE(app, argc, argv);
  return sluice::sim::Runner(std::move(options)).run();
}
