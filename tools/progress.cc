#include "tools/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tools/client_loop.h"
#include "tools/usage.h"

namespace sluice::tools {

ProgressBar::ProgressBar() : visible_(::isatty(STDERR_FILENO) == 1) {}

bool ProgressBar::due() {
  if (!visible_) return false;
  const std::uint64_t now = monotonic_ns();
  if (now < next_ns_) return false;
  next_ns_ = now + 100'000'000;
  return drawn_ = true;
}

void ProgressBar::show_line(const std::string& line) {
  if (!due()) return;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  fmt::print(stderr, "\r\033[K{}", line.substr(0, known ? size.ws_col - 1u : 79u));
}

void ProgressBar::show(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (!due()) return;
  if (total == 0) {
    fmt::print(stderr, "\r\033[K{:L} {}", done, what);
  } else {
    fmt::print(stderr, "\r\033[K{} {} {}", bar_text(done, total, 30), done, what);
  }
}

void ProgressBar::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

std::string bar_text(std::uint64_t done, std::uint64_t total, unsigned width) {
  const double share =
      total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto full = static_cast<unsigned>(share * width);
  return fmt::format("[{}{}] {:3.0f} %", std::string(full, '#'), std::string(width - full, '.'),
                     share * 100);
}

}  // namespace sluice::tools
