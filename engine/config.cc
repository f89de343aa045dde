#include "engine/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace sluice {
namespace {

constexpr std::uint64_t kMicrosecond = 1'000;
constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kBlock = 4096;

struct Unit {
  std::string_view name;
  std::uint64_t ns;
};
constexpr Unit kUnits[] = {{"s", kSecond}, {"ms", kMillisecond}, {"us", kMicrosecond}};

/// "10ms" in ns. Whole numbers of us, ms or s, up to an hour.
Result<std::uint64_t> parse_duration(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end == text.data()) return fail(Errc::kInvalidRequest);
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto* unit = std::ranges::find(kUnits, name, &Unit::name);
  if (unit == std::end(kUnits)) return fail(Errc::kInvalidRequest);
  if (count > 3600 * kSecond / unit->ns) return fail(Errc::kInvalidRequest);
  return count * unit->ns;
}

/// "host:port" with a port from 0 (or 1) to 65,535; a host with colons stands in brackets.
bool is_address(std::string_view text, bool port_may_be_zero) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  if (!bracketed && host.find_first_of(":[]") != std::string_view::npos) return false;
  const std::string_view port = text.substr(colon + 1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size()) return false;
  return number <= 65'535 && (number > 0 || port_may_be_zero);
}

std::string outside(std::string_view field, std::uint64_t value, std::uint64_t min,
                    std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return fmt::format("{} is {}: choose {} to {}", field, value, min, max);
}

std::string problem_of_identity(const Config& config) {
  if (config.node_id == kNoNode) return "node_id is missing: number the nodes from 1";
  if (config.cluster_name.empty() || config.cluster_name.size() > 64)
    return "the cluster's name must have 1 to 64 characters";
  if (config.data_dir.empty()) return "data_dir is missing: name the directory of this node";
  if (!is_address(config.listen, /*port_may_be_zero=*/true))
    return fmt::format("listen address \"{}\" is not of the form HOST:PORT", config.listen);
  return {};
}

std::string problem_of_peers(const Config& config) {
  if (config.peers.empty() || config.peers.size() > 7)
    return fmt::format("{} peers are given: a cluster has 1 to 7 members, this node among them",
                       config.peers.size());
  for (std::size_t i = 0; i < config.peers.size(); ++i) {
    const PeerAddress& peer = config.peers[i];
    if (peer.node == kNoNode) return "a peer has the id 0: number the nodes from 1";
    // A cluster of one never dials itself, so its port may be left to the system.
    if (!is_address(peer.address, /*port_may_be_zero=*/config.peers.size() == 1))
      return fmt::format("the address \"{}\" of peer {} is not of the form HOST:PORT", peer.address,
                         peer.node.value());
    for (std::size_t j = 0; j < i; ++j) {
      if (config.peers[j].node == peer.node)
        return fmt::format("peer {} is given twice: name each member once", peer.node.value());
      if (config.peers[j].address == peer.address)
        return fmt::format("peers {} and {} have the same address {}: give each its own",
                           config.peers[j].node.value(), peer.node.value(), peer.address);
    }
  }
  if (std::ranges::find(config.peers, config.node_id, &PeerAddress::node) == config.peers.end())
    return fmt::format(
        "the peers do not name this node ({}): list every member of the cluster, this one too",
        config.node_id.value());
  for (const NodeId node : config.trusted_again) {
    if (node == config.node_id)
      return fmt::format(
          "this node ({}) is told to trust its own new directory: start the other nodes so",
          node.value());
    if (std::ranges::find(config.peers, node, &PeerAddress::node) == config.peers.end())
      return fmt::format("node {}, whose new directory is to be trusted, is not among the peers",
                         node.value());
  }
  return {};
}

std::string problem_of_sizes(const Config& config) {
  const std::uint64_t batch = config.batch_bytes_max;
  for (const std::string& line : {
           outside("groups", config.groups, 1, 65'536),
           outside("shards", config.shards, 0, 64),
           outside("batch_bytes_max", batch, 4096, 16u << 20),
           outside("segment_bytes", config.segment_bytes, 1u << 20, 2ull << 30),
           outside("writes_inflight_max", config.writes_inflight_max, 1, 16),
           outside("tail_bytes", config.tail_bytes, 1u << 20, 1ull << 40),
           outside("send_queue_bytes_max", config.send_queue_bytes_max, 1u << 16, 1ull << 40),
           outside("connections_max", config.connections_max, 16, 1u << 20),
           outside("inflight_bytes_max", config.inflight_bytes_max, 1u << 16, 1ull << 40),
           outside("catch_up_bytes_per_s_min", config.catch_up_bytes_per_s_min, 1u << 20, 1ull << 40),
           outside("uncommitted_bytes_max", config.uncommitted_bytes_max, 1u << 16, 1ull << 40),
           outside("producers_max", config.producers_max, 1, 1u << 20),
           outside("busy_poll_us", config.busy_poll_us, 0, 1'000),
       })
    if (!line.empty()) return line;
  if (config.shards != 0 && config.groups / config.shards > kGroupsPerShardMax)
    return fmt::format("{} groups are too many for {} shard{}; use more --shards", config.groups,
                       config.shards, config.shards == 1 ? "" : "s");
  if (batch % 8 != 0) return "batch_bytes_max must be a multiple of 8";
  if (config.segment_bytes % kBlock != 0) return "segment_bytes must be a multiple of 4096";
  // A chunk holds a whole batch, its own header and descriptors; a segment holds four chunks.
  const std::uint64_t segment_bytes_min = 4 * ((batch + 3 * kBlock - 1) / kBlock * kBlock);
  if (config.segment_bytes < segment_bytes_min)
    return fmt::format("segment_bytes is {}: with batch_bytes_max {} it must be at least {}",
                       config.segment_bytes, batch, segment_bytes_min);
  for (const auto& [name, value] :
       {std::pair{"send_queue_bytes_max", config.send_queue_bytes_max},
        std::pair{"inflight_bytes_max", config.inflight_bytes_max},
        std::pair{"uncommitted_bytes_max", config.uncommitted_bytes_max}})
    if (value < batch)
      return fmt::format("{} is {}: it must hold at least one batch ({} bytes)", name, value,
                         batch);
  return {};
}

std::string problem_of_times(const Config& config) {
  for (const std::string& line : {
           outside("tick_ms", config.tick_ms, 1, 1'000),
           outside("heartbeat_ms", config.heartbeat_ms, config.tick_ms, 60'000),
           outside("election_timeout_ms", config.election_timeout_ms,
                   2 * std::uint64_t{config.heartbeat_ms}, 600'000),
       })
    if (!line.empty()) return line;
  if (config.fsync.kind == FsyncPolicy::Kind::kInterval &&
      (config.fsync.interval_ns < kMillisecond || config.fsync.interval_ns > 60 * kSecond))
    return fmt::format("the fsync interval is {}: choose 1ms to 60s",
                       config.fsync.to_string().substr(sizeof("interval=") - 1));
  return {};
}

}  // namespace

Result<FsyncPolicy> FsyncPolicy::parse(std::string_view text) {
  if (text == "always") return FsyncPolicy{Kind::kAlways, 0};
  if (text == "never") return FsyncPolicy{Kind::kNever, 0};
  constexpr std::string_view kPrefix = "interval=";
  if (!text.starts_with(kPrefix)) return fail(Errc::kInvalidRequest);
  const Result<std::uint64_t> interval_ns = parse_duration(text.substr(kPrefix.size()));
  if (!interval_ns) return fail(interval_ns.error());
  return FsyncPolicy{Kind::kInterval, *interval_ns};
}

std::string FsyncPolicy::to_string() const {
  if (kind == Kind::kAlways) return "always";
  if (kind == Kind::kNever) return "never";
  for (const Unit& unit : kUnits)
    if (interval_ns != 0 && interval_ns % unit.ns == 0)
      return fmt::format("interval={}{}", interval_ns / unit.ns, unit.name);
  return fmt::format("interval={}us", interval_ns / kMicrosecond);
}

std::string Config::problem() const {
  for (auto* check : {problem_of_identity, problem_of_peers, problem_of_sizes, problem_of_times})
    if (std::string line = check(*this); !line.empty()) return line;
  return {};
}

}  // namespace sluice
