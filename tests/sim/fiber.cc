#include "tests/sim/fiber.h"

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/preallocated.hpp>
#include <cstddef>
#include <utility>

#include "wire/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_SIM_ASAN 1
#endif
#endif

#ifdef SLUICE_SIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace sluice::sim {
namespace {

#ifdef SLUICE_SIM_ASAN
constexpr std::size_t kStackBytes = std::size_t{1} << 20;
#else
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
#endif

/// What the address sanitizer wants to know of a change of stacks: `leave` before, `arrive` after.
/// (fake_stack: where it keeps the frames that it watches beyond their function's return.)
struct Side {
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size_bytes = 0;
};

void leave([[maybe_unused]] Side& from, [[maybe_unused]] const Side& to) {
#ifdef SLUICE_SIM_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size_bytes);
#endif
}

void arrive([[maybe_unused]] Side& here, [[maybe_unused]] Side& came_from) {
#ifdef SLUICE_SIM_ASAN
  __sanitizer_finish_switch_fiber(here.fake_stack, &came_from.bottom, &came_from.size_bytes);
#endif
}

}  // namespace

/// A context that runs one body after the other, since a run starts many processes, and a new context
/// costs the address sanitizer megabytes of fake stack. It never ends: boost would unwind it.
class Fiber::Stack {
 public:
  Stack() {
    boost::context::fixedsize_stack allocator(kStackBytes);
    const boost::context::stack_context memory = allocator.allocate();
    inside_side_.bottom = static_cast<std::byte*>(memory.sp) - memory.size;  // it grows down
    inside_side_.size_bytes = memory.size;
    inside_ = boost::context::fiber(
        std::allocator_arg, boost::context::preallocated(memory.sp, memory.size, memory), allocator,
        [this](boost::context::fiber&& caller) -> boost::context::fiber {
          outside_ = std::move(caller);
          serve();
        });
  }

  void enter(Fiber& fiber) {
    fiber_ = &fiber;
    leave(outside_side_, inside_side_);
    inside_ = std::move(inside_).resume();
    arrive(outside_side_, inside_side_);
  }

  void exit() {
    leave(inside_side_, outside_side_);
    outside_ = std::move(outside_).resume();
    arrive(inside_side_, outside_side_);
  }

 private:
  [[noreturn]] void serve() {
    arrive(inside_side_, outside_side_);
    for (;;) {
      fiber_->body_();
      fiber_->body_ = nullptr;
      fiber_->done_ = true;
      exit();
    }
  }

  Fiber* fiber_ = nullptr;
  boost::context::fiber inside_, outside_;  // each empty while it runs
  Side inside_side_, outside_side_;
};

/// Kept for ever, and so never unwound; still reachable, so not a leak.
std::vector<std::unique_ptr<Fiber::Stack>>& Fiber::free_stacks() {
  static auto& stacks = *new std::vector<std::unique_ptr<Stack>>;
  return stacks;
}

Fiber::Fiber(std::move_only_function<void()> body) : body_(std::move(body)) {
  auto& stacks = free_stacks();
  if (stacks.empty()) {
    stack_ = std::make_unique<Stack>();
  } else {
    stack_ = std::move(stacks.back());
    stacks.pop_back();
  }
}

Fiber::~Fiber() {
  SLUICE_CHECK(done_);
  free_stacks().push_back(std::move(stack_));
}

void Fiber::resume() {
  SLUICE_CHECK(!done_);
  stack_->enter(*this);
}

void Fiber::yield() { stack_->exit(); }

}  // namespace sluice::sim
