// Records: what a chunk carries. A batch is the log itself; the others are this node's own state,
// which rides in the same stream so that one write makes everything durable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "segments/format_generated.h"
#include "wire/batch.h"
#include "wire/ids.h"

namespace sluice::segments {

enum class RecordKind : std::uint8_t {
  kBatch = 1,      // a sealed batch, verbatim
  kHardState = 2,  // HardStateRecord: the newest of a group counts
  kTrim = 3,       // TrimRecord: the group's log begins after it
  kProducers = 4,  // snapshot of a group's producer sessions, opaque here
  kPeer = 5,       // PeerRecord: the newest of a peer counts; of no group
};

inline constexpr std::size_t kChunkHeaderBytes = 96;
inline constexpr std::size_t kDescriptorBytes = 48;
inline constexpr std::size_t kSegmentHeaderBytes = 88;
static_assert(sizeof(ChunkHeader) == kChunkHeaderBytes);
static_assert(sizeof(RecordDescriptor) == kDescriptorBytes);
static_assert(sizeof(SegmentHeader) == kSegmentHeaderBytes);
static_assert(sizeof(HardStateRecord) == 16 && sizeof(TrimRecord) == 24);
static_assert(sizeof(PeerRecord) == 24);

/// Where a record lies.
struct Location {
  ChunkSeq seq;
  Epoch epoch;
  std::uint32_t offset = 0;  // of the record's first byte, in the segment file
  std::uint32_t size_bytes = 0;
};

struct TrimPoint {
  Index prev_index;
  Term prev_term;
  std::uint64_t prev_checksum = 0;
  bool operator==(const TrimPoint&) const = default;
};

/// Term and vote of a group (Raft Figure 2, persistent state).
struct HardState {
  Term term;
  NodeId vote;
  bool operator==(const HardState&) const = default;
};

/// Which data directory a peer has (S56).
struct PeerDirectory {
  NodeId node;
  DirectoryId directory;
  bool operator==(const PeerDirectory&) const = default;
};

/// A record of a valid chunk, found by a scan. `bytes` lie in the scanned memory.
struct Record {
  RecordKind kind{};
  GroupId group;
  Location location;
  std::span<const std::byte> bytes;
};

/// Precondition for all: the record is of that kind (a scan has checked its size).
[[nodiscard]] inline HardState hard_state_of(const Record& record) {
  HardStateRecord stored;
  std::memcpy(&stored, record.bytes.data(), sizeof stored);
  return {Term(stored.term()), NodeId(stored.vote())};
}
[[nodiscard]] inline TrimPoint trim_point_of(const Record& record) {
  TrimRecord stored;
  std::memcpy(&stored, record.bytes.data(), sizeof stored);
  return {Index(stored.prev_index()), Term(stored.prev_term()), stored.prev_checksum()};
}
[[nodiscard]] inline PeerDirectory peer_directory_of(const Record& record) {
  PeerRecord stored;
  std::memcpy(&stored, record.bytes.data(), sizeof stored);
  return {NodeId(stored.node()), DirectoryId{stored.directory_high(), stored.directory_low()}};
}

}  // namespace sluice::segments
