// A line on stderr that tells how far something is, for people who watch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::tools {

/// Draws at most ten times a second, and only when stderr is a terminal.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// stderr is a terminal.
  [[nodiscard]] bool visible() const { return visible_; }
  /// total 0: not known.
  void show(std::string_view what, std::uint64_t done, std::uint64_t total);
  /// A line of the caller's making, cut to the width of the terminal.
  void show_line(const std::string& line);
  /// Takes the line away, so that something else can be printed.
  void clear();

 private:
  /// False: drawn a moment ago, or nobody watches.
  [[nodiscard]] bool due();

  const bool visible_;
  bool drawn_ = false;
  std::uint64_t next_ns_ = 0;
};

/// "[#####.....]  50 %" of `width` characters between the brackets.
[[nodiscard]] std::string bar_text(std::uint64_t done, std::uint64_t total, unsigned width);

}  // namespace sluice::tools
