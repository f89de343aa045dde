#include "segments/group_index.h"

#include <algorithm>

#include "wire/check.h"

namespace sluice::segments {

GroupIndex::GroupIndex(const TrimPoint& start)
    : start_(start), first_index_(start.prev_index.next()) {}

Index GroupIndex::last_index() const {
  return entries_.empty() ? start_.prev_index : entries_.back().last_index();
}

Term GroupIndex::last_term() const {
  return entries_.empty() ? start_.prev_term : entries_.back().term;
}

std::uint64_t GroupIndex::last_checksum() const {
  return entries_.empty() ? start_.prev_checksum : entries_.back().header_checksum;
}

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
}

const GroupIndex::Entry* GroupIndex::find(Index index) const {
  if (index < first_index_ || index > last_index() || entries_.empty()) return nullptr;
  const auto after = std::ranges::upper_bound(entries_, index, {}, &Entry::first_index);
  SLUICE_CHECK(after != entries_.begin());
  return &*std::prev(after);
}

const GroupIndex::Entry* GroupIndex::next(const Entry* entry) const {
  return find(entry->last_index().next());
}

}  // namespace sluice::segments
