// SIGTERM and SIGINT as a call on a thread of their own.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace sluice::tools {

/// While it lives: the first SIGTERM or SIGINT calls `on_stop` (from another thread), a second one
/// ends the process at once. Make it before any other thread starts, so that all of them leave the
/// two signals to it. SIGPIPE is ignored from then on: writes to a closed pipe fail instead.
class StopSignal {
 public:
  explicit StopSignal(std::function<void()> on_stop);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_acquire); }

 private:
  void watch();

  std::function<void()> on_stop_;
  int signals_ = -1;  // signalfd
  int quit_ = -1;     // eventfd
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace sluice::tools
