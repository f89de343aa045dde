// Where the time of a commit goes, and how full its chunks are: counted per chunk, per frame and per
// request, never per entry, with the time that the loop has at hand anyway (Io::now_ns()). A stage
// that begins and ends within one round of the loop therefore took 0.
#pragma once

#include <vector>

#include "wire/distribution.h"
#include "wire/messages_generated.h"

namespace sluice::shard {

struct StageTimes {
  Distribution queue_ns;     // the first batch of a chunk was taken, until the chunk is written
  Distribution disk_ns;      // the write of a chunk was submitted, until it completed
  Distribution follower_ns;  // a frame was queued for a follower, until it acknowledged what is in it
  Distribution commit_ns;    // a client's batch was taken, until it is committed
  Distribution reply_ns;     // answers were due, until they were sent
  Distribution chunk_entries;
  Distribution chunk_bytes;  // as written, padding included

  /// What is not zero, for ClientStatusReply.
  [[nodiscard]] std::vector<wire::StageBucket> buckets() const {
    std::vector<wire::StageBucket> all;
    const auto add = [&all](wire::Stage stage, const Distribution& distribution) {
      for (std::size_t bucket = 0; bucket < Distribution::kBuckets; ++bucket) {
        if (const auto count = distribution.count_in(bucket); count > 0) {
          all.emplace_back(count, static_cast<std::uint16_t>(bucket), stage, std::uint8_t{0}, 0u);
        }
      }
    };
    add(wire::Stage::Queue, queue_ns);
    add(wire::Stage::Disk, disk_ns);
    add(wire::Stage::Follower, follower_ns);
    add(wire::Stage::Commit, commit_ns);
    add(wire::Stage::Reply, reply_ns);
    add(wire::Stage::ChunkEntries, chunk_entries);
    add(wire::Stage::ChunkBytes, chunk_bytes);
    return all;
  }
};

}  // namespace sluice::shard
