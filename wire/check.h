// CHECK: programmer errors, on in release too. Operating errors are values (wire/result.h).
//
// A broken invariant in a replicated log is worth a crash: the node recovers from its segments and
// the others hold the entries, whereas a node that goes on may acknowledge what it does not have.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice::detail {
[[noreturn]] inline void check_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "sluice: invariant broken: %s (%s:%d)\n", what, file, line);
  std::abort();
}
}  // namespace sluice::detail

#define SLUICE_CHECK(condition)                                       \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::sluice::detail::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
