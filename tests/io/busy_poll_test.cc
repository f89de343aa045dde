// When a waiting thread looks for completions before it sleeps, as a rule and on a real ring.
#include "engine/io/busy_poll.h"

#include <ctime>
#include <thread>

#include "tests/io/fixture.h"

namespace sluice::io {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

TEST(BusyPollRule, LooksAfterShortWaitsAndSleepsAfterLongOnes) {
  BusyPoll poll(100);
  EXPECT_TRUE(poll.enabled());
  EXPECT_EQ(poll.window_ns(), 0u);  // nothing is known yet
  const auto wait = [&](std::uint64_t ns) {
    poll.on_waited(ns);
    poll.on_completion();
    return poll.window_ns();
  };
  EXPECT_EQ(wait(1'000), 100u);
  EXPECT_EQ(wait(1'001), 0u);
  EXPECT_EQ(wait(5), 100u);
}

TEST(BusyPollRule, AWaitThatOnlyTheClockEndedIsIdle) {
  BusyPoll poll(100);
  poll.on_waited(5);
  EXPECT_EQ(poll.window_ns(), 0u);
  poll.on_completion();
  EXPECT_EQ(poll.window_ns(), 100u);
}

TEST(BusyPollRule, TheLongestWindowDoesNotWrap) {
  BusyPoll poll(~std::uint64_t{0});
  poll.on_waited(~std::uint64_t{0} / 4);
  poll.on_completion();
  EXPECT_GT(poll.window_ns(), 0u);
}

TEST(BusyPollRule, WithoutAWindowItNeverLooks) {
  BusyPoll poll(0);
  EXPECT_FALSE(poll.enabled());
  poll.on_waited(0);
  EXPECT_EQ(poll.window_ns(), 0u);
}

std::uint64_t thread_cpu_ns() {
  timespec time{};
  EXPECT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

class BusyPollTest : public IoTest {
 protected:
  /// A ring whose next wait looks for `window_ns`.
  void make_busy(std::uint64_t window_ns) {
    io_ = make({.busy_poll_ns = window_ns});
    Op soon;
    io_->timer(soon.completion, io_->now_ns() + 1);
    EXPECT_EQ(await(soon), 0);
    Op file;
    const std::string name = path("file");
    io_->open(file.completion, name.c_str(), {.create = true});
    ASSERT_GE(await(file), 0);
    io_->close(Handle{file.result});
  }
};

// Longer than a test may take: a wait that is not seen to end hangs.
constexpr std::uint64_t kForEver = 3'600'000 * kMs;

TEST_F(BusyPollTest, ATimerThatGoesOffMeanwhileIsSeen) {
  make_busy(kForEver);
  Op timer;
  const std::uint64_t due_ns = io_->now_ns() + 3 * kMs;
  io_->timer(timer.completion, due_ns);
  EXPECT_EQ(await(timer), 0);
  EXPECT_GE(io_->now_ns(), due_ns);
}

TEST_F(BusyPollTest, AWakeFromAnotherThreadIsSeen) {
  make_busy(kForEver);
  const auto waker = io_->make_waker();
  for (int i = 0; i < 100; ++i) {
    Op woken;
    io_->wait_for_wake(woken.completion, *waker);
    std::thread other([&] { waker->wake(); });
    EXPECT_EQ(await(woken), 0);
    other.join();
  }
}

TEST_F(BusyPollTest, WritesAndReadsComeBackWhileItLooks) {
  make_busy(kForEver);
  const Handle file = open(path("data"));
  for (std::uint64_t i = 0; i < 50; ++i) {
    const std::string text = "entry " + std::to_string(i);
    ASSERT_EQ(write(file, bytes_of(text), i * 64, /*durable=*/true),
              static_cast<std::int32_t>(text.size()));
    std::vector<std::byte> back(text.size());
    ASSERT_EQ(read(file, back, i * 64), static_cast<std::int32_t>(text.size()));
    EXPECT_EQ(text_of(back), text);
  }
  io_->close(file);
}

/// What a wait of 60 ms costs of this thread's time.
std::uint64_t cost_of_a_wait(Io& io) {
  const std::uint64_t begin_ns = thread_cpu_ns();
  Op timer;
  io.timer(timer.completion, io.now_ns() + 60 * kMs);
  while (timer.completion.pending()) io.run_once();
  return thread_cpu_ns() - begin_ns;
}
constexpr std::uint64_t kCostOfSleepMax = 3 * kMs;

TEST_F(BusyPollTest, ABusyThreadLooks) {
  make_busy(kForEver);
  EXPECT_GT(cost_of_a_wait(*io_), kCostOfSleepMax);
}

TEST_F(BusyPollTest, WithoutAWindowABusyThreadSleeps) {
  make_busy(0);
  EXPECT_LT(cost_of_a_wait(*io_), kCostOfSleepMax);
}

// The second wait: the first looks through its window, for the thread was busy before it.
TEST_F(BusyPollTest, AThreadThatOnlyItsClockWakesSleeps) {
  make_busy(20 * kMs);  // ten times that is longer than a wait
  (void)cost_of_a_wait(*io_);
  EXPECT_LT(cost_of_a_wait(*io_), kCostOfSleepMax);
}

}  // namespace
}  // namespace sluice::io
