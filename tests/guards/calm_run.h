// A calm cluster: three nodes of one shard, clients with a closed loop, no faults, in the simulator. What a run counts is a function of the code alone, so it can be compared exactly
// with what was accepted before, however busy the machine is.
#pragma once

#include <cstdint>
#include <string>

#include "tests/guards/meter.h"

namespace sluice::guards {

/// What the clients do.
struct Shape {
  std::uint32_t clients = 1;
  std::uint32_t groups = 1;       // which the entries of a client go to in turn
  std::uint32_t outstanding = 1;  // entries without an answer, of all clients; a multiple of them
  std::uint32_t entry_bytes = 100;
  bool numbered = false;          // by a producer each
  std::uint64_t warm_up = 0;      // entries acknowledged before anything counts
  std::uint64_t window = 0;       // entries that count; 0 with away_for: until it has caught up
  /// After the warm-up a follower is killed and is away for so many entries; what counts begins when it
  /// is started again. 0: none is.
  std::uint64_t away_for = 0;
  std::uint32_t batch_bytes_max = 1u << 20;  // of a client
  /// The nodes' disks are so slow, and what is read for who is behind so little, that one read waits for
  /// longer than an election time-out.
  bool slow = false;
  /// The first client trims all that it knows to be committed, each time it has so many answers; 0:
  /// never. Segments are recycled then.
  std::uint64_t trim_every = 0;
  std::uint64_t segment_bytes = 64u << 20;
  std::uint64_t seed = 1;  // of the simulator

  [[nodiscard]] std::string name() const;
};

enum class Party : std::uint8_t { kNone, kLeader, kFollowers, kClients };

struct RunResult {
  std::string failure;  // empty: it went well
  std::uint64_t entries = 0;
  std::uint64_t payload_bytes = 0;  // of these entries
  std::uint64_t lacked_bytes = 0;   // payload that the follower that was away had to get
  /// followers: both together; clients: all of them. With away_for, which may find groups led by each of
  /// the other two: follower is who was away, leader the others together.
  Counts leader, followers, clients;
};

/// `instructions_of`: whose instructions callgrind collects.
[[nodiscard]] RunResult run_calmly(const Shape& shape, Party instructions_of);

}  // namespace sluice::guards
