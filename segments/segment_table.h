// The segments of the stream in order of their epochs, and what is still alive in each.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "segments/record.h"
#include "wire/ids.h"

namespace sluice::segments {

/// What is known of one segment file.
struct SegmentInfo {
  Epoch epoch;
  ChunkSeq first_seq = {};         // of its first live chunk; 0 if it has none
  std::uint64_t live_batches = 0;  // batches in it that are in some group's log
  std::uint64_t live_others = 0;   // newest hard states, trims, snapshots and peers in it
  std::uint64_t file_bytes = 0;
  /// The process before may have had writes under way to it when it died: it is unlinked when
  /// nothing in it is needed, not used again, for such a write could land on new content. (The
  /// file system frees the blocks of an unlinked file only when the last write to it is done.)
  bool never_reuse = false;
};

/// Invariants:
/// 1. epochs are consecutive from front to back (segments are retired from the front only)
/// 2. every record that is alive lies in one of them
class SegmentTable {
 public:
  void add(const SegmentInfo& segment);
  [[nodiscard]] const SegmentInfo& front() const { return segments_.front(); }
  void pop_front();

  [[nodiscard]] bool empty() const { return segments_.empty(); }
  [[nodiscard]] std::size_t size() const { return segments_.size(); }
  [[nodiscard]] const SegmentInfo& at(std::size_t i) const { return segments_[i]; }

  void count_in(Epoch epoch, RecordKind kind);
  void count_out(Epoch epoch, RecordKind kind);
  /// The first chunk of `epoch` is `seq`.
  void begin_chunks(Epoch epoch, ChunkSeq seq);

  /// First epoch with a live record; `active` when all before it are empty.
  [[nodiscard]] Epoch oldest_alive(Epoch active) const;

  /// The last epoch before `active` such that it and all before it hold no batch, but something
  /// else: rewriting that would free them.
  [[nodiscard]] std::optional<Epoch> held_by_others(Epoch active) const;

 private:
  SegmentInfo& segment(Epoch epoch);
  std::deque<SegmentInfo> segments_;
};

}  // namespace sluice::segments
