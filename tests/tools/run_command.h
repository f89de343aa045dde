// Runs the binary and keeps what it wrote.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sluice::tools {

struct Ran {
  int status = -1;  // exit status; 128 + signal if it was killed
  std::string out;
  std::string err;
};

/// Waits for its end. `input` is its standard input.
[[nodiscard]] Ran run_sluice(const std::vector<std::string>& arguments,
                             const std::string& input = "");

/// The binary while it runs; what it writes to both streams goes to `output_path`.
class Running {
 public:
  Running(std::vector<std::string> arguments, const std::string& output_path);
  /// Kills it if it still runs.
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void signal(int number) const;
  /// Waits for its end; as Ran::status.
  int wait();
  /// Waits until its output holds `text`. False: it ended before, or nothing came for 20 s.
  [[nodiscard]] bool wait_for(const std::string& text);
  [[nodiscard]] std::string output() const;

 private:
  std::string output_path_;
  pid_t pid_ = -1;
};

}  // namespace sluice::tools
