// From the files of a shard's directory to its groups: reads every segment, lets segments/recovery
// judge, and replays the live records in the order in which they were written. Blocks; start-up.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "engine/io/io.h"
#include "engine/raft/raft.h"
#include "engine/shard/group.h"
#include "segments/recovery.h"
#include "segments/replay.h"
#include "segments/segment_log.h"

namespace sluice::shard {

/// What the log says of one group.
struct RecoveredGroup {
  explicit RecoveredGroup(std::uint32_t producers_max) : sessions(producers_max) {}

  raft::HardState hard_state;
  segments::GroupIndex index;
  Sessions sessions;
  std::vector<PendingTrim> pending_trims;
  segments::Location hard_state_at, trim_at;
  std::vector<segments::Location> producers_at;

  /// The log as Raft sees it.
  [[nodiscard]] raft::LogView log_view() const;
};

struct Recovered {
  segments::StreamEnd end;
  std::map<GroupId, RecoveredGroup> groups;  // those that the log speaks of
  std::map<NodeId, segments::PeerState> peers;  // those that were met
  bool torn_tail = false;
  std::uint32_t batch_bytes_max = 0;  // of the largest batch in a log
  bool direct = true;                 // the filesystem has O_DIRECT
  std::uint64_t bytes_read = 0;
};

/// Errors  for people, one line: what is damaged and where, or what could not be read.
[[nodiscard]] std::expected<Recovered, std::string> recover(io::Io& io,
                                                            const std::string& directory,
                                                            const segments::Options& options,
                                                            std::uint32_t producers_max);

}  // namespace sluice::shard
