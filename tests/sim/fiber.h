// A stack of its own for code that blocks in io::Io::run_once(): the thread of a shard or of a client,
// run in turn by the simulator's one thread.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>

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
  static void entry(unsigned high, unsigned low);
  void run();

  std::move_only_function<void()> body_;
  std::unique_ptr<std::byte[]> stack_;
  ucontext_t own_{}, caller_{};
  bool done_ = false;
  // What the address sanitizer wants to know of the two stacks.
  void* own_fake_stack_ = nullptr;
  void* caller_fake_stack_ = nullptr;
  const void* caller_stack_ = nullptr;
  std::size_t caller_stack_bytes_ = 0;
};

}  // namespace sluice::sim
