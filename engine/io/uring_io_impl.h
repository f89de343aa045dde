// The class behind make_uring_io(). Its methods live in uring_io.cc (loop, timers, wakers),
// uring_files.cc, uring_sockets.cc and uring_startup.cc.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/io.h"
#include "engine/io/timer_heap.h"
#include "engine/io/uring_ring.h"

namespace sluice::io {

/// An eventfd that the ring reads. Between two completions only the first wake() costs a system
/// call; the flag also carries the memory order that a write and a read of the kernel do not show.
class UringWaker final : public Waker {
 public:
  UringWaker();
  ~UringWaker() override;
  void wake() override;

 private:
  friend class UringIo;
  int fd_;
  std::atomic<bool> signalled_{false};
  std::uint64_t count_ = 0;  // the ring reads into it
};

/// Not final: a test makes one operation of it fail.
class UringIo : public Io {
 public:
  explicit UringIo(std::unique_ptr<Ring> ring);
  ~UringIo() override;

  void run_once() override;
  [[nodiscard]] std::size_t pending() const override { return pending_; }
  [[nodiscard]] std::uint64_t now_ns() const override { return now_ns_; }
  [[nodiscard]] std::uint64_t wall_ns() const override;
  [[nodiscard]] std::uint64_t random() override;
  void timer(Completion& completion, std::uint64_t deadline_ns) override;
  [[nodiscard]] std::unique_ptr<Waker> make_waker() override;
  void wait_for_wake(Completion& completion, Waker& waker) override;
  void cancel(Completion& completion) override;

  void open(Completion& completion, const char* path, OpenFlags flags) override;
  void close(Handle handle) override;
  void read(Completion& completion, Handle file, std::span<std::byte> buffer,
            std::uint64_t offset) override;
  void write(Completion& completion, Handle file, std::span<const std::byte> bytes,
             std::uint64_t offset, bool durable) override;
  void sync(Completion& completion, Handle file) override;
  void allocate(Completion& completion, Handle file, std::uint64_t size_bytes) override;
  void rename(Completion& completion, const char* from, const char* to) override;
  void unlink(Completion& completion, const char* path) override;

  [[nodiscard]] Result<Endpoint> resolve(std::string_view address) override;
  [[nodiscard]] Result<Handle> listen(const Endpoint& endpoint, int& error) override;
  [[nodiscard]] std::uint16_t local_port(Handle socket) const override;
  void accept(Completion& completion, Handle listener) override;
  void connect(Completion& completion, const Endpoint& endpoint) override;
  void recv(Completion& completion, Handle socket, std::span<std::byte> buffer) override;
  void send(Completion& completion, Handle socket, std::span<const iovec> slices) override;
  void shutdown(Handle socket) override;

  [[nodiscard]] Result<std::vector<std::string>> list_directory(const char* path,
                                                                int& error) override;
  [[nodiscard]] Result<void> make_directory(const char* path, int& error) override;
  [[nodiscard]] Result<Handle> lock_file(const char* path, int& error) override;
  [[nodiscard]] Result<std::uint64_t> file_size(const char* path, int& error) override;

 private:
  // Completion::io_state: what the operation is, and what its end has to take care of.
  static constexpr std::size_t kKind = 0;
  static constexpr std::size_t kDetail = 2;  // slot, descriptor or waker, by kind
  static_assert(TimerHeap::kPlace != kKind && TimerHeap::kPlace != kDetail);
  enum class Kind : std::uint64_t {
    kPlain,          // the kernel's result is the result
    kTimer,          // in timers_
    kReady,          // in ready_: its result is known
    kWake,           // detail: the UringWaker
    kOpenDirectory,  // the new descriptor is a directory
    kSendMessage,    // detail: its slot
    kConnect,        // detail: its slot, which knows the socket
  };
  static Kind kind(const Completion& completion) {
    return static_cast<Kind>(completion.io_state[kKind]);
  }

  /// What the kernel reads through a pointer while a sendmsg or connect is in flight.
  struct Slot {
    msghdr message{};
    Endpoint endpoint{};
    int socket = -1;
  };
  std::uint32_t take_slot();
  Slot& slot(std::uint64_t index) { return *slots_[index]; }

  /// Opens the operation's books and gives its submission, named after the completion.
  io_uring_sqe& begin(Completion& completion, Kind kind, std::uint64_t detail = 0);
  static void name(io_uring_sqe& sqe, const Completion& completion);
  /// An operation whose result is known before the kernel saw it; its handler runs in run_once().
  void begin_ready(Completion& completion, std::int32_t result);
  void make_ready(Completion& completion, std::int32_t result);
  void finish(Completion& completion, std::int32_t result);
  std::int32_t settle(Completion& completion, std::int32_t result);

  /// Nothing is to be done yet. Sees to it that a wait ends when the next timer is due.
  [[nodiscard]] bool may_block();
  void expire_timers();
  void run_completions();
  void run_ready();

  std::unique_ptr<Ring> ring_;
  std::uint64_t now_ns_ = 0;
  std::size_t pending_ = 0;
  TimerHeap timers_;

  struct Ready {
    Completion* completion;
    std::int32_t result;
  };
  std::vector<Ready> ready_;    // handlers to run without the kernel's help
  std::vector<Ready> running_;  // those of this turn

  std::vector<std::unique_ptr<Slot>> slots_;  // grows to the most ever in flight, then stays
  std::vector<std::uint32_t> free_slots_;
  std::vector<int> directories_;  // open directories: sync() is fsync for them
};

}  // namespace sluice::io
