// One run of the simulator, as values: the cluster, the workload, and the faults with their times. A
// seed draws one; a file holds one; the shrinker makes smaller ones.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/world.h"

namespace sluice::sim {

/// What goes wrong. a and b are machines: nodes from 0, then clients.
enum class FaultKind : std::uint8_t {
  kKill,             // process a is killed, started again at `until`
  kPower,            // machine a loses power, comes back at `until`; amount 1: waits for a moment at
                     // which durable writes to two of its files are on their way (S32)
  kStop,             // process a is asked to stop, started again at `until`
  kPause,            // process a stands still
  kCut,              // nothing passes from a to b
  kReset,            // connections between a and b break; amount 1: only one side hears of it
  kSlow,             // from a to b: `amount` us more latency
  kNarrow,           // from a to b: `amount` bytes a millisecond
  kFlip,             // from a to b: `amount` of a million segments arrive with a wrong bit
  kShortIo,          // from a to b: `amount` of a million sends and receives are short
  kDiskStall,        // disk a completes nothing
  kDiskFull,         // disk a has `amount` blocks left
  kDiskShort,        // `amount` of a million transfers of disk a are short
  kReadError,        // of disk a, per million; likewise:
  kWriteError,
  kSyncError,
  kMisdirectedWrite,
  kMisdirectedRead,
  kFlipOnRead,
  kRot,              // a sector of a segment of disk a is damaged
  kWipe,             // disk a is replaced by an empty one; the node is down from `at` to `until`
  kOldDisk,          // machine a loses power at `until` and its disk comes back as it was at `at`, if
                     // all others hold by then whatever it knew
  kIsolate,          // nothing passes between a and the other nodes; clients still reach it
  kPair,             // nothing passes between a and b and the other nodes; clients still reach them
  kMute,             // what a says to the other nodes is `amount` us late; it hears them as before
};
inline constexpr std::size_t kFaultKinds = 25;

/// In Fault::a: the node that leads group (a - kLeaderOf) at that time; node 0 while none does.
inline constexpr std::size_t kLeaderOf = 1000;
/// The node that wins the next election of group (a - kNextLeaderOf): the fault waits for it, begins
/// within moments of it, and lasts as long as it was to last.
inline constexpr std::size_t kNextLeaderOf = 2000;

struct Fault {
  FaultKind kind{};
  Time at = 0, until = 0;
  std::size_t a = 0, b = 0;
  std::uint64_t amount = 0;
};

struct Scenario {
  std::uint64_t seed = 0;
  bool liveness = false;

  std::uint32_t nodes = 3, shards = 1, groups = 1, clients = 2;
  std::string fsync = "always";
  std::uint32_t tick_ms = 20, election_ms = 400, heartbeat_ms = 100;
  std::uint32_t batch_bytes_max = 4096;
  std::uint64_t segment_bytes = 64u << 10;
  std::uint32_t writes_inflight_max = 4;
  std::uint64_t inflight_bytes_max = 64u << 10, uncommitted_bytes_max = 128u << 10;
  std::uint64_t catch_up_bytes_per_s_min = 128u << 20;
  std::uint32_t latency_us = 50;
  std::uint32_t disk_us = 150;        // a durable write,
  std::uint32_t disk_us_per_kib = 0;  // and so much more for its size
  std::uint32_t clock_ppm = 0;  // how far clocks run apart

  std::uint32_t producers = 2, interval_us = 5000, burst = 4, entry_bytes_max = 200, window = 32;
  std::uint64_t operations_max = 1'000'000;
  bool plain = true, named = true, reads = true, trims = false;
  bool locals = false;  // clients in the nodes' processes, one a shard

  Time faults_end = 5 * kSecond;
  std::vector<Fault> faults;

  /// More events than this: something runs in circles.
  std::uint64_t events_max = 20'000'000;

  /// The nodes whose disks may lie: a minority, so that a good copy of everything is left.
  std::uint32_t liars = 0;  // bit per node
};

struct DrawOptions {
  bool liveness = false;
  bool calm = false;  // no faults: for measuring
};

/// The scenario that is `seed`.
[[nodiscard]] Scenario draw_scenario(std::uint64_t seed, const DrawOptions& options);

/// A line per setting and per fault; parse_scenario() reads it back.
[[nodiscard]] std::string to_text(const Scenario& scenario);
[[nodiscard]] std::expected<Scenario, std::string> parse_scenario(std::string_view text);
[[nodiscard]] std::string to_text(const Fault& fault);

}  // namespace sluice::sim
