// The one seam below everything: submissions and completions. uring_io implements it for the
// kernel; a simulator implements it for a whole cluster in one thread.
//
// Contract:
//   - One Io belongs to one thread. Only Waker::wake() may be called from others.
//   - A submission names a Completion that its owner embeds; the Io holds a reference until the
//     handler has run. Each submission runs its handler exactly once, from run_once(), never from
//     inside the submitting call. Buffers, paths and iovecs must live until then.
//   - A Completion carries one operation at a time: pending() tells.
//   - result >= 0 is success (bytes moved; the new handle for open, accept, connect), < 0 is
//     -errno. Reads, writes, sends and receives may be short. Completions come in any order.
//   - Nothing is submitted to the kernel before run_once(): one system call per loop, beside those
//     that wait.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/check.h"
#include "wire/result.h"

namespace sluice::io {

/// An open file or socket.
enum class Handle : std::int32_t { kNone = -1 };

/// An operation in flight: a named member of its owner, so that nothing is allocated per operation.
/// Neither copied nor moved; destroying a pending one is a programmer error.
class Completion {
 public:
  using Handler = void (*)(void* owner, std::int32_t result);

  Completion(void* owner, Handler handler) : owner_(owner), handler_(handler) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion() { SLUICE_CHECK(!pending_); }

  /// Binds a member function: Completion recv_{Completion::bind<&Connection::on_recv>(this)};
  template <auto Member, class Owner>
  static Completion bind(Owner* owner) {
    return Completion(owner, [](void* self, std::int32_t result) {
      (static_cast<Owner*>(self)->*Member)(result);
    });
  }

  [[nodiscard]] bool pending() const { return pending_; }

  // For implementations of Io.
  void begin() {
    SLUICE_CHECK(!pending_);
    pending_ = true;
  }
  void complete(std::int32_t result) {
    SLUICE_CHECK(pending_);
    pending_ = false;
    handler_(owner_, result);  // may destroy *this or submit it again
  }
  /// The process that submitted it is gone (in a simulator): the handler never runs.
  void abandon() { pending_ = false; }
  std::uint64_t io_state[4] = {};  // private to the Io

 private:
  void* owner_;
  Handler handler_;
  bool pending_ = false;
};

/// A resolved address: an IPv4 or IPv6 host and a port.
struct Endpoint {
  alignas(8) std::byte storage[32] = {};  // sockaddr_in or sockaddr_in6
  std::uint32_t size_bytes = 0;
};

struct OpenFlags {
  bool create = false;  // with exclusive: fails with EEXIST
  bool exclusive = false;
  bool read_only = false;
  bool direct = false;     // O_DIRECT: buffers, offsets and sizes are multiples of 4,096
  bool directory = false;  // to sync() a directory
};

/// Wakes the Io's thread out of run_once(). The one thing that other threads may touch.
class Waker {
 public:
  virtual ~Waker() = default;
  /// Thread-safe. Several calls may be answered by one completion.
  virtual void wake() = 0;
};

class Io {
 public:
  virtual ~Io() = default;

  // --- loop ----------------------------------------------------------------------------------

  /// Submits what was queued, waits for at least one completion if none is there, runs the handlers
  /// of all that are. Blocks in the kernel, never spins.
  /// A signal may end it early.
  virtual void run_once() = 0;
  /// Operations whose handler has still to run: an owner that stops cancels its own and runs the
  /// loop until this is 0. Destroying an Io with operations pending is a programmer error.
  [[nodiscard]] virtual std::size_t pending() const = 0;

  /// Monotonic, ns. Constant within one run_once() (taken when the completions were reaped).
  [[nodiscard]] virtual std::uint64_t now_ns() const = 0;
  /// Wall clock, ns since 1970. For time stamps only, never for decisions (S53).
  [[nodiscard]] virtual std::uint64_t wall_ns() const = 0;
  /// From the system, or from the simulator's seed.
  [[nodiscard]] virtual std::uint64_t random() = 0;

  /// Fires once, at or after `deadline_ns` of now_ns().
  virtual void timer(Completion& completion, std::uint64_t deadline_ns) = 0;

  /// `completion` fires with 0 after each burst of wake() calls; submit it again for the next.
  [[nodiscard]] virtual std::unique_ptr<Waker> make_waker() = 0;
  virtual void wait_for_wake(Completion& completion, Waker& waker) = 0;

  /// Asks that a pending operation end early; its handler still runs, with -ECANCELED or with what
  /// happened before. No-op if it is not pending.
  virtual void cancel(Completion& completion) = 0;

  // --- files ---------------------------------------------------------------------------------

  virtual void open(Completion& completion, const char* path, OpenFlags flags) = 0;
  /// Closes a file or socket with nothing pending on it. Returns at once; errors are not reported
  /// (what matters was synced before).
  virtual void close(Handle handle) = 0;
  virtual void read(Completion& completion, Handle file, std::span<std::byte> buffer,
                    std::uint64_t offset) = 0;
  /// durable: RWF_DSYNC, the bytes are on stable storage at completion.
  virtual void write(Completion& completion, Handle file, std::span<const std::byte> bytes,
                     std::uint64_t offset, bool durable) = 0;
  /// Makes the file `size_bytes` long, with blocks of its own that read as zeros (fallocate(2)).
  /// -EOPNOTSUPP where the filesystem cannot. Not durable before a sync.
  virtual void allocate(Completion& completion, Handle file, std::uint64_t size_bytes) = 0;
  /// fdatasync, or fsync for a directory.
  virtual void sync(Completion& completion, Handle file) = 0;
  virtual void rename(Completion& completion, const char* from, const char* to) = 0;
  virtual void unlink(Completion& completion, const char* path) = 0;

  // --- sockets -------------------------------------------------------------------------------

  /// Numeric or by name, "host:port", "[v6]:port". Blocks; for start-up only.
  [[nodiscard]] virtual Result<Endpoint> resolve(std::string_view address) = 0;
  /// Binds and listens (SO_REUSEADDR). -errno in `error` if it fails.
  [[nodiscard]] virtual Result<Handle> listen(const Endpoint& endpoint, int& error) = 0;
  /// The port a listening socket is bound to (for port 0).
  [[nodiscard]] virtual std::uint16_t local_port(Handle socket) const = 0;
  virtual void accept(Completion& completion, Handle listener) = 0;
  /// Makes a socket (TCP_NODELAY) and connects it. Its handle is the result.
  virtual void connect(Completion& completion, const Endpoint& endpoint) = 0;
  /// 0 bytes: the other side closed.
  virtual void recv(Completion& completion, Handle socket, std::span<std::byte> buffer) = 0;
  /// Gathers; may send less than asked. SIGPIPE is never raised.
  virtual void send(Completion& completion, Handle socket, std::span<const iovec> slices) = 0;
  /// Ends both directions now: pending recv and send complete.
  virtual void shutdown(Handle socket) = 0;

  // --- start-up (blocking, rare) -------------------------------------------------------------

  /// Names of the directory's entries, without "." and "..". Errors kIo, errno in `error`.
  [[nodiscard]] virtual Result<std::vector<std::string>> list_directory(const char* path,
                                                                        int& error) = 0;
  /// mkdir -p for the last component; an existing directory is fine.
  [[nodiscard]] virtual Result<void> make_directory(const char* path, int& error) = 0;
  /// Creates and locks a file for this process (flock), until the Io's process ends or close().
  /// Errors  kInUse, kIo.
  [[nodiscard]] virtual Result<Handle> lock_file(const char* path, int& error) = 0;
  /// Size of a file in bytes.
  [[nodiscard]] virtual Result<std::uint64_t> file_size(const char* path, int& error) = 0;
};

}  // namespace sluice::io
