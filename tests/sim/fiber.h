// A stack of its own for code that blocks in io::Io::run_once(): the thread of a shard or of a client,
// run in turn by the simulator's one thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

namespace sluice::sim {

class Fiber {
 public:
  explicit Fiber(std::move_only_function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs it until it yields or ends. Not from inside a fiber.
  void resume();
  /// Back to who resumed it. From inside only.
  void yield();
  [[nodiscard]] bool done() const { return done_; }

 private:
  class Stack;
  static std::vector<std::unique_ptr<Stack>>& free_stacks();

  std::move_only_function<void()> body_;
  std::unique_ptr<Stack> stack_;
  bool done_ = false;
};

}  // namespace sluice::sim
