// A client with its ring and the loop around it, as the commands use it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/client/client.h"
#include "engine/io/io.h"
#include "tools/option_set.h"
#include "tools/stop_signal.h"

namespace sluice::tools {

/// The options of every command that talks to a cluster.
struct ClusterOptions {
  std::vector<std::string> cluster;
  std::string cluster_id;
  std::uint32_t timeout_ms = 5000;
  std::uint32_t batch_bytes_max = 1u << 20;
  std::uint64_t inflight_bytes_max = client::Options().inflight_bytes_max;  // of appends; no option
  std::uint32_t busy_poll_us = 0;  // of the loop (engine/io/busy_poll.h); likewise

  /// --cluster (required) and --cluster-id.
  void declare(OptionSet& options);
  void declare_timeout(OptionSet& options);
  void declare_batch_bytes(OptionSet& options);
};

/// Marks an option that holds a group's number.
void declare_group(OptionSet& options, std::uint32_t& group);

class ClientLoop : private client::Events {
 public:
  /// `events` outlives the loop. Throws Failure (no io_uring) or UsageError (bad address).
  ClientLoop(const ClusterOptions& options, client::Events& events);
  /// Closes the client and waits for it. `events` hears nothing from then on.
  ~ClientLoop() override;
  ClientLoop(const ClientLoop&) = delete;
  ClientLoop& operator=(const ClientLoop&) = delete;

  [[nodiscard]] client::Client& client() { return *client_; }
  [[nodiscard]] io::Io& io() { return *io_; }

  /// Sends what was gathered, waits until something happens (an answer, wake(), the tick, a stop
  /// signal), runs the handlers.
  void turn();

  /// Ends the wait of turn(). From any thread, while the loop lives.
  void wake() { waker_->wake(); }

  /// turn() returns at least this often from now on. 0: no longer.
  void set_tick_ms(std::uint32_t tick_ms);
  /// turn() returns at this time of monotonic_ns() at the latest. Keeps the earliest one asked for.
  void wake_at(std::uint64_t deadline_ns);

  /// SIGINT or SIGTERM arrived.
  [[nodiscard]] bool stopped() const { return stop_.stopped(); }

 private:
  void on_wake(std::int32_t result);
  void on_tick(std::int32_t result);
  void on_deadline(std::int32_t result);

  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    if (!closing_) events_.on_append(tag, outcome);
  }
  void on_read(std::uint64_t tag, const client::ReadOutcome& outcome) override {
    if (!closing_) events_.on_read(tag, outcome);
  }
  void on_status(std::uint64_t tag, const client::NodeStatus& status) override {
    if (!closing_) events_.on_status(tag, status);
  }
  void on_trim(std::uint64_t tag, const client::TrimOutcome& outcome) override {
    if (!closing_) events_.on_trim(tag, outcome);
  }

  client::Events& events_;
  std::unique_ptr<io::Io> io_;
  std::unique_ptr<io::Waker> waker_;
  StopSignal stop_;  // its thread calls waker_, so it ends before that
  std::unique_ptr<client::Client> client_;
  bool closing_ = false;
  std::uint32_t tick_ms_ = 0;
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  std::uint64_t deadline_ns_ = kNever;
  io::Completion wake_{io::Completion::bind<&ClientLoop::on_wake>(this)};
  io::Completion tick_{io::Completion::bind<&ClientLoop::on_tick>(this)};
  io::Completion deadline_{io::Completion::bind<&ClientLoop::on_deadline>(this)};
};

}  // namespace sluice::tools
