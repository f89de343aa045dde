// An Io of sockets and timers in memory, with a clock that moves only when nothing else is left to
// do: whatever a test does, it does the same way each time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/io.h"

namespace sluice::client {

/// The other end of a connection.
class FakePeer {
 public:
  virtual ~FakePeer() = default;
  enum class Dial { kAccepted, kRefused, kNoAnswer };
  virtual Dial on_dial(int socket) = 0;
  virtual void on_bytes(int socket, std::span<const std::byte> bytes) = 0;
};

class FakeIo final : public io::Io {
 public:
  ~FakeIo() override;

  /// "name:port" resolves to `peer` from now on.
  void add_peer(const std::string& address, FakePeer& peer);
  /// The peer sends these bytes.
  void peer_sends(int socket, std::span<const std::byte> bytes);
  /// The peer closes the connection.
  void peer_closes(int socket);
  [[nodiscard]] bool is_open(int socket) const { return sockets_.contains(socket); }

  /// Sends take at most so many bytes each.
  std::size_t send_bytes_max = ~std::size_t{0};
  /// Receives return at most so many bytes each.
  std::size_t recv_bytes_max = ~std::size_t{0};
  /// Sends do not end.
  bool sends_stall = false;
  /// This one stands still: sends to it do not end, and nothing comes from it.
  const FakePeer* stalled = nullptr;
  std::size_t sends_begun = 0;
  std::size_t sends_over = 0;

  /// Goes on until nothing is left to do before `deadline_ns`, and sets the clock to it.
  void run_until(std::uint64_t deadline_ns);
  void run_ms(std::uint64_t ms) { run_until(now_ns_ + ms * 1'000'000); }
  /// False: there was nothing to do up to `deadline_ns`.
  bool step(std::uint64_t deadline_ns);

  void run_once() override;
  std::size_t pending() const override {
    return timers_.size() + hanging_dials_.size() + sockets_.size() + done_.size();
  }
  std::uint64_t now_ns() const override { return now_ns_; }
  std::uint64_t wall_ns() const override { return now_ns_; }
  std::uint64_t random() override;
  void timer(io::Completion& completion, std::uint64_t deadline_ns) override;
  std::unique_ptr<io::Waker> make_waker() override { return nullptr; }
  void wait_for_wake(io::Completion&, io::Waker&) override {}
  void cancel(io::Completion& completion) override;
  Result<io::Endpoint> resolve(std::string_view address) override;
  void connect(io::Completion& completion, const io::Endpoint& endpoint) override;
  void recv(io::Completion& completion, io::Handle socket, std::span<std::byte> buffer) override;
  void send(io::Completion& completion, io::Handle socket, std::span<const iovec> slices) override;
  void shutdown(io::Handle socket) override;
  void close(io::Handle handle) override;

  // What a client never does.
  void open(io::Completion&, const char*, io::OpenFlags) override {}
  void read(io::Completion&, io::Handle, std::span<std::byte>, std::uint64_t) override {}
  void write(io::Completion&, io::Handle, std::span<const std::byte>, std::uint64_t,
             bool) override {}
  void sync(io::Completion&, io::Handle) override {}
  void allocate(io::Completion&, io::Handle, std::uint64_t) override {}
  void rename(io::Completion&, const char*, const char*) override {}
  void unlink(io::Completion&, const char*) override {}
  Result<io::Handle> listen(const io::Endpoint&, int&) override { return fail(Errc::kIo); }
  std::uint16_t local_port(io::Handle) const override { return 0; }
  void accept(io::Completion&, io::Handle) override {}
  Result<std::vector<std::string>> list_directory(const char*, int&) override {
    return fail(Errc::kIo);
  }
  Result<void> make_directory(const char*, int&) override { return fail(Errc::kIo); }
  Result<io::Handle> lock_file(const char*, int&) override { return fail(Errc::kIo); }
  Result<std::uint64_t> file_size(const char*, int&) override { return fail(Errc::kIo); }

 private:
  struct Socket {
    FakePeer* peer = nullptr;
    std::deque<std::byte> to_client;
    bool peer_closed = false;
    bool shut = false;
    io::Completion* recv = nullptr;
    std::span<std::byte> recv_buffer;
    io::Completion* send = nullptr;
    std::span<const iovec> slices;
  };
  struct Done {
    io::Completion* completion;
    std::int32_t result;
  };

  void collect();
  void take_send(int id, Socket& socket);
  void give_recv(Socket& socket);

  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t random_ = 88172645463325252u;
  std::vector<std::string> addresses_;
  std::vector<FakePeer*> peers_;
  std::map<int, Socket> sockets_;
  int next_socket_ = 3;
  std::multimap<std::uint64_t, io::Completion*> timers_;
  std::vector<io::Completion*> hanging_dials_;
  std::vector<Done> done_;
};

}  // namespace sluice::client
