// Io over io_uring (io_uring(7), liburing 2.3). One ring per instance, for one thread: the one that
// first calls run_once(). It may be made, and operations submitted, in another thread before that,
// and it may be destroyed in another thread after that one has left its loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/io/io.h"

namespace sluice::io {

struct UringOptions {
  unsigned submission_entries = 1024;
  unsigned completion_entries = 8192;
  /// How long run_once() looks for completions before it sleeps, while there is much to do; 0: not
  /// at all (busy_poll.h). A node's threads look as its configuration says.
  std::uint64_t busy_poll_ns = 0;
};

/// Errors  kIo with errno in `error` (ENOSYS or EPERM: io_uring is missing or forbidden).
[[nodiscard]] Result<std::unique_ptr<Io>> make_uring_io(const UringOptions& options, int& error);

}  // namespace sluice::io
