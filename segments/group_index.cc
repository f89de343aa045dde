#include "segments/group_index.h"

#include "wire/check.h"

namespace sluice::segments {

GroupIndex::GroupIndex(const TrimPoint& start)
    : start_(start), end_(start), first_index_(start.prev_index.next()) {}

bool GroupIndex::continues(BatchView batch) const {
  return batch.first_index() == last_index().next() && batch.term() >= last_term() &&
         batch.previous_checksum() == last_checksum();
}

void GroupIndex::append(BatchView batch, const Location& location) {
  SLUICE_CHECK(continues(batch));
  append(Entry{batch.first_index(), batch.header_checksum(), batch.term(), location,
               batch.entry_count()});
}

void GroupIndex::append(const Entry& entry) {
  SLUICE_CHECK(entry.first_index == last_index().next() && entry.term >= last_term());
  SLUICE_CHECK(entry.entry_count > 0);
  entries_.push_back(entry);
  end_ = end_of(entry);
}

std::optional<std::size_t> GroupIndex::position_of(Index index) const {
  if (index < first_index_ || index > last_index() || entries_.empty()) return std::nullopt;
  // The last entry that begins at or before `index`: in ever larger steps from the end, then halved.
  std::size_t after = entries_.size();
  std::size_t step = 1;
  while (step <= after && entries_[after - step].first_index > index) {
    after -= step;
    step *= 2;
  }
  std::size_t before = step <= after ? after - step : 0;
  SLUICE_CHECK(before < after && entries_[before].first_index <= index);
  while (after - before > 1) {
    const std::size_t middle = before + (after - before) / 2;
    (entries_[middle].first_index > index ? after : before) = middle;
  }
  return before;
}

const GroupIndex::Entry* GroupIndex::find(Index index) const {
  const auto position = position_of(index);
  return position ? &entries_[*position] : nullptr;
}

}  // namespace sluice::segments
