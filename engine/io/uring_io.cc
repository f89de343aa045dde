#include "engine/io/uring_io.h"

#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "engine/io/clock.h"
#include "engine/io/uring_io_impl.h"

namespace sluice::io {
Result<std::unique_ptr<Io>> make_uring_io(const UringOptions& options, int& error) {
  auto ring = Ring::make(options, error);
  if (!ring) return fail(ring.error());
  return std::make_unique<UringIo>(std::move(*ring));
}

UringIo::UringIo(std::unique_ptr<Ring> ring)
    : ring_(std::move(ring)), now_ns_(clock_ns(CLOCK_MONOTONIC)) {}

UringIo::~UringIo() { SLUICE_CHECK(pending_ == 0); }

// --- the books of an operation -------------------------------------------------------------------

io_uring_sqe& UringIo::begin(Completion& completion, Kind kind, std::uint64_t detail) {
  completion.begin();
  completion.io_state[kKind] = static_cast<std::uint64_t>(kind);
  completion.io_state[kDetail] = detail;
  ++pending_;
  return ring_->next_submission();
}

void UringIo::name(io_uring_sqe& sqe, const Completion& completion) {
  io_uring_sqe_set_data64(&sqe, reinterpret_cast<std::uint64_t>(&completion));
}

void UringIo::begin_ready(Completion& completion, std::int32_t result) {
  completion.begin();
  ++pending_;
  make_ready(completion, result);
}

void UringIo::make_ready(Completion& completion, std::int32_t result) {
  completion.io_state[kKind] = static_cast<std::uint64_t>(Kind::kReady);
  ready_.push_back({&completion, result});
}

void UringIo::finish(Completion& completion, std::int32_t result) {
  --pending_;
  completion.complete(result);
}

/// Turns the kernel's result into the caller's, and gives back what the operation held.
std::int32_t UringIo::settle(Completion& completion, std::int32_t result) {
  const std::uint64_t detail = completion.io_state[kDetail];
  switch (kind(completion)) {
    case Kind::kWake:
      // Acquires what every wake() up to here released, and lets the next one write again.
      reinterpret_cast<UringWaker*>(detail)->signalled_.exchange(false, std::memory_order_acq_rel);
      return std::min(result, 0);
    case Kind::kOpenDirectory:
      if (result >= 0) directories_.push_back(result);
      return result;
    case Kind::kSendMessage:
      free_slots_.push_back(static_cast<std::uint32_t>(detail));
      return result;
    case Kind::kConnect: {
      const int socket = slot(detail).socket;
      free_slots_.push_back(static_cast<std::uint32_t>(detail));
      if (result >= 0) return socket;
      ::close(socket);
      return result;
    }
    case Kind::kPlain:
    case Kind::kTimer:
    case Kind::kReady:
      break;
  }
  return result;
}

std::uint32_t UringIo::take_slot() {
  if (free_slots_.empty()) {
    slots_.push_back(std::make_unique<Slot>());
    free_slots_.reserve(slots_.size());
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  const std::uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  return index;
}

// --- the loop ------------------------------------------------------------------------------------

void UringIo::run_once() {
  ring_->enter(may_block());
  now_ns_ = clock_ns(CLOCK_MONOTONIC);
  expire_timers();
  run_completions();
  run_ready();
}

bool UringIo::may_block() {
  if (!ready_.empty()) return false;
  if (timers_.empty()) return true;
  if (timers_.next_deadline_ns() <= now_ns_) return false;
  ring_->set_alarm(timers_.next_deadline_ns());
  return true;
}

// All that are due go to ready_ before any handler runs, so that a handler which sets a timer in
// the past waits for its next turn like everybody else.
void UringIo::expire_timers() {
  while (!timers_.empty() && timers_.next_deadline_ns() <= now_ns_) make_ready(timers_.pop(), 0);
}

void UringIo::run_completions() {
  for (unsigned left = ring_->ready(); left > 0; --left) {
    const Ring::Done done = ring_->take();
    if (done.user_data == Ring::kNobody) continue;
    Completion& completion = *reinterpret_cast<Completion*>(done.user_data);
    finish(completion, settle(completion, done.result));
  }
}

void UringIo::run_ready() {
  running_.swap(ready_);
  for (const Ready& item : running_) finish(*item.completion, item.result);
  running_.clear();
}

void UringIo::timer(Completion& completion, std::uint64_t deadline_ns) {
  completion.begin();
  ++pending_;
  completion.io_state[kKind] = static_cast<std::uint64_t>(Kind::kTimer);
  timers_.push(completion, deadline_ns);
}

void UringIo::cancel(Completion& completion) {
  if (!completion.pending() || kind(completion) == Kind::kReady) return;
  if (kind(completion) == Kind::kTimer) {
    timers_.remove(completion);
    make_ready(completion, -ECANCELED);
    return;
  }
  // Submissions are issued in order: the operation before this, and whatever the same completion is
  // used for next after it. So the address names one operation only.
  io_uring_sqe& sqe = ring_->next_submission();
  io_uring_prep_cancel64(&sqe, reinterpret_cast<std::uint64_t>(&completion), 0);
  // The end of a cancellation itself is of no interest: that of its target tells.
  io_uring_sqe_set_data64(&sqe, Ring::kNobody);
}

// --- clocks, randomness, wakers ------------------------------------------------------------------

std::uint64_t UringIo::wall_ns() const { return clock_ns(CLOCK_REALTIME); }

std::uint64_t UringIo::random() {
  std::uint64_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != sizeof value) {
    SLUICE_CHECK(errno == EINTR);
  }
  return value;
}

// Blocking: io_uring polls such a descriptor, but answers EAGAIN at once for a non-blocking one.
UringWaker::UringWaker() : fd_(::eventfd(0, EFD_CLOEXEC)) { SLUICE_CHECK(fd_ >= 0); }

UringWaker::~UringWaker() { ::close(fd_); }

void UringWaker::wake() {
  if (signalled_.exchange(true, std::memory_order_acq_rel)) return;
  const std::uint64_t one = 1;
  while (::write(fd_, &one, sizeof one) != sizeof one) {
    SLUICE_CHECK(errno == EINTR);
  }
}

std::unique_ptr<Waker> UringIo::make_waker() { return std::make_unique<UringWaker>(); }

void UringIo::wait_for_wake(Completion& completion, Waker& waker) {
  auto& own = static_cast<UringWaker&>(waker);
  io_uring_sqe& sqe = begin(completion, Kind::kWake, reinterpret_cast<std::uint64_t>(&own));
  io_uring_prep_read(&sqe, own.fd_, &own.count_, sizeof own.count_, 0);
  name(sqe, completion);
}

}  // namespace sluice::io
