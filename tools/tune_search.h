// Which settings `sluice tune` tries, in which order, and which of them it chooses. No time, no IO:
// results in, the next point out.
//
//   1. ladder    the defaults under rising load: where throughput ends and latency begins
//   2. descent   at the load that serves the goal best, one knob after the other up or down as long
//                as that helps by more than noise; again from the first knob until none helps
//   3. ladder    the best knobs under the loads around
//   4. confirm   the two best points twice more, in turn: the best of many measurements is partly
//                luck, and the median of three takes most of it out
//   5. others    what the chosen point would do under other fsync policies, for information
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tools/json_fwd.h"


namespace sluice::tools {

struct TunePoint {
  std::uint64_t batch_bytes_max = 1u << 20;
  std::uint32_t writes_inflight_max = 4;
  std::uint64_t inflight_bytes_max = 8u << 20;
  std::uint32_t outstanding = 256;
  std::string fsync = "always";
  bool operator==(const TunePoint&) const = default;
  /// The same but for the load.
  [[nodiscard]] bool same_knobs(const TunePoint& other) const {
    TunePoint point = other;
    point.outstanding = outstanding;
    return *this == point;
  }
};

struct TuneResult {
  TunePoint point;
  double entries_per_s = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

/// p99_ms_max 0: the most throughput, whatever the latency.
struct TuneGoal {
  double p99_ms_max = 0;
};

/// Whether `a` serves the goal better than `b`, by more than the share `margin` of it. Among those
/// within the goal's p99 (or if it has none) throughput counts, and p99 where throughput is equal
/// within the margin; outside, the lower p99.
[[nodiscard]] bool is_better(const TuneResult& a, const TuneResult& b, const TuneGoal& goal,
                             double margin = 0);

/// One for each point that was measured, in the order of the first measurement; medians of those
/// that were measured more than once.
[[nodiscard]] std::vector<TuneResult> medians(const std::vector<TuneResult>& results);

/// Position of the best of `results` with fsync always; nothing if there is none.
[[nodiscard]] std::optional<std::size_t> best_of(const std::vector<TuneResult>& results,
                                                 const TuneGoal& goal);

/// Those with fsync always that no other one beats in both throughput and p99, by throughput.
[[nodiscard]] std::vector<TuneResult> frontier(const std::vector<TuneResult>& results);

class TuneSearch {
 public:
  TuneSearch(TuneGoal goal, std::uint64_t entry_bytes, std::uint64_t segment_bytes);

  /// What to measure next; nothing: the search is done. Stays the same until add().
  [[nodiscard]] std::optional<TunePoint> next();
  /// The result of next(); for one that could not be measured, entries_per_s of 0.
  void add(const TuneResult& result);

  /// How many measurements are still to come, about.
  [[nodiscard]] std::size_t left() const;
  /// What is being done now, for people.
  [[nodiscard]] std::string_view stage_name() const;
  [[nodiscard]] const std::vector<TuneResult>& results() const { return results_; }

 private:
  enum class Stage : std::uint8_t { kLadder, kDescent, kAround, kConfirm, kOthers, kDone };

  void enter(Stage stage);
  void next_stage();
  /// Queues what is to be tried next on the knob at hand. False: nothing, go on to the next one.
  [[nodiscard]] bool queue_step();
  void judge_step(const TuneResult& result);
  [[nodiscard]] TuneResult best() const;
  [[nodiscard]] bool was_measured(const TunePoint& point) const;
  [[nodiscard]] std::vector<TunePoint> neighbours(const TunePoint& point, std::size_t knob,
                                                  int direction) const;
  [[nodiscard]] bool is_sound(const TunePoint& point) const;

  TuneGoal goal_;
  std::uint64_t entry_bytes_;
  std::uint64_t segment_bytes_;
  std::vector<std::uint32_t> loads_;
  Stage stage_ = Stage::kLadder;
  std::deque<TunePoint> queue_;
  std::vector<TuneResult> results_;

  // Descent.
  TuneResult here_;  // the best so far
  std::size_t knob_ = 0;
  int direction_ = 1;     // 1 up, -1 down
  std::size_t idle_ = 0;  // knobs in a row that did not help
};

[[nodiscard]] Json point_json(const TunePoint& point);

}  // namespace sluice::tools
