// The state of the groups out of the records of a stream: logs, hard states, what is alive; and the
// peers that the stream remembers.
//
// A truncation has no record of its own: the batch that replaces the first truncated one is it. So
// a group's log is what is left when its batches are put one after the other, each cutting what it
// begins before. Dead batches may lack their predecessors (their segments are gone already); what
// they leave is replaced or trimmed by the end, or the log is damaged.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <vector>

#include "segments/group_index.h"
#include "segments/record.h"
#include "segments/recovery.h"
#include "wire/ids.h"

namespace sluice::segments {

/// What a batch says besides its place in the log.
struct BatchFacts {
  ProducerId producer;
  Sequence first_sequence;
  BatchKind kind{};
  /// The whole batch, of kinds other than kData (small and few).
  std::vector<std::byte> bytes = {};
};

/// One record of a producers' snapshot.
struct SnapshotPiece {
  Location location;
  std::vector<std::byte> bytes;
};

/// What is left of one group.
struct GroupState {
  GroupIndex index;
  std::vector<BatchFacts> batches;  // one for each of the index, in its order
  HardState hard_state;
  /// Where the newest ones lie; nothing if the group has none. They are alive.
  std::optional<Location> hard_state_at, trim_at;
  /// The producers' snapshot that belongs to the newest trim: the pieces that the same process
  /// appended between its trim before and this one. Pieces without a trim behind them are half a
  /// snapshot, left by a process that died, and dead. These are alive.
  std::vector<SnapshotPiece> producers;
};

/// What is remembered of a peer, and where. Alive.
struct PeerState {
  DirectoryId directory;
  Location at;
};

/// Collects facts during the scans, in any order of segments; the bytes need not stay.
class Replay {
 public:
  /// To be called from scan_segment()'s on_record.
  void add(const Record& record);

  /// Puts the live records together, in the order of the stream, and counts them into
  /// verdict.end.segments.
  /// Once only: what was collected moves out.
  /// Errors  the groups whose batches do not form one chain from where their log begins.
  [[nodiscard]] std::expected<std::map<GroupId, GroupState>, std::vector<Damage>> finish(
      Verdict& verdict);

  /// After finish(): the newest record of each peer. Its directory may be read from a chunk that is
  /// not durable yet, like all that finish() returns.
  [[nodiscard]] const std::map<NodeId, PeerState>& peers() const { return peers_; }

 private:
  struct Fact {
    RecordKind kind{};
    GroupId group;
    GroupIndex::Entry batch = {};         // location for all kinds, the rest for batches
    std::uint64_t previous_checksum = 0;  // batch
    BatchFacts more = {};                 // batch; bytes for snapshots too
    HardState hard_state = {};
    TrimPoint trim = {};
    PeerDirectory peer = {};
  };
  /// A group on its way.
  struct Building;

  static void apply(Fact& fact, Building& group);
  static void apply_batch(Fact& fact, Building& group);

  std::map<Epoch, std::vector<Fact>> facts_;  // each in order of seq
  std::map<NodeId, PeerState> peers_;
};

}  // namespace sluice::segments
