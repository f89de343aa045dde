// Where the batches of one group lie: one entry a batch, in index order.
//
// Invariants:
// 1. the first entry begins at or before first_index() and ends at or after it
// 2. entry[i + 1].first_index == entry[i].last_index + 1
// 3. terms never decrease; each entry's previous_checksum was the checksum of the one before
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "segments/block_queue.h"
#include "segments/record.h"
#include "wire/batch.h"
#include "wire/ids.h"

namespace sluice::segments {

class GroupIndex {
 public:
  struct Entry {
    Index first_index;
    std::uint64_t header_checksum = 0;
    Term term;
    Location location;
    std::uint32_t entry_count = 0;
    [[nodiscard]] Index last_index() const { return first_index + (entry_count - 1); }
  };

  /// An empty log that begins after `start`.
  explicit GroupIndex(const TrimPoint& start = {});

  [[nodiscard]] Index first_index() const { return first_index_; }
  [[nodiscard]] Index last_index() const { return end_.prev_index; }
  [[nodiscard]] Term last_term() const { return end_.prev_term; }
  /// header_checksum of the last batch: what the next one must link to. 0 for an empty new log.
  [[nodiscard]] std::uint64_t last_checksum() const { return end_.prev_checksum; }

  /// Does `batch` continue this log (index, term not lower, link)?
  [[nodiscard]] bool continues(BatchView batch) const;
  /// Precondition: continues(batch).
  void append(BatchView batch, const Location& location);
  /// The same from what is known of a batch whose bytes are elsewhere (recovery). Precondition: it
  /// continues this log, and the link was checked.
  void append(const Entry& entry);

  /// Drops the batch that begins at `from` and all after it, calling dropped(entry) for each.
  /// Precondition: `from` is the first index of a batch, or last_index() + 1.
  template <class F>
  void truncate_from(Index from, F&& dropped) {
    while (!entries_.empty() && entries_.back().first_index >= from) {
      dropped(entries_.back());
      entries_.pop_back();
    }
    end_ = entries_.empty() ? start_ : end_of(entries_.back());
  }

  /// The log begins at `first` now: whole batches below it go, calling dropped(entry) for each.
  /// Precondition: first <= last_index() + 1. Smaller than first_index(): nothing happens.
  template <class F>
  void trim_to(Index first, F&& dropped) {
    while (!entries_.empty() && entries_.front().last_index() < first) {
      start_ = end_of(entries_.front());
      dropped(entries_.front());
      entries_.pop_front();
    }
    if (first > first_index_) first_index_ = first;
  }

  /// The batch that holds `index`; nullptr outside of [first_index(), last_index()].
  /// O(log n) for the n-th batch from the end: most that is asked for was appended just now.
  [[nodiscard]] const Entry* find(Index index) const;
  /// Its position among the kept batches, for walking on from there: batch(position + 1). Valid until
  /// the next trim.
  [[nodiscard]] std::optional<std::size_t> position_of(Index index) const;

  /// The end of the batch before the first kept one: where a shorter log would begin.
  [[nodiscard]] const TrimPoint& start() const { return start_; }
  [[nodiscard]] std::size_t batch_count() const { return entries_.size(); }
  [[nodiscard]] const Entry& batch(std::size_t i) const { return entries_[i]; }

  /// Fetches what the next append() or find() of the newest will touch.
  void prefetch() const { entries_.prefetch_back(); }

 private:
  [[nodiscard]] static TrimPoint end_of(const Entry& entry) {
    return {entry.last_index(), entry.term, entry.header_checksum};
  }

  TrimPoint start_;
  TrimPoint end_;  // of the last batch: asked for with each append, so not looked up among thousands
  Index first_index_;
  BlockQueue<Entry> entries_;
};

}  // namespace sluice::segments
