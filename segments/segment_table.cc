#include "segments/segment_table.h"

#include "wire/check.h"

namespace sluice::segments {

void SegmentTable::add(const SegmentInfo& segment) {
  SLUICE_CHECK(segments_.empty() || segment.epoch == segments_.back().epoch.next());
  segments_.push_back(segment);
}

void SegmentTable::pop_front() {
  SLUICE_CHECK(!segments_.empty());
  SLUICE_CHECK(front().live_batches == 0 && front().live_others == 0);
  segments_.pop_front();
}

SegmentInfo& SegmentTable::segment(Epoch epoch) {
  SLUICE_CHECK(!segments_.empty() && epoch >= segments_.front().epoch &&
               epoch <= segments_.back().epoch);
  return segments_[epoch - segments_.front().epoch];
}

void SegmentTable::count_in(Epoch epoch, RecordKind kind) {
  SegmentInfo& at = segment(epoch);
  ++(kind == RecordKind::kBatch ? at.live_batches : at.live_others);
}

void SegmentTable::count_out(Epoch epoch, RecordKind kind) {
  SegmentInfo& at = segment(epoch);
  std::uint64_t& count = kind == RecordKind::kBatch ? at.live_batches : at.live_others;
  SLUICE_CHECK(count > 0);
  --count;
}

void SegmentTable::begin_chunks(Epoch epoch, ChunkSeq seq) { segment(epoch).first_seq = seq; }

Epoch SegmentTable::oldest_alive(Epoch active) const {
  for (const SegmentInfo& at : segments_) {
    if (at.epoch >= active) break;
    if (at.live_batches + at.live_others > 0) return at.epoch;
  }
  return active;
}

std::optional<Epoch> SegmentTable::held_by_others(Epoch active) const {
  std::optional<Epoch> held;
  for (const SegmentInfo& at : segments_) {
    if (at.epoch >= active || at.live_batches > 0) break;
    if (at.live_others > 0) held = at.epoch;
  }
  return held;
}

}  // namespace sluice::segments
