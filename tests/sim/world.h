// Time and what happens when: one queue of events, ordered by time and, at the same instant, by
// order of arrival. Nothing in the simulator runs but from here, so a run is a function of its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/random.h"

namespace sluice::sim {

/// Nanoseconds since the world began.
using Time = std::uint64_t;
inline constexpr Time kUs = 1'000;
inline constexpr Time kMs = 1'000'000;
inline constexpr Time kSecond = 1'000'000'000;

class World {
 public:
  using Action = std::move_only_function<void()>;

  explicit World(std::uint64_t seed) : seed_(seed) {}

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] Time now() const { return now_; }
  /// A generator for one part of the world.
  [[nodiscard]] Random random_for(std::string_view part, std::uint64_t number = 0) const {
    return Random(seed_, part, number);
  }

  /// Runs `action` at `when` (now if that is past).
  void at(Time when, Action action);
  void after(Time delay, Action action) { at(now_ + delay, std::move(action)); }

  /// Runs the next event. False: there is none.
  bool step();
  [[nodiscard]] std::uint64_t events() const { return events_; }

  /// Adds to the rolling hash that two runs of one seed must share.
  void mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 29;
  }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

  /// The first violation ends the run (also when it is found on a fiber, where nothing may be
  /// thrown through other people's frames).
  void report(std::string what) {
    if (violation_.empty()) violation_ = std::move(what);
  }
  [[nodiscard]] const std::string& violation() const { return violation_; }

  bool tracing = false;
  /// A line of the trace: time and text, to standard output.
  void trace(std::string_view who, std::string_view what) const;

 private:
  struct Event {
    Time when;
    std::uint64_t sequence;
    std::uint32_t slot;
    [[nodiscard]] bool after(const Event& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };

  std::uint64_t seed_;
  Time now_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t hash_ = 0;
  std::vector<Event> heap_;
  std::vector<Action> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::string violation_;
};

}  // namespace sluice::sim
