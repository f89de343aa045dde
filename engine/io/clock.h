// The system's clocks in one number (clock_gettime(2)).
#pragma once

#include <cstdint>
#include <ctime>

#include "wire/check.h"

namespace sluice::io {

/// ns since the clock's epoch.
inline std::uint64_t clock_ns(clockid_t clock) {
  timespec time{};
  SLUICE_CHECK(::clock_gettime(clock, &time) == 0);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace sluice::io
