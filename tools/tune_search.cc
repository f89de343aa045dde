#include "tools/tune_search.h"

#include <algorithm>
#include <array>

#include "tools/json.h"

namespace sluice::tools {
namespace {

/// Two measurements of one point differ by as much on a quiet machine.
constexpr double kMargin = 0.03;
constexpr std::size_t kKnobs = 3;
constexpr std::uint64_t kLoadBytesMax = 64u << 20;

constexpr std::array<std::uint64_t, 4> kDepths = {1, 2, 4, 8};
constexpr std::array<std::uint64_t, 4> kBatchBytes = {64u << 10, 256u << 10, 1u << 20, 4u << 20};
constexpr std::array<std::uint64_t, 4> kWindowBytes = {1u << 20, 4u << 20, 8u << 20, 32u << 20};

const std::array<std::uint64_t, 4>& values_of(std::size_t knob) {
  return knob == 0 ? kDepths : knob == 1 ? kBatchBytes : kWindowBytes;
}

std::uint64_t value_at(const TunePoint& point, std::size_t knob) {
  return knob == 0   ? point.writes_inflight_max
         : knob == 1 ? point.batch_bytes_max
                     : point.inflight_bytes_max;
}

void set_value(TunePoint& point, std::size_t knob, std::uint64_t value) {
  if (knob == 0) {
    point.writes_inflight_max = static_cast<std::uint32_t>(value);
  } else if (knob == 1) {
    point.batch_bytes_max = value;
  } else {
    point.inflight_bytes_max = value;
  }
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

bool is_durable(const TuneResult& result) {
  return result.point.fsync == "always" && result.entries_per_s > 0;
}

}  // namespace

bool is_better(const TuneResult& a, const TuneResult& b, const TuneGoal& goal, double margin) {
  const auto within = [&](const TuneResult& r) {
    return r.entries_per_s > 0 && (goal.p99_ms_max <= 0 || r.p99_ms <= goal.p99_ms_max);
  };
  if (within(a) != within(b)) return within(a);
  if ((a.entries_per_s > 0) != (b.entries_per_s > 0)) return a.entries_per_s > 0;
  if (!within(a)) return a.p99_ms * (1 + margin) < b.p99_ms;
  if (a.entries_per_s > b.entries_per_s * (1 + margin)) return true;
  const bool equal = b.entries_per_s <= a.entries_per_s * (1 + margin);
  // Much lower, since a p99 is far less certain than a throughput.
  return margin > 0 && equal && a.p99_ms * (1 + 5 * margin) < b.p99_ms;
}

std::vector<TuneResult> medians(const std::vector<TuneResult>& results) {
  std::vector<TuneResult> all;
  for (const TuneResult& result : results) {
    const auto same = [&](const TuneResult& other) { return other.point == result.point; };
    if (std::ranges::any_of(all, same)) continue;
    std::vector<double> entries, p50, p99;
    for (const TuneResult& one : results) {
      if (!same(one)) continue;
      entries.push_back(one.entries_per_s);
      p50.push_back(one.p50_ms);
      p99.push_back(one.p99_ms);
    }
    all.push_back({result.point, median(entries), median(p50), median(p99)});
  }
  return all;
}

std::optional<std::size_t> best_of(const std::vector<TuneResult>& results, const TuneGoal& goal) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < results.size(); ++i)
    if (is_durable(results[i]) && (!best || is_better(results[i], results[*best], goal))) best = i;
  return best;
}

std::vector<TuneResult> frontier(const std::vector<TuneResult>& results) {
  std::vector<TuneResult> front;
  for (const TuneResult& one : results) {
    const bool beaten = std::ranges::any_of(results, [&](const TuneResult& other) {
      const bool as_good = other.entries_per_s >= one.entries_per_s && other.p99_ms <= one.p99_ms;
      const bool better = other.entries_per_s > one.entries_per_s || other.p99_ms < one.p99_ms;
      return is_durable(other) && as_good && better;
    });
    if (is_durable(one) && !beaten) front.push_back(one);
  }
  std::ranges::sort(front, {}, &TuneResult::entries_per_s);
  return front;
}

TuneSearch::TuneSearch(TuneGoal goal, std::uint64_t entry_bytes, std::uint64_t segment_bytes)
    : goal_(goal), entry_bytes_(entry_bytes), segment_bytes_(segment_bytes) {
  for (const std::uint32_t load : {256u, 1u, 16u, 64u, 1024u, 4096u})
    if (load == 1 || load * entry_bytes <= kLoadBytesMax) loads_.push_back(load);
  enter(Stage::kLadder);
}

bool TuneSearch::was_measured(const TunePoint& point) const {
  return std::ranges::any_of(results_, [&](const auto& r) { return r.point == point; });
}

/// What Config::problem() of the nodes would refuse, and what the entries do not fit into.
bool TuneSearch::is_sound(const TunePoint& point) const {
  return entry_bytes_ + 128 <= point.batch_bytes_max &&
         point.inflight_bytes_max >= point.batch_bytes_max &&
         4 * (point.batch_bytes_max + 3 * 4096) <= segment_bytes_;
}

TuneResult TuneSearch::best() const {
  const std::vector<TuneResult> all = medians(results_);
  const auto position = best_of(all, goal_);
  return position ? all[*position] : TuneResult();
}

std::vector<TunePoint> TuneSearch::neighbours(const TunePoint& point, std::size_t knob,
                                              int direction) const {
  const auto& values = values_of(knob);
  std::vector<TunePoint> points;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t value = values[direction > 0 ? i : values.size() - 1 - i];
    const bool beyond =
        direction > 0 ? value > value_at(point, knob) : value < value_at(point, knob);
    TunePoint next = point;
    set_value(next, knob, value);
    if (beyond && is_sound(next)) points.push_back(next);
  }
  return points;
}

void TuneSearch::enter(Stage stage) {
  stage_ = stage;
  queue_.clear();
  const TuneResult best_now = best();
  const auto queue = [&](const TunePoint& point) {
    if (!was_measured(point)) queue_.push_back(point);
  };
  switch (stage) {
    case Stage::kLadder: {
      TunePoint start;
      while (!is_sound(start) && start.batch_bytes_max < 16u << 20) {
        start.batch_bytes_max *= 2;  // for large entries
        start.inflight_bytes_max = std::max(start.inflight_bytes_max, start.batch_bytes_max);
      }
      for (const std::uint32_t load : loads_) {
        start.outstanding = load;
        queue_.push_back(start);
      }
      break;
    }
    case Stage::kDescent:
      here_ = best_now;
      knob_ = idle_ = 0;
      direction_ = 1;
      break;
    case Stage::kAround:
      for (const std::uint32_t load : loads_) {
        TunePoint point = best_now.point;
        point.outstanding = load;
        queue(point);
      }
      break;
    case Stage::kConfirm: {
      std::vector<TuneResult> all = medians(results_);
      std::erase_if(all, [](const TuneResult& r) { return !is_durable(r); });
      std::ranges::stable_sort(
          all, [&](const TuneResult& a, const TuneResult& b) { return is_better(a, b, goal_); });
      if (all.size() > 2) all.resize(2);
      for (int round = 0; round < 2; ++round)
        for (const TuneResult& one : all) queue_.push_back(one.point);
      break;
    }
    case Stage::kOthers:
      for (const char* policy : {"interval=10ms", "never"}) {
        TunePoint point = best_now.point;
        point.fsync = policy;
        queue(point);
      }
      break;
    case Stage::kDone:
      break;
  }
}

void TuneSearch::next_stage() {
  const bool nothing = best().entries_per_s == 0;  // no cluster ran: there is nothing to improve
  enter(nothing ? Stage::kDone : static_cast<Stage>(static_cast<int>(stage_) + 1));
}

bool TuneSearch::queue_step() {
  for (const TunePoint& point : neighbours(here_.point, knob_, direction_)) {
    if (was_measured(point)) break;  // it was not better then
    queue_.push_back(point);
    return true;
  }
  return false;
}

std::optional<TunePoint> TuneSearch::next() {
  while (queue_.empty() && stage_ != Stage::kDone) {
    if (stage_ != Stage::kDescent) {
      next_stage();
      continue;
    }
    if (queue_step()) break;
    if (direction_ > 0) {
      direction_ = -1;
      continue;
    }
    direction_ = 1;
    knob_ = (knob_ + 1) % kKnobs;
    if (++idle_ >= kKnobs) next_stage();
  }
  if (queue_.empty()) return {};
  return queue_.front();
}

void TuneSearch::add(const TuneResult& result) {
  results_.push_back(result);
  if (!queue_.empty()) queue_.pop_front();
  if (stage_ == Stage::kDescent) judge_step(result);
}

void TuneSearch::judge_step(const TuneResult& result) {
  if (!is_better(result, here_, goal_, kMargin)) return;  // its neighbour was measured: turn round
  here_ = result;
  idle_ = 0;
}

std::size_t TuneSearch::left() const {
  // What a stage will ask for is not known before: what it asks for as a rule.
  constexpr std::size_t kDescentUsual = 7, kConfirm = 4, kOthers = 2;
  const std::size_t around = loads_.size() - 1;
  switch (stage_) {
    case Stage::kLadder:
      return queue_.size() + kDescentUsual + around + kConfirm + kOthers;
    case Stage::kDescent:
      return (kKnobs - std::min(idle_, kKnobs)) * 2 + around + kConfirm + kOthers;
    case Stage::kAround:
      return queue_.size() + kConfirm + kOthers;
    case Stage::kConfirm:
      return queue_.size() + kOthers;
    case Stage::kOthers:
      return queue_.size();
    case Stage::kDone:
      break;
  }
  return 0;
}

std::string_view TuneSearch::stage_name() const {
  switch (stage_) {
    case Stage::kLadder:
      return "rising load";
    case Stage::kDescent:
      return "one knob after the other";
    case Stage::kAround:
      return "the best under other loads";
    case Stage::kConfirm:
      return "the best once more";
    case Stage::kOthers:
      return "other fsync policies";
    case Stage::kDone:
      break;
  }
  return "done";
}

Json point_json(const TunePoint& point) {
  return {{"batch_bytes_max", point.batch_bytes_max},
          {"writes_inflight_max", point.writes_inflight_max},
          {"inflight_bytes_max", point.inflight_bytes_max},
          {"outstanding", point.outstanding},
          {"fsync", point.fsync}};
}

}  // namespace sluice::tools
