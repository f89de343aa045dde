#include "tools/output_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::tools {
namespace {

/// 0, or errno. Whoever shares the file may have made it non-blocking: then this waits for room.
int write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size >= 0) {
      text.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno == EAGAIN) {
      pollfd room{fd, POLLOUT, 0};
      (void)::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

OutputWriter::OutputWriter(int fd, std::function<void()> on_progress)
    : fd_(fd), on_progress_(std::move(on_progress)), thread_([this] { write_all(); }) {}

OutputWriter::~OutputWriter() {
  flush();
  {
    const std::lock_guard lock(mutex_);
    quitting_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void OutputWriter::write(std::string_view text) { gathered_ += text; }

void OutputWriter::flush() {
  if (gathered_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (error_ == 0) {
      if (queue_.empty()) {
        queue_.swap(gathered_);
      } else {
        queue_ += gathered_;
      }
    }
  }
  gathered_.clear();
  changed_.notify_all();
}

void OutputWriter::drain() {
  flush();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ != 0 || (queue_.empty() && writing_bytes_ == 0); });
}

std::size_t OutputWriter::pending_bytes() {
  const std::lock_guard lock(mutex_);
  return gathered_.size() + queue_.size() + writing_bytes_;
}

int OutputWriter::error() {
  const std::lock_guard lock(mutex_);
  return error_;
}

void OutputWriter::write_all() {
  std::string text;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return quitting_ || !queue_.empty(); });
      if (queue_.empty() || error_ != 0) return;
      text.clear();
      text.swap(queue_);
      writing_bytes_ = text.size();
    }
    const int error = write_whole(fd_, text);
    {
      const std::lock_guard lock(mutex_);
      writing_bytes_ = 0;
      error_ = error;
      if (error != 0) queue_.clear();
    }
    changed_.notify_all();
    on_progress_();
  }
}

}  // namespace sluice::tools
