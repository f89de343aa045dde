// Standard output, written by a thread of its own: a reader that is slow stops nobody else.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace sluice::tools {

class OutputWriter {
 public:
  /// `on_progress` is called from the writer's thread after each write and when writing failed.
  OutputWriter(int fd, std::function<void()> on_progress);
  /// Writes what is left first.
  ~OutputWriter();
  OutputWriter(const OutputWriter&) = delete;
  OutputWriter& operator=(const OutputWriter&) = delete;

  /// Adds to what will be written. Never blocks; watch pending_bytes().
  void write(std::string_view text);
  /// Hands what was added to the writer's thread. Call once per loop.
  void flush();
  /// Waits until everything is written, or writing failed.
  void drain();

  [[nodiscard]] std::size_t pending_bytes();
  /// errno of a failed write (EPIPE: nobody reads any more), else 0. What is added then is dropped.
  [[nodiscard]] int error();

 private:
  void write_all();

  const int fd_;
  const std::function<void()> on_progress_;
  std::string gathered_;  // of the caller's thread
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queue_;
  std::size_t writing_bytes_ = 0;
  bool quitting_ = false;
  int error_ = 0;
  std::thread thread_;
};

}  // namespace sluice::tools
