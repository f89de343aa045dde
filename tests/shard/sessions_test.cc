// engine/shard/sessions: a retry lands once, with the index that it has (S47).
#include "engine/shard/sessions.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace sluice::shard {
namespace {

using Answer = Sessions::Answer;

/// A sealed batch of `count` one-byte entries.
class Sealed {
 public:
  Sealed(std::uint64_t producer, std::uint64_t sequence, std::uint32_t count, std::uint64_t index,
         std::uint64_t term = 1)
      : words_(64 + count) {
    const auto bytes = std::as_writable_bytes(std::span(words_));
    BatchBuilder builder(bytes, {.cluster = ClusterId(9),
                                 .group = GroupId(0),
                                 .producer = ProducerId(producer),
                                 .first_sequence = Sequence(sequence)});
    const std::byte entry{7};
    for (std::uint32_t i = 0; i < count; ++i) EXPECT_TRUE(builder.append(std::span(&entry, 1)));
    const auto batch = builder.finish();
    size_ = batch.size_bytes();
    seal_batch(bytes.first(size_), {Term(term), Index(index), 0, 0});
  }
  [[nodiscard]] BatchView view() const {
    return BatchView::trusted(std::as_bytes(std::span(words_)).first(size_));
  }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
};

void add(Sessions& sessions, std::uint64_t producer, std::uint64_t sequence, std::uint32_t count,
         std::uint64_t index, std::uint64_t commit, std::uint64_t term = 1) {
  sessions.add(Sealed(producer, sequence, count, index, term).view(), Index(commit));
}

std::vector<std::array<std::uint64_t, 4>> known(const Sessions& sessions, std::uint64_t producer,
                                                std::uint64_t first, std::uint32_t count) {
  std::vector<std::array<std::uint64_t, 4>> runs;
  sessions.for_known(
      ProducerId(producer), Sequence(first), count,
      [&](std::uint32_t offset, const Sessions::Run& run) {
        runs.push_back({offset, run.count, run.first_index.value(), run.term.value()});
      });
  return runs;
}

TEST(Sessions, AProducerNotSeenBeforeMayStartAnywhere) {
  Sessions sessions(8);
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(500), 3).answer, Answer::kNew);
}

TEST(Sessions, TheNextSequenceIsNewAndAJumpIsAGap) {
  Sessions sessions(8);
  add(sessions, 1, 10, 3, 100, 0);
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(13), 5).answer, Answer::kNew);
  const auto gap = sessions.check(ProducerId(1), Sequence(14), 1);
  EXPECT_EQ(gap.answer, Answer::kGap);
  EXPECT_EQ(gap.expected, Sequence(13));
}

TEST(Sessions, S47_ARetryIsKnownWithItsIndexAndTerm) {
  Sessions sessions(8);
  add(sessions, 1, 10, 3, 100, 0, 4);
  add(sessions, 1, 13, 2, 110, 0, 5);
  const auto whole = sessions.check(ProducerId(1), Sequence(10), 5);
  EXPECT_EQ(whole.answer, Answer::kKnown);
  EXPECT_EQ(whole.known, 5u);
  const auto runs = known(sessions, 1, 11, 3);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0], (std::array<std::uint64_t, 4>{0, 2, 101, 4}));
  EXPECT_EQ(runs[1], (std::array<std::uint64_t, 4>{2, 1, 110, 5}));
}

TEST(Sessions, ARetryThatReachesBeyondWhatIsKnownIsPartlyNew) {
  Sessions sessions(8);
  add(sessions, 1, 10, 3, 100, 0);
  const auto check = sessions.check(ProducerId(1), Sequence(11), 5);
  EXPECT_EQ(check.answer, Answer::kKnown);
  EXPECT_EQ(check.known, 2u);
}

TEST(Sessions, BeforeTheFirstRememberedIsTooOld) {
  Sessions sessions(8);
  add(sessions, 1, 10, 3, 100, 0);
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(9), 2).answer, Answer::kTooOld);
}

TEST(Sessions, RemembersAtLeast1024CommittedSequences) {
  Sessions sessions(8);
  for (std::uint64_t i = 1; i <= 5000; ++i) add(sessions, 1, i, 1, i, i);
  for (std::uint64_t back = 1; back <= 1024; ++back) {
    ASSERT_EQ(sessions.check(ProducerId(1), Sequence(5000 - back + 1), 1).answer, Answer::kKnown)
        << back;
  }
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(1), 1).answer, Answer::kTooOld)
      << "bounded, too";
}

// What is not committed can be truncated, and then 1,024 must be left all the same.
TEST(Sessions, ForgetsByWhatIsCommittedOnly) {
  Sessions sessions(8);
  for (std::uint64_t i = 1; i <= 2000; ++i) add(sessions, 1, i, 1, i, i);
  for (std::uint64_t i = 2001; i <= 6000; ++i) add(sessions, 1, i, 1, i, 2000);
  sessions.truncate_from(Index(2001));
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(2001), 1).answer, Answer::kNew);
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(2000 - 1023), 1).answer, Answer::kKnown);
}

TEST(Sessions, ATruncatedEntryIsNotKnownAnyMore) {
  Sessions sessions(8);
  add(sessions, 1, 1, 2, 10, 0);
  add(sessions, 1, 3, 2, 12, 0);
  add(sessions, 2, 1, 2, 14, 0);
  sessions.truncate_from(Index(12));
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(3), 2).answer, Answer::kNew);
  EXPECT_EQ(sessions.producer_count(), 1u);
  EXPECT_EQ(sessions.check(ProducerId(2), Sequence(7), 1).answer, Answer::kNew);
}

TEST(Sessions, KeepsTheProducersThatAppendedLast) {
  Sessions sessions(2);
  add(sessions, 1, 1, 1, 1, 0);
  add(sessions, 2, 1, 1, 2, 0);
  add(sessions, 1, 2, 1, 3, 0);
  add(sessions, 3, 1, 1, 4, 0);
  EXPECT_EQ(sessions.producer_count(), 2u);
  EXPECT_EQ(sessions.check(ProducerId(1), Sequence(2), 1).answer, Answer::kKnown);
  EXPECT_EQ(sessions.check(ProducerId(2), Sequence(9), 1).answer, Answer::kNew) << "forgotten";
}

// Trimming takes entries out of the log; their retries are still answered after a restart, from the
// snapshot and from what the log still holds.
TEST(Sessions, ASnapshotAndTheRestOfTheLogMakeTheWholeAgain) {
  Sessions before(8);
  for (std::uint64_t i = 0; i < 100; ++i) add(before, 1, 1 + i * 2, 2, 1 + i * 3, 1000, 1 + i / 10);
  for (std::uint64_t i = 0; i < 100; ++i) add(before, 2, 1 + i, 1, 3 + i * 3, 1000, 1 + i / 10);
  const Index first(151);
  const auto snapshot = before.encode_below(first);

  Sessions after(8);
  for (std::uint64_t i = 50; i < 100; ++i) {
    after.add(ProducerId(1), {Sequence(1 + i * 2), Index(1 + i * 3), Term(1 + i / 10), 2});
    after.add(ProducerId(2), {Sequence(1 + i), Index(3 + i * 3), Term(1 + i / 10), 1});
  }
  ASSERT_TRUE(after.restore(snapshot).has_value());
  EXPECT_EQ(known(after, 1, 1, 200), known(before, 1, 1, 200));
  EXPECT_EQ(known(after, 2, 1, 100), known(before, 2, 1, 100));
  EXPECT_EQ(after.check(ProducerId(1), Sequence(1), 1).answer, Answer::kKnown);
  EXPECT_EQ(after.check(ProducerId(2), Sequence(101), 1).answer, Answer::kNew);
}

TEST(Sessions, ASnapshotRestoresProducersOfWhichNothingElseIsLeft) {
  Sessions before(8);
  add(before, 5, 40, 4, 7, 100);
  Sessions after(8);
  ASSERT_TRUE(after.restore(before.encode_below(Index(11))).has_value());
  EXPECT_EQ(known(after, 5, 40, 4), known(before, 5, 40, 4));
  EXPECT_EQ(after.check(ProducerId(5), Sequence(46), 1).answer, Answer::kGap);
}

TEST(Sessions, RefusesASnapshotThatMakesNoSense) {
  Sessions before(8);
  add(before, 5, 40, 4, 7, 100);
  auto snapshot = before.encode_below(Index(11));
  Sessions after(8);
  EXPECT_FALSE(after.restore(std::span(snapshot).first(39)).has_value());
  for (std::size_t i = 0; i < 8; ++i) snapshot[i] = std::byte{0};  // no producer
  EXPECT_FALSE(after.restore(snapshot).has_value());
}

}  // namespace
}  // namespace sluice::shard
