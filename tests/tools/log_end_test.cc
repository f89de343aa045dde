#include "tools/log_end.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace sluice::tools {
namespace {

constexpr std::uint8_t kFollower = 0;
constexpr std::uint8_t kLeader = 3;

client::NodeStatus node(std::uint8_t role, std::uint64_t term, std::uint64_t last,
                        std::uint64_t commit) {
  client::NodeStatus status;
  status.reachable = true;
  client::GroupState group;
  group.group = GroupId(2);
  group.role = role;
  group.term = Term(term);
  group.last_index = Index(last);
  group.commit_index = Index(commit);
  status.groups = {
      {GroupId(1), kLeader, Term(99), NodeId(1), Index(1), Index(99), Index(99), Index(99)}, group};
  return status;
}

TEST(LogEnd, TheHighestCommitIndexWhenTheLeaderHasCommittedAll) {
  LogEnd end{GroupId(2)};
  EXPECT_TRUE(end.look({node(kFollower, 3, 9, 7), node(kLeader, 3, 9, 9), client::NodeStatus()}));
  EXPECT_EQ(end.end(), Index(9));
}

// After a restart of all nodes the log is there, but nobody knows what of it is committed.
TEST(LogEnd, WaitsForALeaderAndForWhatItHolds) {
  LogEnd end{GroupId(2)};
  EXPECT_FALSE(end.look({node(kFollower, 3, 9, 0), node(kFollower, 3, 9, 0)}));
  EXPECT_FALSE(end.look({node(kFollower, 4, 9, 0), node(kLeader, 4, 10, 0)}));
  EXPECT_TRUE(end.look({node(kFollower, 4, 10, 0), node(kLeader, 4, 10, 10)}));
  EXPECT_EQ(end.end(), Index(10));
}

TEST(LogEnd, DoesNotRunAfterWhatIsAppendedMeanwhile) {
  LogEnd end{GroupId(2)};
  EXPECT_FALSE(end.look({node(kLeader, 4, 10, 8)}));
  EXPECT_TRUE(end.look({node(kLeader, 4, 500, 10)}));
  EXPECT_EQ(end.end(), Index(10));
}

// S54: a leader that was stopped and came back says what it knew then.
TEST(LogEnd, ALeaderOfAnOlderTermDecidesNothing) {
  LogEnd end{GroupId(2)};
  EXPECT_FALSE(end.look({node(kLeader, 3, 9, 9), node(kFollower, 4, 20, 9)}));
  EXPECT_FALSE(end.look({node(kLeader, 3, 9, 9), node(kLeader, 4, 21, 9)}));
  EXPECT_TRUE(end.look({node(kLeader, 3, 9, 9), node(kLeader, 4, 21, 21)}));
}

TEST(LogEnd, ANewLeaderSetsANewMark) {
  LogEnd end{GroupId(2)};
  EXPECT_FALSE(end.look({node(kLeader, 3, 30, 9)}));
  // It had 21 to 30 alone; nobody acknowledged them, and they are gone.
  EXPECT_TRUE(end.look({node(kLeader, 4, 21, 21)}));
  EXPECT_EQ(end.end(), Index(21));
}

TEST(LogEnd, TellsWhoIsThere) {
  LogEnd end{GroupId(5)};
  EXPECT_FALSE(end.look({node(kLeader, 1, 1, 1)}));
  EXPECT_TRUE(end.reachable());
  EXPECT_FALSE(end.group_found());
  EXPECT_FALSE(end.look({client::NodeStatus()}));
  EXPECT_FALSE(end.reachable());
}

}  // namespace
}  // namespace sluice::tools
