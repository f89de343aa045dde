// A shard in small, over a disk in memory: groups that append, vote, truncate and trim, peers that
// are met, chunks in flight, file steps half done; then a crash, a recovery, and on.
//
// What was written is kept as a tree of chunks (a recovery that cuts makes a branch), each with the
// state of all groups after it. After each recovery:
//   - the last chunk found is in the tree, and every chunk that was called durable is among its
//     ancestors: nothing durable is missing, nothing dead came back
//   - the replayed state is exactly the one kept for that chunk, bytes included
//   - the live records counted per segment are those of that state
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "segments/replay.h"
#include "segments/segment_log.h"
#include "tests/segments/directory.h"
#include "tests/segments/memory_disk.h"
#include "tests/segments/samples.h"

namespace sluice::segments::test {

/// Everything that must be equal, as text: logs with locations, hard states, trims, snapshots.
std::string describe(const std::map<GroupId, GroupState>& groups);
std::string describe(const std::map<NodeId, PeerState>& peers);

class World {
 public:
  struct Kind {
    bool durable_writes = true;  // as policy `always`; else writes are synced by and by
    std::size_t groups = 4;
  };
  World(std::uint64_t seed, Kind kind);
  ~World();

  /// One random action of a running node: what a crash can fall between.
  void act();
  void act(std::size_t times) {
    for (; times > 0; --times) act();
  }
  /// Finishes what is under way and writes marks, so that everything written is known durable.
  void settle();

  /// Crash, leaving the disk as a new process finds it.
  void lose_power(MemoryDisk::Fate fate);
  void kill();
  /// A new process. Fails the test if it does not find what it should.
  void recover();

  /// Recovers from a disk that this world could have left, without going on from it. Returns the
  /// last chunk's number.
  ChunkSeq check(const MemoryDisk& disk) const;

  [[nodiscard]] MemoryDisk& disk() { return disk_; }
  [[nodiscard]] SegmentLog& log() { return *log_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const std::vector<MemoryDisk::WriteId> writes_under_way() const;

  /// How much happened, so that a test can tell that it tested something.
  struct Counts {
    std::size_t chunks = 0, rollovers = 0, retired = 0, cuts = 0, dead_came_back = 0,
                truncations = 0, trims = 0, rewrites = 0, full_disks = 0, recoveries = 0,
                peers_moved = 0;
    Counts& operator+=(const Counts& o);
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  using Groups = std::map<GroupId, GroupState>;
  using Peers = std::map<NodeId, PeerState>;
  /// One chunk that was closed, in the tree of all of them.
  struct Node {
    ChunkSeq seq;
    std::size_t parent = 0;
    std::shared_ptr<const Groups> after;
    std::shared_ptr<const Peers> peers;
  };
  struct Write {
    ChunkSeq seq;
    MemoryDisk::WriteId id = 0;
    std::size_t buffer = 0;
  };

  bool make_room(std::size_t record_bytes);
  void close_chunk();
  void complete_one();
  void complete(std::size_t i);
  void sync_segments();

  GroupState& any_group();
  SealedBatch next_batch(const GroupState& group, GroupId id, Index first, Term term,
                         std::uint64_t previous);
  void append();
  void vote(GroupId id);
  void vote();
  void truncate();
  void trim(GroupId id, std::size_t batches);
  void trim();
  void meet(NodeId peer, DirectoryId directory);
  void meet();
  void rewrite_blocking();

  void file_step();
  void begin_step();
  void do_step();
  void finish_step();

  void verify(const Recovered& found, const MemoryDisk& disk, std::size_t& tip) const;
  [[nodiscard]] bool is_ancestor(std::size_t node, std::size_t of) const;

  Options options_ = small_options();
  Kind kind_;
  Random random_;
  MemoryDisk disk_;
  std::unique_ptr<SegmentLog> log_;

  Groups groups_;
  Peers peers_;
  std::map<GroupId, std::vector<SnapshotPiece>> unfinished_;  // snapshots whose trim is to come
  std::vector<Node> nodes_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> node_of_;  // seq, checksum
  std::vector<std::size_t> path_;                                           // by seq

  std::vector<std::unique_ptr<DirtyBuffer>> buffers_;
  std::vector<std::size_t> free_buffers_;
  std::size_t open_buffer_ = 0;
  std::vector<Write> writes_;
  Epoch last_written_epoch_;

  std::optional<FileStep> step_;
  bool step_took_effect_ = false;
  std::vector<MemoryDisk::WriteId> late_writes_;  // of a killed process

  std::size_t durable_ = 0;  // node: everything up to it was called durable
  std::uint64_t next_term_ = 1;
  Counts counts_;
};

}  // namespace sluice::segments::test
