#include "tools/input_reader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "wire/check.h"

namespace sluice::tools {

namespace {
constexpr std::size_t kReadBytes = 256u << 10;
}

InputReader::InputReader(int fd, std::function<void()> on_data, std::size_t buffer_bytes_max)
    : fd_(fd), on_data_(std::move(on_data)), buffer_bytes_max_(buffer_bytes_max) {
  quit_ = ::eventfd(0, EFD_CLOEXEC);
  SLUICE_CHECK(quit_ >= 0);
  thread_ = std::thread([this] { read_all(); });
}

InputReader::~InputReader() {
  {
    const std::lock_guard lock(mutex_);
    quitting_ = true;
  }
  room_.notify_one();
  SLUICE_CHECK(::eventfd_write(quit_, 1) == 0);
  thread_.join();
  ::close(quit_);
}

bool InputReader::take(std::string& out) {
  bool more = true;
  {
    const std::lock_guard lock(mutex_);
    more = !at_end_;  // what came before the end goes out now: no wake will follow
    if (out.empty()) {
      out.swap(buffer_);
    } else {
      out += buffer_;
    }
    buffer_.clear();
  }
  room_.notify_one();
  return more;
}

bool InputReader::wait_readable() const {
  for (;;) {
    pollfd waits[] = {{fd_, POLLIN, 0}, {quit_, POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) continue;  // EINTR
    if (waits[1].revents != 0) return false;
    if (waits[0].revents != 0) return true;
  }
}

void InputReader::read_all() {
  const auto chunk = std::make_unique<char[]>(kReadBytes);
  for (bool end = false; !end;) {
    if (!wait_readable()) return;
    const ssize_t size = ::read(fd_, chunk.get(), kReadBytes);
    const int error = size < 0 ? errno : 0;
    if (error == EINTR || error == EAGAIN) continue;
    end = size <= 0;
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return quitting_ || buffer_.size() < buffer_bytes_max_; });
    if (quitting_) return;
    if (size > 0) buffer_.append(chunk.get(), static_cast<std::size_t>(size));
    at_end_ = end;
    error_ = error;
    lock.unlock();
    on_data_();
  }
}

std::string& LineSplitter::buffer() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  return buffer_;
}

bool LineSplitter::next(Line& line, bool at_end) {
  const std::size_t newline = buffer_.find('\n', scanned_);
  const bool found = newline != std::string::npos;
  const std::size_t end = found ? newline : buffer_.size();
  const std::size_t size = end - begin_;
  if (!found) {
    if (size > line_bytes_max_) {  // keeps memory bounded while the rest of it comes
      overlong_ = true;
      begin_ = end;
    }
    scanned_ = end;
    if (!at_end || (end == begin_ && !overlong_)) return false;
  }
  line.too_long = overlong_ || size > line_bytes_max_;
  line.text = line.too_long ? std::string_view{} : std::string_view(buffer_).substr(begin_, size);
  overlong_ = false;
  begin_ = scanned_ = found ? newline + 1 : end;
  return true;
}

}  // namespace sluice::tools
