// Group commit: everything that all groups of a shard appended since the last write becomes durable
// by one write.
//
// Self-clocked: with no write in flight the open chunk is written at once; while one is in flight,
// what arrives gathers and goes when it completes. A further write goes beside it when a good
// amount is pending (deep_bytes). No timer, no linger.
//
// What "durable" means follows the fsync policy:
//   always    each chunk is one O_DIRECT write with RWF_DSYNC, stable when it completes
//   interval  a chunk counts when its write completed; a sync follows within the interval
//   never     the same without the sync (a segment is synced once when the next one begins, so that
//             old segments can be retired)
// A vote counts only when its chunk and all before it are durable, under every policy, and a sync
// begins at once for it: a vote that a power failure took back, alone or because recovery cuts at a
// hole before it, could be given twice in one term, and two leaders would overwrite each other. The
// same holds for the directory of a peer (peer_directories.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/io/io.h"
#include "engine/shard/file_steps.h"
#include "engine/shard/stage_times.h"
#include "engine/shard/tail.h"
#include "engine/shard/write_load.h"
#include "segments/segment_log.h"

namespace sluice::shard {

struct CommitCounters {
  std::uint64_t chunks_written = 0;
  std::uint64_t flushes = 0;  // writes and syncs that made something durable
  std::uint64_t bytes_written = 0;
};

class GroupCommit : private FileSteps::Events {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    /// Chunks up to `seq` may be acted upon: durable, or written where the policy says so.
    virtual void on_chunks_stable(ChunkSeq seq) = 0;
    /// The log on disk cannot be trusted any more: the node must stop for good (S35).
    virtual void on_commit_failed(const std::string& why) = 0;
  };

  struct Options {
    std::string directory;  // of the shard
    bool direct = true;     // O_DIRECT
    segments::Options segments;
    FsyncPolicy fsync;
    std::uint32_t writes_inflight_max = 4;
    std::uint64_t tail_bytes = 64u << 20;
    std::uint64_t deep_bytes = 256u << 10;
  };

  GroupCommit(io::Io& io, Options options, segments::StreamEnd end, Events& events);

  /// Is there room for a record of `size_bytes` in a chunk? Closes the open chunk and opens the
  /// next one as needed.
  enum class Room : std::uint8_t {
    kYes,
    kLater,    // after a write completed, or a segment was prepared, or a slow reader was cut off
    kNoSpace,  // the disk is full
  };
  [[nodiscard]] Room make_room(std::size_t size_bytes);

  /// The disk takes nothing: the last thing that needed room found it full, or waits (for its write,
  /// or for room that only a write or a new segment can make) while nothing completes. A segment that
  /// is prepared in the background, however slowly, is nothing that anybody waits for.
  [[nodiscard]] bool blocked() const { return full_ || hung_; }

  /// Precondition for all: make_room() said kYes for their size.
  segments::SegmentLog::Placed append_batch(BatchView batch);
  segments::Location append_hard_state(GroupId group, Term term, NodeId vote);
  segments::Location append_trim(GroupId group, const segments::TrimPoint& point);
  segments::Location append_producers(GroupId group, std::span<const std::byte> bytes);
  segments::Location append_peer(const segments::PeerDirectory& peer);

  /// Number of the chunk that the next record goes to.
  [[nodiscard]] ChunkSeq next_seq() const { return log_.last_seq().next(); }

  /// Once per loop, after everything was appended: writes what may be written now.
  void pump();
  /// Once per tick: idle marks, interval syncs, retries after ENOSPC.
  void tick();

  /// Writes a mark even though nothing was appended (the first chunk after a start).
  void write_mark();

  /// Start-up, under every policy: makes durable what is written.
  void sync_now();

  [[nodiscard]] ChunkSeq stable_seq() const;
  /// Nothing is being written; everything appended is durable, whatever the policy.
  [[nodiscard]] bool idle() const {
    return failed_ || (writes_inflight_ == 0 && (!log_.chunk_open() || log_.chunk_empty()) &&
                       unsynced_.empty() && syncing_.empty());
  }
  /// Nothing was written for a tick at least, and nothing is to be.
  [[nodiscard]] bool resting() const {
    return idle_ticks_ > 1 && writes_inflight_ == 0 && !sync_.pending() &&
           (!log_.chunk_open() || log_.chunk_empty());
  }
  /// No operation is in flight at all.
  [[nodiscard]] bool quiet() const;
  /// No further step, write or sync is begun.
  void stop();

  [[nodiscard]] Tail& tail() { return tail_; }
  [[nodiscard]] segments::SegmentLog& log() { return log_; }
  [[nodiscard]] FileSteps& files() { return files_; }
  [[nodiscard]] const CommitCounters& counters() const { return counters_; }
  [[nodiscard]] StageTimes& stages() { return stages_; }

 private:
  struct Write {
    explicit Write(GroupCommit* commit)
        : owner(commit), completion(io::Completion::bind<&Write::on_done>(this)) {}
    void on_done(std::int32_t result) { owner->on_write_done(*this, result); }
    GroupCommit* owner;
    io::Completion completion;
    segments::ChunkWrite chunk;
    io::Handle file = io::Handle::kNone;
    std::size_t done_bytes = 0;
    bool durable = false;
    std::uint64_t submitted_ns = 0;
    bool has_batches = false;  // without any, its time is nothing that a client waited for
  };

  [[nodiscard]] Room find_room(std::size_t size_bytes);
  void close_and_write();
  void submit(Write& write);
  void on_write_done(Write& write, std::int32_t result);
  void on_sync_due(std::int32_t result);
  void sync_if_due();
  void skip_needless_zeros();
  void begin_sync();
  void sync_next_file();
  void on_synced(std::int32_t result);
  void fail(const std::string& what, int error);
  void on_step_done() override;
  void on_step_failed(const std::string& what, int error) override;

  io::Io& io_;
  Options options_;
  Events& events_;
  segments::SegmentLog log_;
  Tail tail_;
  FileSteps files_;
  CommitCounters counters_;
  WriteLoad load_;
  StageTimes stages_;
  std::uint64_t first_batch_ns_ = 0;  // of the open chunk
  std::uint64_t open_entries_ = 0;    // in the open chunk
  std::vector<std::unique_ptr<Write>> writes_;
  std::uint32_t writes_inflight_ = 0;
  ChunkSeq last_record_seq_;  // newest chunk that is more than a mark
  std::uint32_t idle_ticks_ = 0;
  bool mark_wanted_ = false;
  bool full_ = false;
  bool hung_ = false;
  bool room_wanted_ = false;  // since the last tick somebody was told to come later
  std::uint64_t completions_ = 0, completions_seen_ = 0;  // of writes and syncs; with steps, at the last tick
  bool failed_ = false;
  bool stopping_ = false;
  std::uint64_t next_retry_ns_ = 0;

  // interval and never
  io::Completion sync_{io::Completion::bind<&GroupCommit::on_synced>(this)};
  std::vector<Epoch> unsynced_;  // segments written without durability since the last sync
  std::vector<Epoch> syncing_;
  ChunkSeq sync_target_;
  io::Completion sync_timer_{io::Completion::bind<&GroupCommit::on_sync_due>(this)};
  bool sync_due_ = false;
  ChunkSeq at_once_seq_;  // newest chunk that holds a vote or a peer
};

}  // namespace sluice::shard
