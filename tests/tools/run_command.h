// Runs the binary and keeps what it wrote.
#pragma once

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

}  // namespace sluice::tools
