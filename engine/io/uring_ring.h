// The ring itself: how it is set up on what the kernel offers, and how submissions reach it without
// one being lost. Knows nothing about files, sockets or completions.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

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

  struct Wait {
    bool block = true;
    std::optional<std::uint64_t> timeout_ns;  // empty: until something completes
  };
  /// Submits everything and gathers completions; with `block` it waits for one. One system call
  /// unless the backlog is in use. Returns early on a signal and when the time is over.
  void enter(const Wait& wait);

  /// Completions at hand.
  [[nodiscard]] unsigned ready() const { return io_uring_cq_ready(&ring_); }
  struct Done {
    std::uint64_t user_data;
    std::int32_t result;
  };
  /// Takes one. Requires ready() > 0.
  [[nodiscard]] Done take();

 private:
  Ring() = default;
  void bind_to_this_thread();
  void drain_backlog();

  io_uring ring_{};
  std::thread::id thread_;  // of the first enter()
  std::vector<io_uring_sqe> backlog_;
  std::size_t backlog_begin_ = 0;
};

}  // namespace sluice::io
