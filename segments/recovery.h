// What a scan of the files means. Pure: bytes in, facts out.
//
// Rules (numbered in segments/README.md, with the crash that each one is for):
//   - a file with a segment's name has a valid header of that epoch, or it is damaged
//   - a chunk is valid if checksum, directory, shard, epoch, offset and size are right and each of
//     its records is. The run of a segment is its valid chunks from the first block on without a
//     hole, each linked to the one before
//   - the first chunk of a run links to a chunk in the run of an older segment, at its end or,
//   after
//     a restart that cut, in its middle: what lies behind that is dead
//   - the stream is the way back by these links from the newest run that leads to the beginning:
//     chunk 1, or the segment that its last chunk states as oldest. Other chunks are dead
//   - D = the highest durable_seq in any chunk header. A chunk <= D that is not in the stream is
//     damage: the node must not start. Above D it is a torn tail: cut there, and with it everything
//     after
//   - all epochs from the oldest that the last chunk of the stream states up to the highest must be
//     there
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segments/record.h"
#include "segments/segment_log.h"
#include "wire/result.h"

namespace sluice::segments {

struct FoundChunk {
  ChunkSeq seq;
  Epoch epoch;
  std::uint64_t offset = 0;
  std::uint32_t size_bytes = 0;
  std::uint32_t record_count = 0;
  ChunkSeq durable_seq;
  Epoch oldest_epoch;
  std::uint64_t checksum = 0;
  std::uint64_t previous_checksum = 0;
  bool valid = false;  // false: the header is right, but a record or the padding is not
};

/// Everything that one segment file says. Its bytes need not stay.
struct SegmentScan {
  std::string name;
  Errc header = Errc::kOk;  // why the header is not valid
  Epoch epoch;              // by the file's name
  std::uint64_t file_bytes = 0;
  StreamBase base = {};  // by the header
  /// Every chunk whose header is valid, at any block boundary, in offset order: also those behind a
  /// hole, because their durable marks decide what the hole is.
  std::vector<FoundChunk> chunks = {};
  /// So many of them, from the first block on, are valid and linked without a hole.
  std::size_t run_count = 0;
  /// First offset behind the run.
  std::uint64_t end_offset = 0;
  /// Whether a chunk of this epoch was begun at end_offset and is not whole. (Other content there
  /// is what the file held before it was recycled.)
  bool dirty_end = false;
};

/// Scans a whole segment file, whose name is parse_segment_name()'s (segments/names.h). Calls
/// `on_record` for each record of each *valid* chunk, in offset order, whether it turns out live or
/// dead: the caller keeps what it needs by (epoch, chunk seq). `bytes` are aligned to 8.
using OnRecord = std::function<void(const FoundChunk&, const Record&)>;
[[nodiscard]] SegmentScan scan_segment(const Options& options, std::string name,
                                       std::span<const std::byte> bytes, const OnRecord& on_record);

/// A file of the shard's directory that is not named like a segment.
struct OtherFile {
  std::string name;
  std::uint64_t size_bytes = 0;
};

/// What all the scans of a shard's directory mean together.
struct Verdict {
  struct Live {
    Epoch epoch;
    ChunkSeq first, last;  // live chunks of this segment; first > last: none
    Epoch writer;          // first segment of the process that wrote it: tells processes apart
  };
  std::vector<Live> live = {};  // by epoch, from the oldest that is needed
  StreamEnd end = {};         // for SegmentLog; live records not counted in yet (segments/replay.h)
  bool torn_tail = false;     // something was cut
  ChunkSeq durable_seq = {};  // D
};

/// One line each, for people: "0000000000000003.segment: chunk 17 at offset 45056 is damaged
/// (...)".
struct Damage {
  std::string what;
};

/// Decides. `scans` in any order.
/// Errors  the damage found, at least one.
[[nodiscard]] std::expected<Verdict, std::vector<Damage>> judge(const Options& options,
                                                                std::vector<SegmentScan> scans,
                                                                std::vector<OtherFile> others);

}  // namespace sluice::segments
