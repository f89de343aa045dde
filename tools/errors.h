// How a command ends when it cannot do what was asked. Thrown in tools only: sluice.cc catches
// them, prints one line and picks the exit status.
#pragma once

#include <stdexcept>

namespace sluice::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

/// Asked for the wrong thing: unknown option, bad value, bad configuration. Exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Asked for the right thing, and it did not work. Exit status 1.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::tools
