#include "engine/shard/node_start.h"

#include <cerrno>
#include <cstring>

#include "engine/shard/blocking.h"

namespace sluice::shard {
namespace {
constexpr int kListenTries = 60;
constexpr std::uint64_t kListenPauseNs = 50'000'000;
}  // namespace

std::expected<std::unique_ptr<NodeStart>, std::string> NodeStart::open(
    io::Io& io, const Config& config, std::uint32_t shards_default) {
  std::unique_ptr<NodeStart> node(new NodeStart(io, config));
  auto why = node->resolve_peers();
  if (why.empty()) why = node->open_data(shards_default);
  if (why.empty()) why = node->listen();
  if (!why.empty()) return std::unexpected(std::move(why));
  return node;
}

NodeStart::~NodeStart() {
  if (listener_ != io::Handle::kNone) io_.close(listener_);
  if (lock_ != io::Handle::kNone) io_.close(lock_);
}

std::string NodeStart::resolve_peers() {
  for (const PeerAddress& peer : config_.peers) {
    if (peer.node == config_.node_id) continue;
    const auto endpoint = io_.resolve(peer.address);
    if (!endpoint) {
      return "cannot resolve the address of node " + std::to_string(peer.node.value()) + ", '" +
             peer.address + "'; give HOST:PORT";
    }
    peers_.emplace_back(peer.node, *endpoint);
  }
  return {};
}

std::string NodeStart::open_data(std::uint32_t shards_default) {
  auto opened = open_directory(io_, config_.data_dir,
                               {.directory = {},
                                .node = config_.node_id,
                                .cluster_name = config_.cluster_name,
                                .shards = config_.shards},
                               shards_default);
  if (!opened) return opened.error();
  lock_ = opened->lock;
  identity_ = opened->identity;
  config_.shards = identity_.shards;
  if (config_.groups / config_.shards > kGroupsPerShardMax) {
    return std::to_string(config_.groups) + " groups are too many for " +
           std::to_string(config_.shards) + " shards; start a new directory with more --shards";
  }
  return {};
}

std::string NodeStart::listen() {
  const auto endpoint = io_.resolve(config_.listen);
  if (!endpoint) {
    return "cannot resolve the address to listen on, '" + config_.listen +
           "'; give HOST:PORT with a host of this machine";
  }
  // The kernel takes a killed process's ring down some time after the process, and the ring holds
  // the listening socket: a node that is started again at once waits for its own ghost.
  int error = 0;
  auto listener = io_.listen(*endpoint, error);
  for (int i = 0; i < kListenTries && !listener && error == EADDRINUSE; ++i) {
    (void)run_blocking(io_,
                       [&](io::Completion& c) { io_.timer(c, io_.now_ns() + kListenPauseNs); });
    listener = io_.listen(*endpoint, error);
  }
  if (!listener) {
    return "cannot listen on " + config_.listen + ": " + std::strerror(error) +
           "; name another --listen address, or stop who uses it";
  }
  listener_ = *listener;
  return {};
}

Shard::Options NodeStart::shard_options(ShardId shard) const {
  Shard::Options options;
  options.config = config_;
  options.identity = identity_;
  options.shard = shard;
  options.peers = peers_;
  if (shard == ShardId(0)) options.listener = listener_;
  options.on_notice = config_.on_notice;
  return options;
}

}  // namespace sluice::shard
