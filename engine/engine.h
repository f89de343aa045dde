// A running node: the threads, one shard each, behind one TCP port.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "engine/config.h"
#include "engine/local_client.h"

namespace sluice {

class Engine {
 public:
  /// Opens or makes the data directory, recovers, listens, starts the threads. On return the node
  /// takes connections.
  /// Errors  one clear line for people with the way out of it (directory in use or of another node
  ///         or cluster, damaged log, port in use, io_uring forbidden, bad configuration).
  [[nodiscard]] static std::expected<std::unique_ptr<Engine>, std::string> start(
      const Config& config);

  virtual ~Engine() = default;

  /// The port it listens on.
  [[nodiscard]] virtual std::uint16_t port() const = 0;
  /// Threads, as the data directory has it.
  [[nodiscard]] virtual std::uint32_t shards() const = 0;

  /// A client in this process (local_client.h). It ends before the Engine does. Safe from any
  /// thread. Clients of a node that has stopped are told so at their first append().
  /// Errors  one line that says which option to change, or that descriptors are short.
  [[nodiscard]] virtual std::expected<std::unique_ptr<LocalClient>, std::string> local_client(
      const LocalOptions& options, LocalEvents& events) = 0;

  /// Asks the threads to stop cleanly; wait() returns then. Safe from any thread, and from a signal
  /// handler's thread.
  virtual void request_stop() = 0;

  /// Blocks until the node has stopped: empty after request_stop(), else the one line that says why
  /// it had to stop by itself (a write or a sync failed, the log contradicts itself).
  [[nodiscard]] virtual std::string wait() = 0;
};

}  // namespace sluice
