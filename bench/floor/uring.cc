#include "bench/floor/uring.h"

#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace sluice::floor {
namespace {

constexpr unsigned kSubmissionsMax = 64;  // more than a process ever has in flight

}  // namespace

Uring::Uring() {
  // The newest first: Linux 6.1, then 5.19, then any.
  int error = 0;
  for (const unsigned flags : {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                               static_cast<unsigned>(IORING_SETUP_COOP_TASKRUN), 0u}) {
    error = io_uring_queue_init(kSubmissionsMax, &ring_, flags);
    if (error != -EINVAL) break;
  }
  if (error < 0) throw std::system_error(-error, std::generic_category(), "io_uring_setup");
  (void)io_uring_register_ring_fd(&ring_);  // a gain, not a need
}

Uring::~Uring() { io_uring_queue_exit(&ring_); }

io_uring_sqe* Uring::next(std::uint64_t tag) {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) throw std::logic_error("the submission queue is full");
  io_uring_sqe_set_data64(entry, tag);
  return entry;
}

void Uring::write_durably(int file, const std::byte* bytes, std::size_t size_bytes,
                          std::uint64_t offset, std::uint64_t tag) {
  io_uring_sqe* const entry = next(tag);
  io_uring_prep_write(entry, file, bytes, static_cast<unsigned>(size_bytes), offset);
  entry->rw_flags = RWF_DSYNC;
  io_uring_sqe_set_data64(entry, tag);
}

void Uring::send(int socket, const void* bytes, std::size_t size_bytes, std::uint64_t tag) {
  io_uring_sqe* const entry = next(tag);
  io_uring_prep_send(entry, socket, bytes, size_bytes, MSG_NOSIGNAL);
  io_uring_sqe_set_data64(entry, tag);
}

void Uring::recv(int socket, void* bytes, std::size_t size_bytes, std::uint64_t tag) {
  io_uring_sqe* const entry = next(tag);
  io_uring_prep_recv(entry, socket, bytes, size_bytes, 0);
  io_uring_sqe_set_data64(entry, tag);
}

void Uring::enter(std::uint64_t timeout_ns) {
  int error = 0;
  if (timeout_ns == 0) {
    error = io_uring_submit_and_wait(&ring_, 1);
  } else {
    __kernel_timespec timeout{static_cast<long long>(timeout_ns / 1'000'000'000),
                              static_cast<long long>(timeout_ns % 1'000'000'000)};
    io_uring_cqe* completion = nullptr;
    error = io_uring_submit_and_wait_timeout(&ring_, &completion, 1, &timeout, nullptr);
  }
  if (error < 0 && error != -ETIME && error != -EINTR)
    throw std::system_error(-error, std::generic_category(), "io_uring_enter");
}

}  // namespace sluice::floor
