#include "segments/group_index.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/segments/samples.h"

namespace sluice::segments::test {
namespace {

/// Ten batches of three entries, terms 1, 1, 1, 2, ...
GroupIndex ten_batches() {
  GroupIndex index;
  for (std::uint64_t i = 0; i < 10; ++i) {
    const SealedBatch batch({.group = GroupId(1),
                             .term = Term(1 + i / 3),
                             .first_index = index.last_index().next(),
                             .previous_checksum = index.last_checksum(),
                             .entries = {"a", "b", "c"}});
    EXPECT_TRUE(index.continues(batch.view()));
    index.append(batch.view(), {.seq = ChunkSeq(i + 1), .epoch = Epoch(1)});
  }
  return index;
}

SealedBatch next_of(const GroupIndex& index, Term term, std::uint64_t skew_index = 0,
                    std::uint64_t skew_link = 0) {
  return SealedBatch({.group = GroupId(1),
                      .term = term,
                      .first_index = index.last_index().next() + skew_index,
                      .previous_checksum = index.last_checksum() + skew_link});
}

TEST(GroupIndex, ANewLogIsEmptyAndBeginsAtOne) {
  const GroupIndex index;
  EXPECT_EQ(index.first_index(), Index(1));
  EXPECT_EQ(index.last_index(), Index(0));
  EXPECT_EQ(index.last_term(), Term(0));
  EXPECT_EQ(index.last_checksum(), 0u);
  EXPECT_EQ(index.find(Index(1)), nullptr);
}

TEST(GroupIndex, FindsTheBatchOfEachIndex) {
  const GroupIndex index = ten_batches();
  EXPECT_EQ(index.last_index(), Index(30));
  EXPECT_EQ(index.last_term(), Term(4));
  EXPECT_EQ(index.find(Index(0)), nullptr);
  EXPECT_EQ(index.find(Index(31)), nullptr);
  for (std::uint64_t i = 1; i <= 30; ++i) {
    const auto* entry = index.find(Index(i));
    ASSERT_NE(entry, nullptr);
    EXPECT_LE(entry->first_index, Index(i));
    EXPECT_GE(entry->last_index(), Index(i));
    EXPECT_EQ(entry->location.seq, ChunkSeq((i - 1) / 3 + 1));
  }
}

TEST(GroupIndex, WalksFromBatchToBatch) {
  const GroupIndex index = ten_batches();
  for (std::uint64_t from = 1; from <= 30; ++from) {
    const auto position = index.position_of(Index(from));
    ASSERT_TRUE(position);
    EXPECT_EQ(&index.batch(*position), index.find(Index(from)));
    Index expected = index.batch(*position).first_index;
    for (std::size_t i = *position; i < index.batch_count(); ++i) {
      EXPECT_EQ(index.batch(i).first_index, expected);
      expected = index.batch(i).last_index().next();
    }
    EXPECT_EQ(expected, Index(31));
  }
  EXPECT_FALSE(index.position_of(Index(0)));
  EXPECT_FALSE(index.position_of(Index(31)));
}

// Raft §5.3, and the chain of batches
TEST(GroupIndex, OnlyABatchThatLinksToTheLastOneContinuesTheLog) {
  const GroupIndex index = ten_batches();
  EXPECT_TRUE(index.continues(next_of(index, Term(4)).view()));
  EXPECT_TRUE(index.continues(next_of(index, Term(9)).view()));
  EXPECT_FALSE(index.continues(next_of(index, Term(3)).view()));
  EXPECT_FALSE(index.continues(next_of(index, Term(4), 1).view()));
  EXPECT_FALSE(index.continues(next_of(index, Term(4), 0, 1).view()));
}

TEST(GroupIndex, TruncationDropsBatchesFromTheEndOneByOne) {
  GroupIndex index = ten_batches();
  std::vector<Index> dropped;
  index.truncate_from(Index(22),
                      [&](const GroupIndex::Entry& e) { dropped.push_back(e.first_index); });
  EXPECT_EQ(dropped, (std::vector<Index>{Index(28), Index(25), Index(22)}));
  EXPECT_EQ(index.last_index(), Index(21));
  EXPECT_EQ(index.last_term(), Term(3));
  index.truncate_from(index.last_index().next(), [](const auto&) { FAIL(); });
  index.truncate_from(Index(1), [](const auto&) {});
  EXPECT_EQ(index.last_index(), Index(0));
  EXPECT_EQ(index.last_checksum(), 0u);
}

TEST(GroupIndex, TrimmingDropsWholeBatchesAndKeepsWhatTheNextOneLinksTo) {
  GroupIndex index = ten_batches();
  const auto second = index.batch(1);
  std::size_t dropped = 0;
  index.trim_to(Index(8), [&](const auto&) { ++dropped; });
  EXPECT_EQ(dropped, 2u);
  EXPECT_EQ(index.first_index(), Index(8));
  EXPECT_EQ(index.find(Index(7)), nullptr);
  ASSERT_NE(index.find(Index(8)), nullptr);
  EXPECT_EQ(index.find(Index(8))->first_index, Index(7));
  EXPECT_EQ(index.start(), (TrimPoint{Index(6), second.term, second.header_checksum}));
  index.trim_to(Index(3), [](const auto&) { FAIL(); });
  EXPECT_EQ(index.first_index(), Index(8));
}

TEST(GroupIndex, ALogThatIsTrimmedToItsEndGoesOnFromThere) {
  GroupIndex index = ten_batches();
  const std::uint64_t last = index.last_checksum();
  index.trim_to(Index(31), [](const auto&) {});
  EXPECT_EQ(index.batch_count(), 0u);
  EXPECT_EQ(index.last_index(), Index(30));
  EXPECT_EQ(index.last_term(), Term(4));
  EXPECT_EQ(index.last_checksum(), last);
  EXPECT_EQ(index.find(Index(30)), nullptr);

  GroupIndex restarted(index.start());
  EXPECT_EQ(restarted.first_index(), Index(31));
  EXPECT_TRUE(restarted.continues(next_of(index, Term(4)).view()));
}

}  // namespace
}  // namespace sluice::segments::test
