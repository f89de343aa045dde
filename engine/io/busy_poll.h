// How long a thread that waits looks for completions itself before it goes to sleep.
//
// To sleep and be woken costs more than most of what a node waits for in a busy hour: whoever wakes
// it has to interrupt its core, and a core that has gone idle takes its time to come back (some 12
// us and 25 us on a virtual machine; a durable write is 150). So a thread that is kept busy looks
// for a while, and gives its core away between looks to whoever wants it (sched_yield(2)). A thread
// that waited long the last time, or for nothing but its own clock, is idle and sleeps at once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::io {

class BusyPoll {
 public:
  /// Looks for `window_ns` at the most; 0: never.
  explicit BusyPoll(std::uint64_t window_ns) : window_ns_(std::min(window_ns, kWindowNsMax)) {}

  [[nodiscard]] bool enabled() const { return window_ns_ > 0; }
  /// For how long to look in the wait that begins now, ns.
  [[nodiscard]] std::uint64_t window_ns() const {
    return worked_ && waited_ns_ <= kBusyWindows * window_ns_ ? window_ns_ : 0;
  }
  /// That wait took `waited_ns`, looking and sleeping.
  void on_waited(std::uint64_t waited_ns) {
    waited_ns_ = waited_ns;
    worked_ = false;
  }
  /// Something completed since, other than an alarm. Without this an idle thread with a clock that
  /// ticks often would look between its ticks for ever.
  void on_completion() { worked_ = true; }

 private:
  /// Who waited longer than so many windows is idle. More than one: a disk that takes a few windows
  /// is slept for, and what comes after it (an answer, the next batch) is worth looking for.
  static constexpr std::uint64_t kBusyWindows = 10;
  static constexpr std::uint64_t kWindowNsMax = 1ull << 60;  // kBusyWindows of it fit

  std::uint64_t window_ns_;
  std::uint64_t waited_ns_ = 0;
  bool worked_ = false;
};

}  // namespace sluice::io
