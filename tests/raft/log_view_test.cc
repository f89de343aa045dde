#include "engine/raft/log_view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/raft/random.h"
#include "tests/raft/test_node.h"

namespace sluice::raft {
namespace {

TEST(RaftLogView, BeginsEmptyAfterTheEntryBeforeIt) {
  const LogView fresh;
  EXPECT_EQ(fresh.first_index(), Index(1));
  EXPECT_EQ(fresh.last_index(), Index(0));
  EXPECT_EQ(fresh.last_term(), Term(0));
  EXPECT_EQ(fresh.term_at(Index(0)), Term(0));
  EXPECT_EQ(fresh.term_at(Index(1)), std::nullopt);

  const LogView trimmed(Index(10), Term(3));
  EXPECT_EQ(trimmed.first_index(), Index(11));
  EXPECT_EQ(trimmed.last_term(), Term(3));
  EXPECT_EQ(trimmed.term_at(Index(9)), std::nullopt);
  EXPECT_EQ(trimmed.term_at(Index(10)), Term(3));
}

TEST(RaftLogView, TruncationMayTakeEverythingThatWasNotTrimmed) {
  LogView log = log_of({1, 1, 2, 3, 3});
  log.trim_to(Index(3));
  log.truncate_from(Index(3));
  EXPECT_EQ(log.last_index(), Index(2));
  EXPECT_EQ(log.last_term(), Term(1));
  log.append(Term(4), 1);
  EXPECT_EQ(log.term_at(Index(3)), Term(4));
}

TEST(RaftLogView, TrimmingMayTakeEverything) {
  LogView log = log_of({1, 1, 2});
  log.trim_to(Index(4));
  EXPECT_EQ(log.first_index(), Index(4));
  EXPECT_EQ(log.last_index(), Index(3));
  EXPECT_EQ(log.term_at(Index(3)), Term(2));
  EXPECT_EQ(log.last_term(), Term(2));
}

TEST(RaftLogView, FindsTheLastIndexOfATermAsLow) {
  const LogView log = log_of({1, 1, 3, 3, 5});
  EXPECT_EQ(log.last_index_with_term_at_most(Index(5), Term(5)), Index(5));
  EXPECT_EQ(log.last_index_with_term_at_most(Index(5), Term(4)), Index(4));
  EXPECT_EQ(log.last_index_with_term_at_most(Index(3), Term(4)), Index(3));
  EXPECT_EQ(log.last_index_with_term_at_most(Index(4), Term(2)), Index(2));
  EXPECT_EQ(log.last_index_with_term_at_most(Index(99), Term(9)), Index(5));
  EXPECT_EQ(log.last_index_with_term_at_most(Index(5), Term(0)), Index(0));
}

TEST(RaftLogViewDeathTest, RefusesWhatABrokenCallerAsks) {
  EXPECT_DEATH(log_of({2}).append(Term(1), 1), "term >= last_term");
  EXPECT_DEATH(log_of({2}).append(Term(2), 0), "count > 0");
  EXPECT_DEATH(log_of({2}).truncate_from(Index(3)), "invariant");
  EXPECT_DEATH(log_of({2}).truncate_from(Index(0)), "invariant");
  EXPECT_DEATH(log_of({2}).trim_to(Index(3)), "invariant");
}

/// The same log as a plain list of terms.
struct NaiveLog {
  std::uint64_t prev_index = 0;
  std::uint64_t prev_term = 0;
  std::vector<std::uint64_t> terms;

  [[nodiscard]] std::uint64_t last_index() const { return prev_index + terms.size(); }
  [[nodiscard]] std::uint64_t last_term() const { return terms.empty() ? prev_term : terms.back(); }
  [[nodiscard]] std::uint64_t term_at(std::uint64_t index) const {
    return index == prev_index ? prev_term : terms[index - prev_index - 1];
  }
  void append(std::uint64_t term, std::uint64_t count) { terms.insert(terms.end(), count, term); }
  void truncate_from(std::uint64_t from) { terms.resize(from - prev_index - 1); }
  void trim_to(std::uint64_t first) {
    if (first <= prev_index + 1) return;
    prev_term = term_at(first - 1);
    terms.erase(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(first - 1 - prev_index));
    prev_index = first - 1;
  }
  [[nodiscard]] std::uint64_t last_index_with_term_at_most(std::uint64_t index,
                                                           std::uint64_t term) const {
    index = std::min(index, last_index());
    while (index > prev_index && term_at(index) > term) --index;
    return std::max(index, prev_index);
  }
};

void expect_equal(const LogView& log, const NaiveLog& naive, Random& random) {
  ASSERT_EQ(log.first_index().value(), naive.prev_index + 1);
  ASSERT_EQ(log.last_index().value(), naive.last_index());
  ASSERT_EQ(log.last_term().value(), naive.last_term());
  for (std::uint64_t i = naive.prev_index; i <= naive.last_index(); ++i) {
    const Term term(naive.term_at(i));
    ASSERT_EQ(log.term_at(Index(i)), term);
    ASSERT_EQ(log.known_term(Index(i)), term);
    ASSERT_TRUE(log.has(Index(i), term));
    ASSERT_FALSE(log.has(Index(i), term.next()));
  }
  ASSERT_EQ(log.term_at(Index(naive.last_index() + 1)), std::nullopt);
  ASSERT_FALSE(log.has(Index(naive.last_index() + 1), log.last_term()));
  if (naive.prev_index > 0) {
    ASSERT_FALSE(log.has(Index(naive.prev_index - 1), Term(naive.prev_term)));
  }
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t index = naive.prev_index + random.below(naive.terms.size() + 3);
    const std::uint64_t term = random.below(naive.last_term() + 2);
    ASSERT_EQ(log.last_index_with_term_at_most(Index(index), Term(term)).value(),
              naive.last_index_with_term_at_most(index, term));
  }
}

TEST(RaftLogView, EqualsAPlainListOfTermsUnderAnySequenceOfChanges) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const std::uint64_t prev_index = random.below(3) * random.below(50);
    const std::uint64_t prev_term = prev_index == 0 ? 0 : 1 + random.below(3);
    LogView log{Index(prev_index), Term(prev_term)};
    NaiveLog naive{prev_index, prev_term, {}};
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t kind = random.below(10);
      if (kind < 6) {
        const std::uint64_t term = naive.last_term() + random.below(3) / 2 + (step == 0 ? 1 : 0);
        const std::uint64_t count = 1 + random.below(4);
        log.append(Term(term), count);
        naive.append(term, count);
      } else if (kind < 8) {
        const std::uint64_t from = naive.last_index() + 1 - random.below(naive.terms.size() + 1);
        log.truncate_from(Index(from));
        naive.truncate_from(from);
      } else {
        const std::uint64_t first = naive.prev_index + random.below(naive.terms.size() / 2 + 2);
        log.trim_to(Index(first));
        naive.trim_to(first);
      }
      expect_equal(log, naive, random);
      if (HasFatalFailure()) FAIL() << "seed " << seed << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace sluice::raft
