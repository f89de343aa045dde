#include "engine/raft/quorum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace sluice::raft {
namespace {

Index reached(std::vector<std::uint64_t> positions) {
  std::vector<Index> indexes;
  for (const std::uint64_t position : positions) indexes.emplace_back(position);
  return quorum_index(indexes);
}

TEST(RaftQuorum, IsTheSmallestNumberOfWhichAnyTwoSetsOverlap) {
  const std::size_t expected[] = {0, 1, 2, 2, 3, 3, 4, 4};
  for (std::size_t voters = 1; voters <= kVotersMax; ++voters) {
    EXPECT_EQ(quorum_size(voters), expected[voters]);
    EXPECT_GT(2 * quorum_size(voters), voters);
    EXPECT_LE(2 * (quorum_size(voters) - 1), voters);
  }
}

TEST(RaftQuorum, IndexIsWhatAMajorityHasReached) {
  EXPECT_EQ(reached({7}), Index(7));
  EXPECT_EQ(reached({7, 3}), Index(3));
  EXPECT_EQ(reached({3, 9, 7}), Index(7));
  EXPECT_EQ(reached({9, 3, 7, 5}), Index(5));
  EXPECT_EQ(reached({1, 2, 3, 4, 5}), Index(3));
  EXPECT_EQ(reached({6, 5, 4, 3, 2, 1}), Index(3));
  EXPECT_EQ(reached({7, 1, 6, 2, 5, 3, 4}), Index(4));
}

TEST(RaftQuorum, IndexIsHeldByAMajorityAndTheNextOneIsNot) {
  // Every combination of positions 0 to 3 of up to five voters.
  for (std::size_t voters = 1; voters <= 5; ++voters) {
    for (std::uint32_t code = 0; code < (1u << (2 * voters)); ++code) {
      std::vector<Index> positions;
      for (std::size_t i = 0; i < voters; ++i) positions.emplace_back((code >> (2 * i)) & 3u);
      std::vector<Index> reordered = positions;
      const Index index = quorum_index(reordered);
      const auto at_least = [&](Index i) {
        return static_cast<std::size_t>(std::count_if(positions.begin(), positions.end(),
                                                      [&](Index each) { return each >= i; }));
      };
      ASSERT_GE(at_least(index), quorum_size(voters));
      ASSERT_LT(at_least(index.next()), quorum_size(voters));
    }
  }
}

}  // namespace
}  // namespace sluice::raft
