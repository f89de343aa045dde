// What the shards of a node share, made before any of them runs: the data directory with its lock and
// identity, the peers' addresses, the listening socket. Goes through Io alone, so that a simulated
// node starts as a real one does.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/config.h"
#include "engine/io/io.h"
#include "engine/shard/identity.h"
#include "engine/shard/shard.h"

namespace sluice::shard {

class NodeStart {
 public:
  /// Resolves the peers, opens or makes the data directory and listens. Blocks. `io` outlives it.
  /// Errors  one line for people with the way out of it.
  [[nodiscard]] static std::expected<std::unique_ptr<NodeStart>, std::string> open(
      io::Io& io, const Config& config, std::uint32_t shards_default);
  ~NodeStart();
  NodeStart(const NodeStart&) = delete;
  NodeStart& operator=(const NodeStart&) = delete;

  [[nodiscard]] std::uint32_t shards() const { return identity_.shards; }
  [[nodiscard]] std::uint16_t port() const { return io_.local_port(listener_); }

  /// What Shard::open() wants, but for the callbacks. Shard 0 gets the listener.
  [[nodiscard]] Shard::Options shard_options(ShardId shard) const;

 private:
  NodeStart(io::Io& io, Config config) : io_(io), config_(std::move(config)) {}
  [[nodiscard]] std::string resolve_peers();
  [[nodiscard]] std::string open_data(std::uint32_t shards_default);
  [[nodiscard]] std::string listen();

  io::Io& io_;
  Config config_;
  DirectoryIdentity identity_;
  std::vector<std::pair<NodeId, io::Endpoint>> peers_;
  io::Handle lock_ = io::Handle::kNone;
  io::Handle listener_ = io::Handle::kNone;
};

}  // namespace sluice::shard
