// A file or standard input, read by a thread of its own into a bounded buffer, and cut into lines.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace sluice::tools {

class InputReader {
 public:
  /// Reads `fd` (stays the caller's) until its end. `on_data` is called from the reader's thread
  /// whenever take() has something new to say.
  InputReader(int fd, std::function<void()> on_data, std::size_t buffer_bytes_max = 4u << 20);
  /// Ends the thread even while it waits for input.
  ~InputReader();
  InputReader(const InputReader&) = delete;
  InputReader& operator=(const InputReader&) = delete;

  /// Moves what was read since to the end of `out`. False once the end was reached (or once reading
  /// failed: error()): then that was all, and on_data will not be called again.
  [[nodiscard]] bool take(std::string& out);
  /// errno of a failed read, else 0. Meaningful once take() returned false.
  [[nodiscard]] int error() const { return error_; }

 private:
  void read_all();
  /// Waits until `fd` can be read. False: told to quit.
  [[nodiscard]] bool wait_readable() const;

  const int fd_;
  const std::function<void()> on_data_;
  const std::size_t buffer_bytes_max_;
  int quit_ = -1;  // eventfd
  std::mutex mutex_;
  std::condition_variable room_;
  std::string buffer_;
  bool at_end_ = false;
  bool quitting_ = false;
  int error_ = 0;
  std::thread thread_;
};

/// Cuts text that arrives in pieces into lines. What is longer than the bound is not kept.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  /// Where new input goes. Ends the life of views that next() gave out.
  [[nodiscard]] std::string& buffer();

  struct Line {
    std::string_view text;  // without the newline; empty if too_long
    bool too_long = false;
  };
  /// The next whole line; with `at_end` also a last one without newline. False: none.
  [[nodiscard]] bool next(Line& line, bool at_end);

 private:
  const std::size_t line_bytes_max_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of the line that comes next
  std::size_t scanned_ = 0;  // no newline in [begin_, scanned_)
  bool overlong_ = false;    // the front of this line was thrown away already
};

}  // namespace sluice::tools
