// A process in the simulator: its fibers (a shard or a client each), its handles, its end.
//
// A process ends in one of three ways: its fibers return (and must have closed every handle); it is
// killed (the machine goes on: what was on its way to the disk may still get there, peers hear FIN or
// RST); its machine loses power (nobody hears anything, the disk keeps what chance keeps). In the
// last two every fiber is unwound from where it waits, by an exception that nobody else catches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tests/sim/disk.h"
#include "tests/sim/fiber.h"
#include "tests/sim/network.h"
#include "tests/sim/world.h"

namespace sluice::sim {

class SimIo;

/// How a machine's clock runs against the world's time: never backwards, not at the same rate.
struct Clock {
  Time base = 0;                 // what it shows at time 0
  std::int64_t rate_ppm = 0;     // faster by so much
  [[nodiscard]] std::uint64_t at(Time now) const;
  /// The first instant at which it shows at least `shown`.
  [[nodiscard]] Time when(std::uint64_t shown) const;
};

/// What IO costs on this machine, and how it varies.
struct IoTimes {
  Time read = 80 * kUs, write = 40 * kUs, durable_write = 150 * kUs, sync = 400 * kUs;
  Time name = 30 * kUs;         // open, rename, unlink
  Time write_kib = 0;           // of each KiB of a write, besides
  Time step = 8 * kUs;          // from a completion to the loop that handles it
  std::uint32_t spread = 3;     // up to so many times as long
  bool reorder = true;          // completions at hand are handled in any order
};

struct Machine {
  std::size_t number = 0;
  std::string name;  // "n1", "c1"
  Clock clock;
  IoTimes times;
  std::unique_ptr<Disk> disk;
  Time disk_stalled_until = 0;
  std::uint64_t boots = 0;  // how often it lost power
  /// Called when durable writes to two files are on their way at once.
  std::function<void()> on_two_files;
  /// Locks on files, by path: the process that holds them.
  std::map<std::string, const void*> locks;
};

/// Ends a fiber whose process is gone. Only Process catches it.
struct ProcessGone {};

class Process {
 public:
  struct Task {
    std::unique_ptr<SimIo> io;
    std::unique_ptr<Fiber> fiber;
    bool scheduled = false;
    bool owed = false;  // wants to run, but the process is paused
  };

  Process(World& world, Network& network, Machine& machine, std::uint64_t seed);
  ~Process();

  /// A fiber with an Io of its own, that begins to run soon.
  void spawn(std::function<void(SimIo&)> body);

  void kill();
  void power_off();
  void pause();
  void resume();

  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] bool paused() const { return paused_; }
  /// Every fiber has returned or was unwound.
  [[nodiscard]] bool ended() const { return running_ == 0; }

  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] Random& random() { return random_; }

  /// Sees every byte that leaves through a socket of this process.
  std::function<void(const Socket&, std::span<const std::byte>)> on_sent;

  // --- for SimIo ------------------------------------------------------------------------------

  struct FileHandle {
    Disk::FileId file;
    bool directory = false;
  };
  struct ListenHandle {
    std::uint16_t port;
  };
  struct LockHandle {
    std::string path;
  };
  using Handle = std::variant<std::monostate, FileHandle, SocketRef, ListenHandle, LockHandle>;
  [[nodiscard]] std::int32_t add_handle(Handle handle);
  [[nodiscard]] Handle& handle(io::Handle number);
  void close_handle(io::Handle number);
  [[nodiscard]] std::size_t handles_open() const;
  /// What they are, for people.
  [[nodiscard]] std::string handles_text() const;

  /// The task runs again soon.
  void schedule(Task& task);
  /// On a fiber: waits until wake_all().
  void park(SimIo& io);
  void wake_all();

 private:
  void run(Task& task);
  void unwind();
  void end_handles(bool power_lost);

  World& world_;
  Network& network_;
  Machine& machine_;
  Random random_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<Handle> handles_;
  std::vector<std::int32_t> free_handles_;
  std::size_t running_ = 0;
  bool alive_ = true;
  bool paused_ = false;
};

}  // namespace sluice::sim
