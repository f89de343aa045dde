// The stream of chunks of one shard: what to write where. Pure: it lays out bytes in memory that it
// is given and says which write or file operation is due; somebody else does it and reports back.
//
// Life of a segment file (names in segments/README.md):
//
//   spare-N.tmp     being created, allocated and zero-filled; removed at start
//                   (a crash leaves rubbish)
//   spare-N         whole and synced, or retired; ready to be used
//                   (a crash leaves a spare)
//   EPOCH.segment   header for EPOCH written and synced, then renamed, directory synced: prepared,
//                   then active, then sealed. Whoever has this name has a valid header.
//
// A chunk goes only to a segment whose name and header are on stable storage already, so a rollover
// needs no operation that a crash could split.
//
// After a restart the stream goes on in a new segment, never in one that was found: bytes of the
// old process may still be on their way to the old file (a killed process's ring is torn down after
// its locks are released), and content cut as a torn tail must not come back behind new chunks. The
// first chunk of the new segment names the sequence number at which the old one ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segments/chunk_builder.h"
#include "segments/record.h"
#include "segments/segment_table.h"
#include "wire/batch.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice::segments {

struct Options {
  ClusterId cluster;
  DirectoryId directory;
  ShardId shard;
  /// Size of a segment file; multiple of kBlockBytes, at least 4 * chunk_bytes_max, below 4 GiB.
  std::uint64_t segment_bytes = 64u << 20;
  /// Bound of one chunk; multiple of kBlockBytes, at least batch_bytes_max + 2 * kBlockBytes.
  std::uint32_t chunk_bytes_max = (1u << 20) + 2 * kBlockBytes;
  /// Retired segments kept for reuse; what exceeds it is unlinked.
  std::uint32_t spare_segments_max = 4;
};

/// A group commit: write `bytes` at `offset` of segment `epoch`, durably if the policy says so.
struct ChunkWrite {
  ChunkSeq seq;
  Epoch epoch;
  std::uint64_t offset = 0;
  std::span<const std::byte> bytes;  // multiple of kBlockBytes; lies in the buffer of open_chunk()
  bool durable_at_once = false;      // holds a vote or a peer: under every fsync policy
};

/// One file operation that is due (names are relative to the shard's directory).
struct FileStep {
  enum class Kind : std::uint8_t {
    kCreate,         // create `name`, exclusive
    kAllocate,       // make `name` size_bytes long; need not be possible
    kZeroFill,       // write zeros to [offset, offset + size_bytes) of `name`
    kSyncFile,       // fdatasync `name`
    kWriteHeader,    // write header() to the beginning of `name`
    kRename,         // `name` -> `new_name`
    kSyncDirectory,  // fsync the directory
    kUnlink,         // remove `name`
  };
  Kind kind{};
  std::string name = {};
  std::string new_name = {};
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};

/// Where a process took up the stream: the last chunk that it found and kept. Stands in the header
/// of each segment that it writes, so that a durable mark in one of them names not only a number
/// but the chunks that it counts.
struct StreamBase {
  ChunkSeq seq;  // 0 in a new stream
  std::uint64_t checksum = 0;
  Epoch first_epoch;  // of the first segment that this process makes
  bool operator==(const StreamBase&) const = default;
};

/// What recovery hands over (segments/recovery.h).
struct StreamEnd {
  ChunkSeq last_seq = {};  // last live chunk; 0 in a new stream
  std::uint64_t last_chunk_checksum = 0;
  ChunkSeq durable_seq = {};               // known durable; above it chunks were only read
  Epoch oldest_epoch = {};                 // as the last live chunk states it; 0 in a new stream
  Epoch last_epoch = {};                   // highest epoch seen in any file; 0 in a new directory
  std::vector<SegmentInfo> segments = {};  // by epoch; from oldest_epoch on without gaps
  std::vector<std::string> spares = {};    // file names that may be reused
  std::vector<std::string> rubbish = {};   // file names to unlink
};

class FilePlan;

class SegmentLog {
 public:
  /// `end` with the live records counted in (segments/replay.h).
  ///
  /// What recovery read may not be durable yet: a killed process leaves writes in the device's
  /// cache. The first steps sync it; until then durable_seq() stays below last_seq() and no chunk
  /// can be opened. Nothing that depends on a recovered record (a vote, a match index) may be told
  /// to others before durable_seq() reaches it.
  SegmentLog(Options options, StreamEnd end);
  ~SegmentLog();
  SegmentLog(const SegmentLog&) = delete;
  SegmentLog& operator=(const SegmentLog&) = delete;

  // --- chunks --------------------------------------------------------------------------------

  [[nodiscard]] bool chunk_open() const { return chunk_open_; }

  /// Begins the next chunk in `buffer` (aligned to kBlockBytes, chunk_bytes_max long), which stays
  /// the caller's and must live until the chunk is written. Precondition: !chunk_open().
  /// Errors  kNoSegment: neither the active nor a prepared segment has chunk_bytes_max left; run
  ///         next_step() until one is ready. Then the state is unchanged.
  [[nodiscard]] Result<void> open_chunk(std::span<std::byte> buffer);

  /// Would a batch of `size_bytes` fit into the open chunk?
  [[nodiscard]] bool fits(std::size_t size_bytes) const;

  /// Adds a sealed batch to the open chunk. Copies; the caller may release its buffer on return.
  /// Returns where the batch will live and, in the chunk's buffer, where it lies now.
  /// Not durable until on_durable() names the chunk.
  /// Errors  kChunkFull: close the chunk and retry in the next.
  struct Placed {
    Location location;
    std::span<const std::byte> bytes;
  };
  [[nodiscard]] Result<Placed> append_batch(BatchView batch);

  /// Small records of the node itself. Same errors. A trim's point is the end of a batch
  /// (GroupIndex::start()). `bytes` of a snapshot are padded with zeros to
  /// a multiple of 8, and come back so.
  [[nodiscard]] Result<Location> append_hard_state(GroupId group, Term term, NodeId vote);
  [[nodiscard]] Result<Location> append_trim(GroupId group, const TrimPoint& point);
  [[nodiscard]] Result<Location> append_producers(GroupId group, std::span<const std::byte> bytes);
  [[nodiscard]] Result<Location> append_peer(const PeerDirectory& peer);

  [[nodiscard]] bool chunk_empty() const;         // of the open chunk: no record yet
  [[nodiscard]] std::size_t chunk_bytes() const;  // of the open chunk, as it would be written now

  /// Closes the open chunk (which may be empty: a mark) and says where to write it. Chunks may be
  /// written concurrently and complete in any order.
  [[nodiscard]] ChunkWrite close_chunk();

  /// The write of chunk `seq` completed whole. written_seq() is the contiguous prefix.
  void on_written(ChunkSeq seq);
  /// Every chunk up to `seq` (at most written_seq()) is on stable storage: what later chunks'
  /// durable mark says. With durable writes that is written_seq().
  void on_durable(ChunkSeq seq);

  [[nodiscard]] ChunkSeq written_seq() const { return written_seq_; }
  [[nodiscard]] ChunkSeq durable_seq() const { return durable_seq_; }
  [[nodiscard]] ChunkSeq last_seq() const;  // of the last chunk that was closed
  /// The highest durable_seq that any chunk on its way to the disk carries. Below durable_seq(): an
  /// idle node should write a mark (an empty chunk), so that the last chunk does not stay
  /// undecidable between torn and rotten. Once: marks need no mark.
  [[nodiscard]] ChunkSeq marked_seq() const { return marked_seq_; }

  // --- what is alive -------------------------------------------------------------------------

  /// A record in `epoch` is no longer needed (batch truncated or trimmed, hard state replaced).
  /// append_*() counted it in. Call it only after what replaces the record was appended (the batch
  /// that truncates, the trim, the newer hard state): the next chunk may say that the old one's
  /// segment is not needed any more, and must not be durable before the replacement is.
  void release(Epoch epoch, RecordKind kind);

  /// Oldest segment that holds a live record; the active one if no older does. Segments before it
  /// are retired from the front only: a hole in the middle could not be told from a lost file.
  [[nodiscard]] Epoch oldest_epoch() const;

  /// If the oldest segments hold no batch, but a few newest hard states, trims, snapshots or peers:
  /// the last such segment. Append those records of all groups and peers whose location.epoch is at
  /// or below it again, release the old ones, and the segments are retired.
  [[nodiscard]] std::optional<Epoch> blocked_by_states() const;

  // --- files ---------------------------------------------------------------------------------

  /// The file operation to do next, if any: preparing the next segment, retiring old ones. One at
  /// a time; answer with step_done() or step_failed() before asking again.
  [[nodiscard]] std::optional<FileStep> next_step();
  /// A segment is open; the next one is for when it is full.
  [[nodiscard]] bool has_active() const { return active_.has_value(); }
  /// So many bytes of the active segment are not used yet. Precondition: has_active().
  [[nodiscard]] std::uint64_t active_bytes_left() const {
    return options_.segment_bytes - active_->end_offset;
  }
  /// The spare on its way is wanted as it is: what of it has no zeros yet need not get them.
  /// Precondition: kAllocate succeeded, so that it reads as zeros all the same. (Chunks are written
  /// into it at half the speed, which is much faster than zeros first.) False: it needs them, since a
  /// full disk showed that what it allocates need not be there.
  [[nodiscard]] bool skip_zeros();
  /// The header that kWriteHeader writes: kBlockBytes bytes, valid until step_done().
  [[nodiscard]] std::span<const std::byte> header_bytes() const;
  void step_done();
  /// The step could not be done for want of space. It is offered again by next_step() after
  /// retry_steps(); meanwhile next_step() offers what frees space. Any other error stops the node,
  /// and so does any failure to sync, whatever its reason (S35): checked here. (Only the sync of an
  /// unfinished spare may fail so; its zeros are written again from the beginning.)
  void step_failed_no_space();
  void retry_steps();
  [[nodiscard]] bool out_of_space() const;

  [[nodiscard]] static std::string segment_name(Epoch epoch);  // "%016x.segment"

  [[nodiscard]] const Options& options() const { return options_; }

 private:
  /// A closed chunk whose write has not completed, or completed before one in front of it.
  struct Inflight {
    ChunkSeq seq;
    bool written = false;
  };
  /// From chunk `seq` on, chunks say that nothing before `oldest` is needed.
  struct Statement {
    ChunkSeq seq;
    Epoch oldest;
  };
  struct Active {
    Epoch epoch;
    std::uint64_t end_offset = 0;  // of the last closed chunk
    bool has_chunks = false;
  };

  Result<Placed> append(const ChunkBuilder::Identity& identity, std::span<const std::byte> bytes);
  Result<Location> append_own(GroupId group, RecordKind kind, std::span<const std::byte> bytes);
  void retire_below(Epoch oldest);

  Options options_;
  ChunkSeq last_seq_, written_seq_, durable_seq_, marked_seq_;
  std::uint64_t last_checksum_ = 0;

  ChunkBuilder builder_;
  bool chunk_open_ = false;
  bool chunk_durable_at_once_ = false;
  std::vector<Inflight> inflight_;  // by seq, from written_seq_ + 1

  SegmentTable table_;                 // live, active, prepared
  std::vector<SegmentInfo> stale_;     // found below the oldest epoch: a retirement cut short
  std::vector<Statement> statements_;  // not durable yet, by seq
  std::optional<Active> active_;
  std::optional<Epoch> prepared_;
  Epoch next_epoch_;
  std::unique_ptr<FilePlan> files_;
};

}  // namespace sluice::segments
