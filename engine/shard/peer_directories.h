// Which data directory each peer has, so that one which comes back with another is told from the
// peer that this node knows (S56).
//
// A node that lost its disk, and starts again with an empty one, has forgotten for whom it voted
// and what it acknowledged. Both were counted. Its next vote may elect a leader without entries
// that were acknowledged, so nothing it says may count under its old id.
//
//   first met     its directory id is written down; it takes no part until that is durable, under
//                 every fsync policy. Forgotten earlier, the record could name another directory
//                 after a crash, and what the first one said would have counted all the same
//   met again     with the same id: it takes part. With another one: it is refused
//   trusted again (Config::trusted_again) what is remembered is replaced by the first directory
//                 that the peer names, once
//
// Each shard remembers for itself, in its own stream: a record of a few bytes per peer, for ever.
//
// What it cannot tell: a peer that was never met before, and an old copy of the same directory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "engine/shard/group_commit.h"
#include "segments/replay.h"
#include "wire/ids.h"

namespace sluice::shard {

class PeerDirectories {
 public:
  enum class Answer : std::uint8_t {
    kSame,   // the one that is remembered: the peer takes part
    kLater,  // remembered, but not durably, or there was no room to write it: ask again
    kOther,  // not the one that is remembered: refuse the peer
  };

  /// `known` is what recovery found; durable before the first meet().
  PeerDirectories(GroupCommit& commit, const std::map<NodeId, segments::PeerState>& known,
                  std::span<const NodeId> trusted_again);

  /// The peer says hello, or answers ours, and names its directory. Writes down what is new.
  [[nodiscard]] Answer meet(NodeId peer, DirectoryId directory);

  /// Moves records out of old segments that nothing but states holds.
  void move_old_records();

  /// Why `directory` is refused, and the way out. One line for people. Precondition: meet() said
  /// kOther.
  [[nodiscard]] std::string refusal(NodeId self, NodeId peer, DirectoryId directory) const;

 private:
  struct Peer {
    std::optional<DirectoryId> directory;
    segments::Location at;      // its newest record; seq 0: none
    ChunkSeq counts_from;       // `directory` is remembered for good when this chunk is durable
    bool write_due = false;     // the record at `at` does not name `directory`
    bool trust_again = false;
  };
  [[nodiscard]] bool write(NodeId node, Peer& peer);

  GroupCommit& commit_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace sluice::shard
