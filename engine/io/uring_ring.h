// The ring itself: how it is set up on what the kernel offers, and how submissions reach it without
// one being lost. Knows nothing about files, sockets or completions.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "engine/io/busy_poll.h"
#include "engine/io/uring_io.h"
#include "wire/result.h"

namespace sluice::io {

/// One io_uring. Created disabled and enabled by the first enter(), whose thread then owns it:
/// IORING_SETUP_SINGLE_ISSUER and the registered ring descriptor belong to a thread.
class Ring {
 public:
  /// Tries the flags that suit a reactor, then those that an older kernel knows.
  [[nodiscard]] static Result<std::unique_ptr<Ring>> make(const UringOptions& options, int& error);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// A submission to be filled in, valid until the next call. When the ring's queue is full it
  /// comes from a backlog in user space, in order: nothing is refused and nothing overtakes.
  [[nodiscard]] io_uring_sqe& next_submission();

  /// Submits everything and gathers completions; with `block` it waits for one. One system call
  /// unless the backlog is in use or a completion is looked for before sleeping (BusyPoll). Returns
  /// early on a signal while it sleeps and when an alarm goes off.
  void enter(bool block);

  /// From now on enter() does not block beyond `deadline_ns` (CLOCK_MONOTONIC). An alarm for an
  /// earlier time stays, and wakes for nothing if nobody wants it any more.
  ///
  /// An operation of its own, because a time-out of the wait itself is programmed into the
  /// processor's timer and taken back in every call.
  void set_alarm(std::uint64_t deadline_ns);

  /// Completions at hand.
  [[nodiscard]] unsigned ready() const { return io_uring_cq_ready(&ring_); }
  struct Done {
    std::uint64_t user_data;  // kNobody: of no interest
    std::int32_t result;
  };
  static constexpr std::uint64_t kNobody = 0;
  /// Takes one. Requires ready() > 0.
  [[nodiscard]] Done take();

 private:
  explicit Ring(std::uint64_t busy_poll_ns) : busy_poll_(busy_poll_ns) {}
  void bind_to_this_thread();
  void drain_backlog();
  int wait();
  void look_until(std::uint64_t deadline_ns);

  io_uring ring_{};
  std::thread::id thread_;  // of the first enter()
  std::vector<io_uring_sqe> backlog_;
  std::size_t backlog_begin_ = 0;
  BusyPoll busy_poll_;

  static constexpr std::uint64_t kAlarm = 1;  // user data; completions are aligned, so none has it
  static constexpr std::uint64_t kNoAlarm = ~std::uint64_t{0};
  std::uint64_t alarm_ns_ = kNoAlarm;
  // What the kernel reads when it takes the submission: a new alarm, an earlier time for it.
  __kernel_timespec alarm_time_{}, earlier_time_{};
};

}  // namespace sluice::io
