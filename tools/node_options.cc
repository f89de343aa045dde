#include "tools/node_options.h"

#include <fmt/format.h>

#include "tools/errors.h"
#include "tools/sizes.h"

namespace sluice::tools {
namespace {

PeerAddress parse_peer(const std::string& text) {
  const std::size_t equals = text.find('=');
  const auto id = parse_number(std::string_view(text).substr(0, equals));
  if (equals == std::string::npos || !id || *id == 0 || *id > 0xFFFF'FFFF)
    throw UsageError(fmt::format("--peer: \"{}\" is not of the form ID=HOST:PORT", text));
  return {NodeId(static_cast<std::uint32_t>(*id)), text.substr(equals + 1)};
}

NodeId parse_trusted(const std::string& text) {
  const auto id = parse_number(text);
  if (!id || *id == 0 || *id > 0xFFFF'FFFF)
    throw UsageError(
        fmt::format("--trust-new-directory-of: \"{}\" is not the number of a node", text));
  return NodeId(static_cast<std::uint32_t>(*id));
}

}  // namespace

std::string fsync_help() {
  return "when an append is acknowledged, and what a power failure can take (a killed process "
         "loses nothing under any policy). always: on the stable storage of a majority; loses "
         "nothing. interval=DURATION (1ms to 60s, as 500ms or 2s): in the memory of a majority, "
         "made durable at least that often; if a majority loses power at once, the last DURATION "
         "of acknowledged entries can be lost. never: in the memory of a majority, left to the "
         "operating system; if a majority loses power at once, everything that it had not written "
         "yet (often the last 30 s) can be lost. (default always)";
}

FsyncPolicy fsync_policy(const std::string& text) {
  const Result<FsyncPolicy> policy = FsyncPolicy::parse(text);
  if (policy) return *policy;
  throw UsageError(
      fmt::format("--fsync: \"{}\" is not a policy: write always, never or interval=10ms", text));
}

void NodeOptions::declare(OptionSet& options) {
  declare_identity(options);
  declare_bounds(options);
  declare_times(options);
}

void NodeOptions::declare_identity(OptionSet& options) {
  options.number("node-id", node_id_, {1, 0xFFFF'FFFF}, "number of this node; one of the peers");
  options.text("cluster-id", config_.cluster_name, "NAME",
               "name of the cluster, 1 to 64 characters; nodes and data of another are refused");
  options.text("data-dir", config_.data_dir, "DIR",
               "directory of this node alone, on a real disk; made if missing");
  options.text("listen", config_.listen, "HOST:PORT",
               "address to listen on, for peers and clients; port 0 takes any free one");
  options.list("peer", peers_, "ID=HOST:PORT",
               "a member of the cluster, this node too; give it once for each of the 1 to 7 "
               "(in the file: peers = [\"1=host:port\", ...] or a table)");
  for (const char* name : {"node-id", "cluster-id", "data-dir", "listen", "peer"})
    options.require(name);
  options.number("groups", config_.groups, {1, 65'536},
                 "independent logs, numbered 0 to N-1; the same on all nodes");
  options.number("shards", config_.shards, {0, 64},
                 "threads, each with its own ring, segments and share of the groups; 0: what the "
                 "directory has, in a new one as many as cores; fixed for the life of the "
                 "directory and the same on all nodes");
  options.text("fsync", fsync_, "POLICY", fsync_help());
  options.list("trust-new-directory-of", trusted_again_, "NODE",
               "a peer that lost its disk and is refused with an empty one: for this start, the "
               "first directory that it names is trusted in place of the old one; once for each. "
               "Safe only while all other nodes run and 'sluice status' shows, for every group, one "
               "leader and on each of them the same term, last_index and commit_index, the latter "
               "two equal: then no majority needs what the lost disk held. Start all other nodes "
               "so, one after the other, and without it the next time");
  options.flag("no-pin", no_pin_, "do not bind each thread to a core");
  options.number("first-core", config_.first_core, {0, 4095},
                 "core of the first thread; the others follow");
}

void NodeOptions::declare_bounds(OptionSet& options) {
  constexpr std::uint64_t kTiB = 1ull << 40;
  options.size("batch-bytes-max", config_.batch_bytes_max, {4096, 16u << 20},
               "largest batch, and so largest entry; multiple of 8");
  options.size("segment-bytes", config_.segment_bytes, {1u << 20, 2ull << 30},
               "size of a segment file; multiple of 4096");
  options.number("writes-inflight-max", config_.writes_inflight_max, {1, 16},
                 "group commits on their way to the disk at once, per thread");
  options.size("tail-bytes", config_.tail_bytes, {1u << 20, kTiB},
               "newest entries kept in memory for followers and readers, per thread");
  options.size("send-queue-bytes-max", config_.send_queue_bytes_max, {1u << 16, kTiB},
               "bytes waiting for one connection; a reader that is slower is cut off");
  options.number("connections-max", config_.connections_max, {16, 1u << 20},
                 "connections of clients and peers, per thread");
  options.size("inflight-bytes-max", config_.inflight_bytes_max, {1u << 16, kTiB},
               "bytes sent to a follower without its answer, per group");
  options.size("catch-up-bytes-per-s-min", config_.catch_up_bytes_per_s_min, {1u << 20, kTiB},
               "what is read from disk in a second for a follower that is behind, at least, all threads "
               "together. Under load it is one and a half times what is written; at rest, all that the "
               "disk gives");
  options.size("uncommitted-bytes-max", config_.uncommitted_bytes_max, {1u << 16, kTiB},
               "bytes not yet on a majority, per group; above it appends wait or are refused");
  options.number("producers-max", config_.producers_max, {1, 1u << 20},
                 "producers whose sequences are remembered, per group");
}

void NodeOptions::declare_times(OptionSet& options) {
  options.number("busy-poll-us", config_.busy_poll_us, {0, 1'000},
                 "how long a busy thread looks for work before it sleeps, in microseconds: shorter "
                 "latency for processor time that nobody else wants. 0, to sleep at once, where "
                 "processors are shared or limited (a container with a quota)");
  options.number("tick-ms", config_.tick_ms, {1, 1000}, "the node's clock, in milliseconds");
  options.number("election-timeout-ms", config_.election_timeout_ms, {2, 600'000},
                 "silence of the leader after which a node campaigns, in milliseconds; drawn from "
                 "1 to 2 times this");
  options.number("heartbeat-ms", config_.heartbeat_ms, {1, 60'000},
                 "how often a leader shows itself when it has nothing to send, in milliseconds");
}

Config NodeOptions::config() const {
  Config config = config_;
  config.node_id = NodeId(node_id_);
  config.pin = !no_pin_;
  config.fsync = fsync_policy(fsync_);
  for (const std::string& peer : peers_) config.peers.push_back(parse_peer(peer));
  for (const std::string& node : trusted_again_)
    config.trusted_again.push_back(parse_trusted(node));
  if (const std::string problem = config.problem(); !problem.empty()) throw UsageError(problem);
  return config;
}

}  // namespace sluice::tools
