// segments/block_queue against std::deque: random pushes and pops at both ends, with blocks so small
// that every edge is met.
#include "segments/block_queue.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <random>
#include <utility>

namespace sluice::segments {
namespace {

using Queue = BlockQueue<std::uint64_t, 4>;

void expect_equal(const Queue& queue, const std::deque<std::uint64_t>& expected) {
  ASSERT_EQ(queue.size(), expected.size());
  ASSERT_EQ(queue.empty(), expected.empty());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(queue[i], expected[i]);
  if (expected.empty()) return;
  ASSERT_EQ(queue.front(), expected.front());
  ASSERT_EQ(queue.back(), expected.back());
}

TEST(BlockQueue, HoldsWhatADequeHolds) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Queue queue;
    std::deque<std::uint64_t> expected;
    for (std::uint64_t step = 0; step < 500; ++step) {
      // The odds of a push change, so that it grows, shrinks and becomes empty again and again.
      const bool push = random() % 100 < (step / 50 % 2 == 0 ? 70u : 30u);
      if (push || expected.empty()) {
        queue.push_back(step);
        expected.push_back(step);
      } else if (random() % 2 == 0) {
        queue.pop_front();
        expected.pop_front();
      } else {
        queue.pop_back();
        expected.pop_back();
      }
      ASSERT_NO_FATAL_FAILURE(expect_equal(queue, expected)) << "seed " << seed << " step " << step;
    }
  }
}

TEST(BlockQueue, ACopyHasValuesOfItsOwn) {
  Queue queue;
  for (std::uint64_t i = 0; i < 6; ++i) queue.push_back(i);
  Queue copy;
  copy = queue;
  queue.push_back(6);
  copy.push_back(60);
  expect_equal(queue, {0, 1, 2, 3, 4, 5, 6});
  expect_equal(copy, {0, 1, 2, 3, 4, 5, 60});
  EXPECT_NE(&copy.back(), &queue.back());
}

TEST(BlockQueue, GoesOnWhereItWasMovedTo) {
  Queue queue;
  for (std::uint64_t i = 0; i < 6; ++i) queue.push_back(i);
  Queue moved(std::move(queue));
  queue = Queue();
  for (std::uint64_t i = 6; i < 10; ++i) moved.push_back(i);
  queue.push_back(77);
  expect_equal(moved, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  expect_equal(queue, {77});
}

TEST(BlockQueue, AReferenceStaysValidWhileItGrowsAndShrinksAroundIt) {
  Queue queue;
  for (std::uint64_t i = 0; i < 6; ++i) queue.push_back(i);
  const std::uint64_t& third = queue[2];
  for (std::uint64_t i = 6; i < 1000; ++i) queue.push_back(i);
  EXPECT_EQ(&queue[2], &third);
  queue.pop_front();
  queue.pop_front();
  while (queue.size() > 1) queue.pop_back();
  EXPECT_EQ(&queue.front(), &third);
  EXPECT_EQ(third, 2u);
}

}  // namespace
}  // namespace sluice::segments
