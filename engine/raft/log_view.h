// The log as Raft sees it: which term stands at which index. No bytes.
//
// A log of millions of entries has few terms, so the terms are kept as runs.
//
// Invariants:
// 1. first_index <= last_index + 1
// 2. terms never decrease with the index
// 3. term_at(first_index - 1) is known: the entry just before the log (term 0 at index 0)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "wire/ids.h"

namespace sluice::raft {

class LogView {
 public:
  /// An empty log that begins after (prev_index, prev_term): (0, 0) for a new group, the entry
  /// before the first kept one for a trimmed log.
  explicit LogView(Index prev_index = Index{}, Term prev_term = Term{});

  [[nodiscard]] Index first_index() const { return prev_index_.next(); }
  [[nodiscard]] Index last_index() const { return last_index_; }
  [[nodiscard]] Term last_term() const { return newest_.term; }

  /// Term at `index`; nothing outside [first_index - 1, last_index].
  [[nodiscard]] std::optional<Term> term_at(Index index) const {
    if (in_newest(index)) return newest_.term;
    return older_term_at(index);
  }
  /// Whether an entry of `term` stands at `index`. The cheapest question, and asked most.
  [[nodiscard]] bool has(Index index, Term term) const {
    if (in_newest(index)) return newest_.term == term;
    return older_term_at(index) == term;
  }
  /// Term at `index`. Precondition: first_index - 1 <= index <= last_index.
  [[nodiscard]] Term known_term(Index index) const {
    if (in_newest(index)) return newest_.term;
    return known_older_term(index);
  }

  /// Appends `count` entries of `term`. Preconditions: count > 0, term >= last_term().
  void append(Term term, std::uint64_t count);

  /// Drops `from` and everything after. Precondition: first_index <= from <= last_index + 1.
  void truncate_from(Index from);

  /// Forgets everything before `first`. Precondition: first <= last_index + 1.
  void trim_to(Index first);

  /// Largest index <= `index` whose term is <= `term` (fast backtracking, Raft §5.3, end).
  /// At least first_index - 1.
  [[nodiscard]] Index last_index_with_term_at_most(Index index, Term term) const;

 private:
  struct Run {
    Index first;
    Term term;
  };
  /// Which run holds `index`. Precondition: first_index <= index <= last_index.
  [[nodiscard]] std::size_t run_of(Index index) const;
  [[nodiscard]] bool in_newest(Index index) const {
    return index >= newest_.first && index <= last_index_;
  }
  [[nodiscard]] std::optional<Term> older_term_at(Index index) const;
  [[nodiscard]] Term known_older_term(Index index) const;
  void note_newest();

  Index prev_index_;
  Term prev_term_;
  Index last_index_;
  std::vector<Run> runs_;  // ordered by first and by term
  // A copy of the newest run, for almost every question is about it, and the runs of one group of
  // thousands are in no cache. Without a run: of prev_term_, behind the log's end.
  Run newest_;
};

}  // namespace sluice::raft
