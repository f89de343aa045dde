// A line on stderr that tells how far something is, for people who watch.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::tools {

/// Draws at most ten times a second, and only when stderr is a terminal.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// total 0: not known.
  void show(std::string_view what, std::uint64_t done, std::uint64_t total);
  /// Takes the line away, so that something else can be printed.
  void clear();

 private:
  const bool visible_;
  bool drawn_ = false;
  std::uint64_t next_ns_ = 0;
};

/// "[#####.....]  50 %" of `width` characters between the brackets.
[[nodiscard]] std::string bar_text(std::uint64_t done, std::uint64_t total, unsigned width);

}  // namespace sluice::tools
