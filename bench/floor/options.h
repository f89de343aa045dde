// What a run of the floor is given.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::floor {

struct Options {
  std::uint32_t entry_bytes = 256;
  /// Closed loop: entries without a commit at any time. Open loop: the most there may be.
  std::uint32_t outstanding = 256;
  /// Most payload of a batch, and most bytes of one write or one send of the leader. A follower
  /// writes all that is at hand.
  std::uint32_t batch_bytes_max = 1u << 20;
  double seconds = 5;
  double warmup_seconds = 1;
  /// Most writes in flight on each of the three disks, 1 to 4.
  std::uint32_t disk_depth = 1;
  /// A write besides those in flight begins only with this much pending.
  std::uint32_t deeper_bytes = 256u << 10;
  /// Entries per second of the open loop; 0: closed loop.
  double rate = 0;
  /// Size of the file that each process overwrites again and again.
  std::uint64_t file_bytes = 256ull << 20;
  std::string data_dir;
};

}  // namespace sluice::floor
