// What `sluice inspect` found in a directory, and how it is shown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/shard/identity.h"
#include "tools/json_fwd.h"
#include "wire/ids.h"

namespace sluice::tools {

struct SegmentFacts {
  std::string name;
  Epoch epoch;
  std::uint64_t file_bytes = 0;
  std::uint64_t used_bytes = 0;      // header and contiguous valid chunks
  std::string header;                // "ok", or why it is not valid
  std::uint64_t chunks = 0;          // with a valid header
  std::uint64_t chunks_damaged = 0;  // of these, with a record that is not right
  ChunkSeq first_live, last_live;    // 0, 0: none
  bool torn = false;                 // a chunk was begun behind the last one and is not whole
};

struct GroupFacts {
  GroupId group;
  Index first_index, last_index;
  Term first_term, last_term;  // of its batches; 0 if it has none
  std::uint64_t batches = 0;
  Term term;  // hard state
  NodeId vote;
};

/// Which data directory a peer has, as this node remembers it.
struct PeerFacts {
  NodeId node;
  DirectoryId directory;
};

struct ShardFacts {
  ShardId shard;
  std::vector<SegmentFacts> segments;  // by epoch
  std::vector<GroupFacts> groups;      // by group
  std::vector<PeerFacts> peers;        // by node
  std::uint64_t spares = 0;            // other files: spares, unfinished ones, strangers
  ChunkSeq last_seq, durable_seq;
  bool torn_tail = false;
  std::vector<std::string> damage;
};

struct DirectoryFacts {
  std::string path;
  shard::DirectoryIdentity identity;
  std::vector<ShardFacts> shards;

  [[nodiscard]] bool damaged() const;
  [[nodiscard]] bool torn_tail() const;
};

[[nodiscard]] Json inspect_json(const DirectoryFacts& facts);
[[nodiscard]] std::string inspect_text(const DirectoryFacts& facts);

}  // namespace sluice::tools
