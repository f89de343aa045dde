// The timer heap against a sorted map, under random pushes, removals and pops.
#include "engine/io/timer_heap.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "tests/io/fixture.h"

namespace sluice::io {
namespace {

TEST(TimerHeap, AgreesWithASortedMapUnderRandomUse) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    TimerHeap heap;
    std::map<std::pair<std::uint64_t, std::uint64_t>, Op*> model;  // (deadline, arrival)
    std::deque<Op> ops(300);
    std::uint64_t arrival = 0;
    for (Op& op : ops) {
      const std::uint64_t deadline = random() % 50;
      heap.push(op.completion, deadline);
      model.emplace(std::pair{deadline, arrival++}, &op);
      if (random() % 3 == 0) {
        auto at = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
        heap.remove(at->second->completion);
        model.erase(at);
      }
      if (random() % 4 == 0 && !model.empty()) {
        ASSERT_EQ(heap.next_deadline_ns(), model.begin()->first.first);
        ASSERT_EQ(&heap.pop(), &model.begin()->second->completion) << "seed " << seed;
        model.erase(model.begin());
      }
    }
    for (const auto& [key, op] : model) ASSERT_EQ(&heap.pop(), &op->completion) << "seed " << seed;
    EXPECT_TRUE(heap.empty());
  }
}

}  // namespace
}  // namespace sluice::io
