#include "engine/raft/log_view.h"

#include <algorithm>

#include "wire/check.h"

namespace sluice::raft {

LogView::LogView(Index prev_index, Term prev_term)
    : prev_index_(prev_index), prev_term_(prev_term), last_index_(prev_index) {
  note_newest();
}

void LogView::note_newest() {
  newest_ = runs_.empty() ? Run{last_index_.next(), prev_term_} : runs_.back();
}

std::size_t LogView::run_of(Index index) const {
  // Most questions are about the newest entries.
  if (runs_.back().first <= index) return runs_.size() - 1;
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                      [](Index i, const Run& run) { return i < run.first; });
  SLUICE_CHECK(after != runs_.begin());
  return static_cast<std::size_t>(after - runs_.begin()) - 1;
}

Term LogView::known_older_term(Index index) const {
  const std::optional<Term> term = older_term_at(index);
  SLUICE_CHECK(term.has_value());
  return *term;
}

std::optional<Term> LogView::older_term_at(Index index) const {
  if (index == prev_index_) return prev_term_;
  if (index < prev_index_ || index > last_index_) return std::nullopt;
  return runs_[run_of(index)].term;
}

void LogView::append(Term term, std::uint64_t count) {
  SLUICE_CHECK(count > 0);
  SLUICE_CHECK(term >= last_term());
  if (runs_.empty() || newest_.term != term) {
    runs_.push_back({last_index_.next(), term});
    note_newest();
  }
  last_index_ = last_index_ + count;
}

void LogView::truncate_from(Index from) {
  SLUICE_CHECK(from >= first_index());
  SLUICE_CHECK(from <= last_index_.next());
  while (!runs_.empty() && runs_.back().first >= from) runs_.pop_back();
  last_index_ = from.prev();
  note_newest();
}

void LogView::trim_to(Index first) {
  SLUICE_CHECK(first <= last_index_.next());
  if (first <= first_index()) return;
  const Index prev_index = first.prev();
  prev_term_ = *term_at(prev_index);
  prev_index_ = prev_index;
  // Keep the runs that still hold an entry; the first of them may have lost its beginning.
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), first,
                                      [](Index i, const Run& run) { return i < run.first; });
  runs_.erase(runs_.begin(), after - 1);
  if (first > last_index_) {
    runs_.clear();
  } else {
    runs_.front().first = first;
  }
  note_newest();
}

Index LogView::last_index_with_term_at_most(Index index, Term term) const {
  index = std::min(index, last_index_);
  if (index <= prev_index_) return prev_index_;
  for (std::size_t run = run_of(index);; --run) {
    if (runs_[run].term <= term) return index;
    index = runs_[run].first.prev();
    if (run == 0) return index;
  }
}

}  // namespace sluice::raft
