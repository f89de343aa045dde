#include "engine/io/uring_ring.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "engine/io/clock.h"
#include "wire/check.h"

namespace sluice::io {
namespace {

// DEFER_TASKRUN runs completions only when this thread asks for them, so that a handler's cache is
// not disturbed and one wake-up serves many; since Linux 6.1. COOP_TASKRUN (5.19) at least spares
// the interrupts. TASKRUN_FLAG (5.19): the kernel shows in memory that it has some to run.
constexpr std::array<unsigned, 3> kSetupFlags = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    0,
};

// NODROP: the kernel keeps completions that do not fit. EXT_ARG stands for Linux 5.11, since when an
// alarm can be moved (IORING_TIMEOUT_UPDATE).
constexpr unsigned kFeaturesNeeded = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;

// What io_uring_enter may answer in normal operation: a signal, memory pressure, or a completion
// queue that has to be emptied first. The queue keeps what it did not take.
bool is_passing(int result) {
  return result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY;
}

/// From now on. An absolute time is taken for the host's by kernels that forget the time namespace.
__kernel_timespec time_until(std::uint64_t deadline_ns) {
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  const std::uint64_t left_ns = deadline_ns - std::min(deadline_ns, now_ns);
  __kernel_timespec time{};
  time.tv_sec = static_cast<std::int64_t>(left_ns / 1'000'000'000);
  time.tv_nsec = static_cast<std::int64_t>(left_ns % 1'000'000'000);
  return time;
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::make(const UringOptions& options, int& error) {
  std::unique_ptr<Ring> ring(new Ring(options.busy_poll_ns));
  ring->ring_.ring_fd = -1;
  int result = -EINVAL;
  for (const unsigned flags : kSetupFlags) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = options.completion_entries;
    result = io_uring_queue_init_params(options.submission_entries, &ring->ring_, &params);
    if (result != -EINVAL) break;
  }
  if (result < 0) {
    ring->ring_.ring_fd = -1;
    error = -result;
    return fail(Errc::kIo);
  }
  if ((ring->ring_.features & kFeaturesNeeded) != kFeaturesNeeded) {
    error = ENOSYS;
    return fail(Errc::kIo);
  }
  return ring;
}

Ring::~Ring() {
  if (ring_.ring_fd < 0) return;
  // The registration of the ring's descriptor belongs to the thread that made it. From another one
  // liburing would withdraw the registration of whatever ring that thread has in the same place;
  // the kernel drops ours when our thread ends.
  if (thread_ != std::this_thread::get_id()) {
    ring_.int_flags = 0;
    ring_.enter_ring_fd = ring_.ring_fd;
  }
  io_uring_queue_exit(&ring_);
}

io_uring_sqe& Ring::next_submission() {
  if (backlog_.empty()) {
    if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_)) return *sqe;
  }
  return backlog_.emplace_back();
}

void Ring::bind_to_this_thread() {
  thread_ = std::this_thread::get_id();
  // liburing 2.3 declares io_uring_enable_rings() but its shared library does not have it.
  const auto descriptor = static_cast<unsigned>(ring_.ring_fd);
  SLUICE_CHECK(io_uring_register(descriptor, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) >= 0);
  // Saves the look-up of the descriptor in every call; without it all works the same.
  (void)io_uring_register_ring_fd(&ring_);
}

void Ring::drain_backlog() {
  while (backlog_begin_ < backlog_.size()) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      const int submitted = io_uring_submit(&ring_);
      SLUICE_CHECK(is_passing(submitted));
      // No room could be made: the handlers have to empty the completion queue first.
      if (io_uring_sq_space_left(&ring_) == 0) return;
      continue;
    }
    *sqe = backlog_[backlog_begin_++];
  }
  backlog_.clear();
  backlog_begin_ = 0;
}

void Ring::set_alarm(std::uint64_t deadline_ns) {
  if (alarm_ns_ <= deadline_ns) return;
  io_uring_sqe& sqe = next_submission();
  if (alarm_ns_ == kNoAlarm) {
    alarm_time_ = time_until(deadline_ns);
    io_uring_prep_timeout(&sqe, &alarm_time_, 0, 0);
    io_uring_sqe_set_data64(&sqe, kAlarm);
  } else {
    // If it goes off before it is moved, its completion ends the wait, and the next one gets a new
    // alarm.
    earlier_time_ = time_until(deadline_ns);
    io_uring_prep_timeout_update(&sqe, &earlier_time_, kAlarm, 0);
    io_uring_sqe_set_data64(&sqe, kNobody);
    // Its own completion would end the very wait that it is for.
    if ((ring_.features & IORING_FEAT_CQE_SKIP) != 0) sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  }
  alarm_ns_ = deadline_ns;
}

void Ring::enter(bool block) {
  if (thread_ == std::thread::id{}) bind_to_this_thread();
  SLUICE_CHECK(thread_ == std::this_thread::get_id());
  if (!backlog_.empty()) drain_backlog();

  int result = 0;
  if (!block || !backlog_.empty() || ready() > 0) {
    result = io_uring_submit_and_get_events(&ring_);
  } else {
    result = wait();
  }
  SLUICE_CHECK(is_passing(result));
}

int Ring::wait() {
  if (!busy_poll_.enabled()) return io_uring_submit_and_wait(&ring_, 1);
  std::uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
  int result = 0;
  if (const std::uint64_t window_ns = busy_poll_.window_ns(); window_ns > 0) {
    result = io_uring_submit_and_get_events(&ring_);
    begin_ns = clock_ns(CLOCK_MONOTONIC);
    // What the kernel did not take yet cannot be looked for.
    if (result >= 0 && io_uring_sq_ready(&ring_) == 0) look_until(begin_ns + window_ns);
  }
  if (is_passing(result) && ready() == 0) result = io_uring_submit_and_wait(&ring_, 1);
  busy_poll_.on_waited(clock_ns(CLOCK_MONOTONIC) - begin_ns);
  return result;
}

void Ring::look_until(std::uint64_t deadline_ns) {
  // Written by the kernel.
  const std::atomic_ref<unsigned> flags(*ring_.sq.kflags);
  while (ready() == 0 && clock_ns(CLOCK_MONOTONIC) < deadline_ns) {
    if ((flags.load(std::memory_order_relaxed) & IORING_SQ_TASKRUN) != 0) {
      SLUICE_CHECK(is_passing(io_uring_get_events(&ring_)));
      if (ready() > 0) return;
    }
    // Other nodes, a client, the kernel's own threads may wait for this very core, and for what they
    // do this thread waits.
    ::sched_yield();
  }
}

Ring::Done Ring::take() {
  io_uring_cqe* cqe = nullptr;
  SLUICE_CHECK(io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr);
  Done done{io_uring_cqe_get_data64(cqe), cqe->res};
  io_uring_cqe_seen(&ring_, cqe);
  if (done.user_data != kAlarm && done.user_data != kNobody) busy_poll_.on_completion();
  if (done.user_data == kAlarm) {
    alarm_ns_ = kNoAlarm;
    done.user_data = kNobody;
  }
  return done;
}

}  // namespace sluice::io
