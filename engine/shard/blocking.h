// Start-up only: submits one operation and runs the loop until it is done.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/io/io.h"

namespace sluice::shard {

/// `submit(completion)` submits exactly one operation. Returns its result.
template <class Submit>
[[nodiscard]] std::int32_t run_blocking(io::Io& io, Submit&& submit) {
  struct Wait {
    bool done = false;
    std::int32_t result = 0;
    void on_done(std::int32_t r) {
      done = true;
      result = r;
    }
  } wait;
  io::Completion completion{io::Completion::bind<&Wait::on_done>(&wait)};
  std::forward<Submit>(submit)(completion);
  while (!wait.done) io.run_once();
  return wait.result;
}

}  // namespace sluice::shard
