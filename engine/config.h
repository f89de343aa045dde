// The configuration of a node: one struct, each field with meaning, unit, default and range.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/ids.h"
#include "wire/result.h"

namespace sluice {

/// When an append may be acknowledged, and what a power failure can take (a killed process alone
/// loses nothing under any policy: the kernel has the bytes).
struct FsyncPolicy {
  enum class Kind : std::uint8_t {
    kAlways,    // on the stable storage of a majority before the acknowledgement
    kInterval,  // in the memory of a majority; made durable at least every `interval`
    kNever,     // in the memory of a majority; made durable when the operating system likes
  };
  Kind kind = Kind::kAlways;
  std::uint64_t interval_ns = 0;  // kInterval: 1 ms to 60 s

  /// "always", "never", "interval=DURATION" with DURATION like 500us, 10ms, 2s.
  [[nodiscard]] static Result<FsyncPolicy> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

struct PeerAddress {
  NodeId node;
  std::string address;  // "host:port"
};

/// The groups of one shard fit in one status reply (wire::kEnvelopeBytesMax).
inline constexpr std::uint32_t kGroupsPerShardMax = 16'384;

struct Config {
  NodeId node_id;                  // 1 to 2^32-1; one of `peers`
  std::string cluster_name;        // 1 to 64 characters
  std::string data_dir;            // created if missing
  std::string listen;              // "host:port"; port 0: any free one
  std::vector<PeerAddress> peers;  // 1 to 7 members, this node among them
  /// Peers whose disk was replaced (S56): the directory that each of them names first after this
  /// start takes the place of the one that is remembered. engine/README.md says when that is safe.
  std::vector<NodeId> trusted_again;

  std::uint32_t groups = 1;  // 1 to 65,536
  /// Threads. 0: what the data directory has; in a new one, one per core. 1 to 64. Fixed for the
  /// life of the directory, and the same on all nodes.
  std::uint32_t shards = 0;
  /// Bind shard i to core (first_core + i) mod cores.
  bool pin = true;
  std::uint32_t first_core = 0;

  FsyncPolicy fsync;
  std::uint32_t batch_bytes_max = 1u << 20;         // 4 KiB to 16 MiB, multiple of 8
  std::uint64_t segment_bytes = 64u << 20;          // 1 MiB to 2 GiB, multiple of 4,096
  std::uint32_t writes_inflight_max = 4;            // group commits on their way to disk, 1 to 16
  std::uint64_t tail_bytes = 64u << 20;             // newest chunks kept in memory, per shard
  std::uint64_t send_queue_bytes_max = 16u << 20;   // per connection; beyond it is cut off
  std::uint32_t connections_max = 1024;             // clients' and peers', per shard
  std::uint64_t inflight_bytes_max = 8u << 20;      // per follower and group
  /// What is read from disk for a follower that is behind keeps pace with the commits of its thread
  /// (shard/catch_up_pace.h). However little those are, it is at least so much a second for each follower
  /// if all threads read; a thread's part of it is fixed.
  std::uint64_t catch_up_bytes_per_s_min = 128u << 20;
  std::uint64_t uncommitted_bytes_max = 32u << 20;  // per group
  std::uint32_t producers_max = 1024;               // sequences remembered, per group

  /// A thread that has nothing to do looks so long for something before it sleeps, as long as it is
  /// kept busy (io/busy_poll.h). Latency for processor time. 0 to 1,000; 0: sleeps at once.
  std::uint32_t busy_poll_us = 100;

  std::uint32_t tick_ms = 10;               // 1 to 1,000
  /// Minimum; drawn from [1, 2) times this, and up to four times as long by a leader that committed nothing.
  std::uint32_t election_timeout_ms = 500;
  std::uint32_t heartbeat_ms = 50;

  /// Something that an operator should read (a torn tail was cut, a peer refuses us); called from
  /// the shards' threads. May be empty.
  std::function<void(const std::string&)> on_notice;

  /// Empty if the configuration is sound; else one line that says what to change.
  [[nodiscard]] std::string problem() const;
};

}  // namespace sluice
