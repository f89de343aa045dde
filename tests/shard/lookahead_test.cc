// engine/shard/group.h, Lookahead: which groups it asks for, and when.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

#include "engine/shard/group.h"

namespace sluice::shard {
namespace {

constexpr std::size_t kKinds = 3;  // the group, what its members refer to, what that refers to

/// How often each number was asked for, in a loop that begins at `first` and learns of `counts[i]` facts
/// in its turn i.
std::map<std::size_t, std::size_t> asked(std::size_t first, const std::vector<std::size_t>& counts) {
  std::map<std::size_t, std::size_t> times;
  Lookahead lookahead;
  for (std::size_t i = first; i < first + counts.size(); ++i) {
    const std::size_t count = counts[i - first];
    lookahead.at(i, count, [&](std::size_t at) -> const Group* {
      EXPECT_GE(at, i) << "gone already";
      EXPECT_LT(at, count);
      ++times[at];
      return nullptr;
    });
  }
  return times;
}

TEST(Lookahead, AsksForEveryGroupOnceOfEachKind) {
  for (const std::size_t count : {1u, 2u, 3u, 7u, 10u, 100u}) {
    const auto times = asked(0, std::vector<std::size_t>(count, count));
    ASSERT_EQ(times.size(), count);
    for (const auto& [at, often] : times) EXPECT_EQ(often, kKinds) << at << " of " << count;
  }
}

TEST(Lookahead, GoesOnInTheMiddleOfAFrame) {
  const auto times = asked(40, std::vector<std::size_t>(60, 100));
  ASSERT_EQ(times.size(), 60u);
  for (const auto& [at, often] : times) EXPECT_EQ(often, kKinds) << at;
}

TEST(Lookahead, FollowsAListThatGrows) {
  std::vector<std::size_t> counts;
  for (std::size_t i = 0; i < 50; ++i) counts.push_back(std::min<std::size_t>(i + 1 + i / 10, 50));
  const auto times = asked(0, counts);
  ASSERT_EQ(times.size(), 50u);
  for (const auto& [at, often] : times) EXPECT_EQ(often, kKinds) << at;
}

}  // namespace
}  // namespace sluice::shard
