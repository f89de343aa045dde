// io::Io over the simulated disk and network of one machine: what a thread of a process sees.
//
// run_once() hands what was submitted to the machine, gives the world its turn, and runs the handlers
// of what completed by then. Handlers run as in production: on the thread's own stack, one after the
// other, in any order that the contract allows.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/io/io.h"
#include "tests/sim/process.h"

namespace sluice::sim {

class SimIo final : public io::Io {
 public:
  SimIo(Process& process, Process::Task& task);
  ~SimIo() override;

  void run_once() override;
  [[nodiscard]] std::size_t pending() const override { return pending_; }
  [[nodiscard]] std::uint64_t now_ns() const override { return now_ns_; }
  [[nodiscard]] std::uint64_t wall_ns() const override;
  [[nodiscard]] std::uint64_t random() override;
  void timer(io::Completion& completion, std::uint64_t deadline_ns) override;
  [[nodiscard]] std::unique_ptr<io::Waker> make_waker() override;
  void wait_for_wake(io::Completion& completion, io::Waker& waker) override;
  void cancel(io::Completion& completion) override;

  void open(io::Completion& completion, const char* path, io::OpenFlags flags) override;
  void close(io::Handle handle) override;
  void read(io::Completion& completion, io::Handle file, std::span<std::byte> buffer,
            std::uint64_t offset) override;
  void write(io::Completion& completion, io::Handle file, std::span<const std::byte> bytes,
             std::uint64_t offset, bool durable) override;
  void allocate(io::Completion& completion, io::Handle file, std::uint64_t size_bytes) override;
  void sync(io::Completion& completion, io::Handle file) override;
  void rename(io::Completion& completion, const char* from, const char* to) override;
  void unlink(io::Completion& completion, const char* path) override;

  /// "m<machine>:<port>".
  [[nodiscard]] Result<io::Endpoint> resolve(std::string_view address) override;
  [[nodiscard]] Result<io::Handle> listen(const io::Endpoint& endpoint, int& error) override;
  [[nodiscard]] std::uint16_t local_port(io::Handle socket) const override;
  void accept(io::Completion& completion, io::Handle listener) override;
  void connect(io::Completion& completion, const io::Endpoint& endpoint) override;
  void recv(io::Completion& completion, io::Handle socket, std::span<std::byte> buffer) override;
  void send(io::Completion& completion, io::Handle socket, std::span<const iovec> slices) override;
  void shutdown(io::Handle socket) override;

  [[nodiscard]] Result<std::vector<std::string>> list_directory(const char* path,
                                                                int& error) override;
  [[nodiscard]] Result<void> make_directory(const char* path, int& error) override;
  [[nodiscard]] Result<io::Handle> lock_file(const char* path, int& error) override;
  [[nodiscard]] Result<std::uint64_t> file_size(const char* path, int& error) override;

  /// The process is gone: operations are forgotten, their completions never fire. With `power_lost`
  /// the disk has already decided what becomes of them.
  void abandon(bool power_lost);

 private:
  enum class Kind : std::uint8_t {
    kTimer, kWake, kOpen, kRead, kWrite, kAllocate, kSync, kRename, kUnlink, kAccept, kConnect, kRecv, kSend
  };
  class SimWaker;
  struct Op {
    std::uint32_t number = 0;
    io::Completion* completion = nullptr;  // nullptr: free
    std::uint64_t generation = 0;
    Kind kind{};
    bool done = false;  // result is there, the handler has still to run
    std::int32_t result = 0;
    io::Handle handle = io::Handle::kNone;
    std::span<std::byte> buffer;
    std::span<const std::byte> bytes;
    std::span<const iovec> slices;
    std::uint64_t sent_hash = 0;
    std::uint64_t offset = 0;  // or the deadline of a timer
    bool durable = false;
    const char* path = nullptr;
    const char* path_to = nullptr;
    io::OpenFlags flags;
    io::Endpoint endpoint;
    std::uint64_t disk_id = 0;  // of the write or sync on its way
    SimWaker* waker = nullptr;
  };
  struct OpRef {
    std::uint32_t number = 0;
    std::uint64_t generation = 0;
  };

  Op& begin(io::Completion& completion, Kind kind);
  [[nodiscard]] Op* find(OpRef ref);
  void finish(Op& op, std::int32_t result);
  void dispatch(Op& op);
  void later(Op& op, Time delay, void (SimIo::*action)(Op&));
  [[nodiscard]] Time spread(Time time);
  void on_disk(Op& op, Time time, void (SimIo::*action)(Op&));

  void do_wake(Op& op);
  void do_open(Op& op);
  void do_read(Op& op);
  void do_write(Op& op);
  void do_sync(Op& op);
  void do_allocate(Op& op);
  void do_rename(Op& op);
  void do_unlink(Op& op);
  void do_accept(Op& op);
  void do_connect(Op& op);
  void do_recv(Op& op);
  void do_send(Op& op);

  Process& process_;
  Process::Task& task_;
  World& world_;
  Disk& disk_;
  Network& network_;
  std::deque<Op> ops_;
  std::vector<std::uint32_t> free_ops_;
  std::vector<std::uint32_t> submitted_;
  std::vector<std::uint32_t> ready_, running_;
  std::uint64_t now_ns_ = 0;
  std::size_t pending_ = 0;
  bool dead_ = false;
};

}  // namespace sluice::sim
