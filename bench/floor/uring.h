// One io_uring, used by one thread: what is queued leaves with the one enter of a loop, which also
// waits. Nothing spins.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>

namespace sluice::floor {

class Uring {
 public:
  /// Throws std::system_error. Must be made by the process and thread that uses it.
  Uring();
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  /// `offset` and `size_bytes` multiples of a block; durable when it completes.
  void write_durably(int file, const std::byte* bytes, std::size_t size_bytes, std::uint64_t offset,
                     std::uint64_t tag);
  void send(int socket, const void* bytes, std::size_t size_bytes, std::uint64_t tag);
  void recv(int socket, void* bytes, std::size_t size_bytes, std::uint64_t tag);

  /// Submits what was queued and waits for a completion, at most `timeout_ns` (0: without end).
  void enter(std::uint64_t timeout_ns = 0);

  /// Calls handle(tag, result) for each completion at hand.
  template <typename Handle>
  void drain(Handle&& handle) {
    io_uring_cqe* completion = nullptr;
    unsigned head = 0, count = 0;
    io_uring_for_each_cqe(&ring_, head, completion) {
      handle(io_uring_cqe_get_data64(completion), completion->res);
      ++count;
    }
    io_uring_cq_advance(&ring_, count);
  }

 private:
  io_uring_sqe* next(std::uint64_t tag);

  io_uring ring_{};
};

}  // namespace sluice::floor
