// What a scan of the files means. Pure: bytes in, facts out.
//
// Rules (numbered in segments/README.md, with the crash that each one is for):
//   - a file with a segment's name has a valid header of that epoch, or it is damaged
//   - a segment's live chunks are contiguous in seq and end just before the first live seq of a
//     later segment; what lies behind is dead (cut by an earlier recovery)
//   - a chunk is valid if checksum, directory, shard, epoch, offset, size and the link to the chunk
//     before are right and each of its records is
//   - D = the highest durable_seq in any valid chunk. A chunk <= D that is missing or invalid is
//     damage: the node must not start. Above D it is a torn tail: cut there, and with it
//     everything after (in every later segment).
//   - all epochs from the highest oldest_epoch in any valid chunk up to the highest must be there
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
  std::uint64_t offset = 0;
  std::uint32_t size_bytes = 0;
  std::uint32_t record_count = 0;
  ChunkSeq durable_seq;
  Epoch oldest_epoch;
  std::uint64_t checksum = 0;
  std::uint64_t previous_checksum = 0;
  bool valid = false;  // false: the header is right, but a record is not
};

/// Everything that one segment file says. Its bytes need not stay.
struct SegmentScan {
  std::string name;
  Errc header = Errc::kOk;   // why the header is not valid
  Epoch epoch;               // by the file's name
  /// Every chunk whose header is valid, at any block boundary, in offset order: also those behind a
  /// hole, because their durable marks decide what the hole is.
  std::vector<FoundChunk> chunks;
  /// First offset behind the contiguous valid chunks that does not hold a valid one.
  std::uint64_t end_offset = 0;
  /// Whether anything but zeros stands at end_offset (a torn write, or old content).
  bool dirty_end = false;
};

/// Scans a whole segment file. Calls `on_record` for each record of each *valid* chunk, in offset
/// order, whether it turns out live or dead: the caller keeps what it needs by chunk seq.
using OnRecord = std::function<void(const FoundChunk&, const Record&)>;
[[nodiscard]] SegmentScan scan_segment(const Options& options, std::string name,
                                       std::span<const std::byte> bytes, const OnRecord& on_record);

/// What all the scans of a shard's directory mean together.
struct Verdict {
  struct Live {
    Epoch epoch;
    ChunkSeq first, last;  // live chunks of this segment; first > last: none
  };
  std::vector<Live> live;   // by epoch
  StreamEnd end;            // for SegmentLog; live_records still 0
  bool torn_tail = false;   // something was cut
  ChunkSeq durable_seq;     // D
};

/// One line each, for people: "segment 0000000000000003: chunk 17 at offset 45056 is damaged (...)".
struct Damage {
  std::string what;
};

/// Decides. `scans` in any order; `other_names` are the directory's other file names.
/// Errors  the damage found, at least one.
[[nodiscard]] std::expected<Verdict, std::vector<Damage>> judge(
    const Options& options, std::vector<SegmentScan> scans, std::vector<std::string> other_names);

}  // namespace sluice::segments
