#include "tests/sim/fiber.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "wire/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_SIM_ASAN 1
#endif
#endif

#ifdef SLUICE_SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace sluice::sim {
namespace {

#ifdef SLUICE_SIM_ASAN
constexpr std::size_t kStackBytes = std::size_t{1} << 20;
#else
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
#endif

/// Stacks are used again: a run starts many processes.
std::vector<std::unique_ptr<std::byte[]>>& free_stacks() {
  static std::vector<std::unique_ptr<std::byte[]>> stacks;
  return stacks;
}

std::unique_ptr<std::byte[]> take_stack() {
  auto& stacks = free_stacks();
  if (stacks.empty()) return std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  auto stack = std::move(stacks.back());
  stacks.pop_back();
  return stack;
}

void give_back(std::unique_ptr<std::byte[]> stack) {
#ifdef SLUICE_SIM_ASAN
  __asan_unpoison_memory_region(stack.get(), kStackBytes);
#endif
  free_stacks().push_back(std::move(stack));
}

}  // namespace

Fiber::Fiber(std::move_only_function<void()> body) : body_(std::move(body)), stack_(take_stack()) {
  SLUICE_CHECK(getcontext(&own_) == 0);
  own_.uc_stack.ss_sp = stack_.get();
  own_.uc_stack.ss_size = kStackBytes;
  own_.uc_link = nullptr;
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  // makecontext hands over ints only.
  makecontext(&own_, reinterpret_cast<void (*)()>(&Fiber::entry), 2,
              static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
}

Fiber::~Fiber() {
  SLUICE_CHECK(done_);
  give_back(std::move(stack_));
}

void Fiber::entry(unsigned high, unsigned low) {
  const auto self = (std::uintptr_t{high} << 32) | low;
  reinterpret_cast<Fiber*>(self)->run();
}

void Fiber::run() {
#ifdef SLUICE_SIM_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &caller_stack_, &caller_stack_bytes_);
#endif
  body_();
  body_ = nullptr;
  done_ = true;
#ifdef SLUICE_SIM_ASAN
  __sanitizer_start_switch_fiber(nullptr, caller_stack_, caller_stack_bytes_);
#endif
  swapcontext(&own_, &caller_);
  SLUICE_CHECK(false);  // nobody resumes what is done
}

void Fiber::resume() {
  SLUICE_CHECK(!done_);
#ifdef SLUICE_SIM_ASAN
  __sanitizer_start_switch_fiber(&caller_fake_stack_, stack_.get(), kStackBytes);
#endif
  SLUICE_CHECK(swapcontext(&caller_, &own_) == 0);
#ifdef SLUICE_SIM_ASAN
  __sanitizer_finish_switch_fiber(caller_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::yield() {
#ifdef SLUICE_SIM_ASAN
  __sanitizer_start_switch_fiber(&own_fake_stack_, caller_stack_, caller_stack_bytes_);
#endif
  SLUICE_CHECK(swapcontext(&own_, &caller_) == 0);
#ifdef SLUICE_SIM_ASAN
  __sanitizer_finish_switch_fiber(own_fake_stack_, &caller_stack_, &caller_stack_bytes_);
#endif
}

}  // namespace sluice::sim
