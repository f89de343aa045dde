// The loop of uring_io: timers, wakers, many operations at once, handlers that submit and destroy.
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <deque>
#include <functional>
#include <thread>

#include "tests/io/fixture.h"

namespace sluice::io {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

using LoopTest = IoTest;

/// A timer that notes its number when it fires.
struct NamedTimer {
  NamedTimer(std::vector<int>& order, int number) : order_(order), number_(number) {}
  void on_done(std::int32_t value) {
    result = value;
    order_.push_back(number_);
  }
  std::int32_t result = 1;
  Completion completion = Completion::bind<&NamedTimer::on_done>(this);

 private:
  std::vector<int>& order_;
  int number_;
};

TEST_F(LoopTest, TimersFireInOrderOfTheirDeadlinesAndNeverEarly) {
  std::vector<int> order;
  std::deque<NamedTimer> timers;
  for (int i = 0; i < 6; ++i) timers.emplace_back(order, i);
  const std::uint64_t start = io_->now_ns();
  io_->timer(timers[0].completion, start + 30 * kMs);
  io_->timer(timers[1].completion, start + 10 * kMs);
  io_->timer(timers[2].completion, start + 20 * kMs);
  io_->timer(timers[3].completion, start + 20 * kMs);  // equal: in the order they were set
  io_->timer(timers[4].completion, 0);                 // past: at once
  io_->timer(timers[5].completion, start + 10 * kMs);
  while (order.size() < 6) {
    io_->run_once();
    if (timers[0].result == 0) {
      EXPECT_GE(io_->now_ns(), start + 30 * kMs);
    }
  }
  EXPECT_EQ(order, (std::vector<int>{4, 1, 5, 2, 3, 0}));
}

TEST_F(LoopTest, CancelledTimerEndsAtOnceAndTheOthersKeepTheirTime) {
  Op far;
  Op near;
  const std::uint64_t start = io_->now_ns();
  io_->timer(far.completion, start + 3'600'000 * kMs);
  io_->timer(near.completion, start + 5 * kMs);
  io_->cancel(far.completion);
  io_->cancel(far.completion);  // twice is once
  EXPECT_EQ(far.fired, 0);
  EXPECT_EQ(await(far), -ECANCELED);
  EXPECT_EQ(await(near), 0);
  EXPECT_EQ(far.fired, 1);
  EXPECT_GE(io_->now_ns(), start + 5 * kMs);
}

TEST_F(LoopTest, AnAlarmThatIsSetIsMovedForAnEarlierTimer) {
  Op far;
  io_->timer(far.completion, io_->now_ns() + 3'600'000 * kMs);
  // A turn that blocks, so that the alarm of the far one is with the kernel.
  const auto waker = io_->make_waker();
  Op woken;
  io_->wait_for_wake(woken.completion, *waker);
  waker->wake();
  EXPECT_EQ(await(woken), 0);
  for (int i = 0; i < 3; ++i) {  // earlier than the far one, and again when that alarm is gone
    Op near;
    Op nearer;
    const std::uint64_t now = io_->now_ns();
    io_->timer(near.completion, now + 6 * kMs);
    io_->run_once();  // moves it; ends early or with `near`
    io_->timer(nearer.completion, now + 3 * kMs);
    EXPECT_EQ(await(nearer), 0);
    EXPECT_EQ(await(near), 0);
    EXPECT_GE(io_->now_ns(), now + 6 * kMs);
  }
  io_->cancel(far.completion);
  EXPECT_EQ(await(far), -ECANCELED);
}

TEST_F(LoopTest, WaitingCostsNoTurnsAndNoProcessorTime) {
  Op op;
  io_->timer(op.completion, io_->now_ns() + 200 * kMs);
  timespec before{};
  timespec after{};
  ASSERT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before), 0);
  int turns = 0;
  while (op.completion.pending()) {
    io_->run_once();
    ++turns;
  }
  ASSERT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after), 0);
  EXPECT_LE(turns, 3);
  const auto used_ns =
      (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
  EXPECT_LT(used_ns, 50'000'000);
}

TEST_F(LoopTest, SignalDoesNotLoseATimer) {
  struct sigaction ignore {};
  ignore.sa_handler = [](int) {};
  struct sigaction old {};
  ASSERT_EQ(::sigaction(SIGALRM, &ignore, &old), 0);
  const itimerval every{{0, 5000}, {0, 5000}};
  const itimerval never{};
  Op op;
  const std::uint64_t deadline = io_->now_ns() + 50 * kMs;
  io_->timer(op.completion, deadline);
  ASSERT_EQ(::setitimer(ITIMER_REAL, &every, nullptr), 0);
  EXPECT_EQ(await(op), 0);
  ASSERT_EQ(::setitimer(ITIMER_REAL, &never, nullptr), 0);
  ASSERT_EQ(::sigaction(SIGALRM, &old, nullptr), 0);
  EXPECT_GE(io_->now_ns(), deadline);
}

TEST_F(LoopTest, NowStandsStillWithinATurn) {
  std::vector<std::uint64_t> seen;
  struct Reader {
    void on_done(std::int32_t) { seen.push_back(io.now_ns()); }
    Io& io;
    std::vector<std::uint64_t>& seen;
    Completion completion = Completion::bind<&Reader::on_done>(this);
  };
  Reader first{*io_, seen};
  Reader second{*io_, seen};
  io_->timer(first.completion, 0);
  io_->timer(second.completion, 0);
  io_->run_once();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(LoopTest, WakesFromOtherThreadsAreSeenWithWhatTheyWrote) {
  // Each thread adds to a plain counter of its own before it wakes: the thread sanitizer tells
  // whether wake() and its completion order the two sides.
  constexpr int kWakes = 2000;
  auto waker = io_->make_waker();
  Op op;
  std::atomic<int> produced{0};
  int plain_value = 0;
  int seen = 0;
  io_->wait_for_wake(op.completion, *waker);
  std::thread producer([&] {
    plain_value = 42;
    for (int i = 0; i < kWakes; ++i) {
      produced.fetch_add(1, std::memory_order_relaxed);
      waker->wake();
    }
  });
  while (seen < kWakes) {
    ASSERT_EQ(await(op), 0);
    EXPECT_EQ(plain_value, 42);
    seen = produced.load(std::memory_order_relaxed);
    io_->wait_for_wake(op.completion, *waker);
  }
  producer.join();
  waker->wake();
  await(op);
}

TEST_F(LoopTest, WakeBeforeTheWaitIsNotLostAndManyAreOne) {
  auto waker = io_->make_waker();
  for (int i = 0; i < 5; ++i) waker->wake();
  Op op;
  io_->wait_for_wake(op.completion, *waker);
  EXPECT_EQ(await(op), 0);
  io_->wait_for_wake(op.completion, *waker);
  io_->cancel(op.completion);
  EXPECT_EQ(await(op), -ECANCELED);
  io_->wait_for_wake(op.completion, *waker);
  waker->wake();
  EXPECT_EQ(await(op), 0);
}

TEST_F(LoopTest, TenThousandReadsOverflowBothQueuesAndEachEndsOnce) {
  auto io = make({.submission_entries = 64, .completion_entries = 128});
  const Handle file = open(path("file"));
  std::string content(10'000, 0);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i % 251);
  ASSERT_EQ(write(file, bytes_of(content), 0), 10'000);

  std::deque<Op> ops(content.size());
  std::vector<std::byte> got(content.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    io->read(ops[i].completion, file, std::span(got).subspan(i, 1), i);
  }
  EXPECT_EQ(io->pending(), ops.size());
  while (io->pending() > 0) io->run_once();
  for (const Op& op : ops) {
    EXPECT_EQ(op.fired, 1);
    EXPECT_EQ(op.result, 1);
  }
  EXPECT_EQ(text_of(got), content);
  io_->close(file);
}

TEST_F(SocketTest, TenThousandPendingAtOnceEndTogether) {
  std::deque<Op> ops(10'000);
  std::byte sink{};
  for (Op& op : ops) io_->recv(op.completion, server_, std::span(&sink, 1));
  Op idle;
  io_->timer(idle.completion, io_->now_ns() + 10 * kMs);
  await(idle);
  EXPECT_EQ(io_->pending(), ops.size());
  // Half of them one by one, the others by the end of the connection.
  for (std::size_t i = 0; i < ops.size(); i += 2) io_->cancel(ops[i].completion);
  while (io_->pending() > ops.size() / 2) io_->run_once();
  close(client_);
  while (io_->pending() > 0) io_->run_once();
  for (std::size_t i = 0; i < ops.size(); ++i) {
    EXPECT_EQ(ops[i].fired, 1);
    EXPECT_EQ(ops[i].result, i % 2 == 0 ? -ECANCELED : 0);
  }
}

TEST_F(LoopTest, SubmissionsOfTheBacklogKeepTheirOrder) {
  // With a queue of four, a cancellation far behind its target still comes after it.
  auto io = make({.submission_entries = 4, .completion_entries = 8});
  auto waker = io->make_waker();
  std::deque<Op> ops(100);
  for (Op& op : ops) io->wait_for_wake(op.completion, *waker);
  for (Op& op : ops) io->cancel(op.completion);
  while (io->pending() > 0) io->run_once();
  for (const Op& op : ops) EXPECT_EQ(op.result, -ECANCELED);
}

TEST_F(LoopTest, HandlerMaySubmitItsOwnCompletionAgain) {
  struct Repeater {
    void on_done(std::int32_t) {
      if (++turns < 1000) io.timer(completion, 0);
    }
    Io& io;
    int turns = 0;
    Completion completion = Completion::bind<&Repeater::on_done>(this);
  };
  Repeater repeater{*io_};
  io_->timer(repeater.completion, 0);
  while (io_->pending() > 0) io_->run_once();
  EXPECT_EQ(repeater.turns, 1000);
}

TEST_F(LoopTest, TimersInThePastDoNotStarveTheKernel) {
  // A handler that sets a past timer again and again, and a read that must still get its turn.
  struct Greedy {
    void on_done(std::int32_t) {
      ++turns;
      if (!stop) io.timer(completion, 0);
    }
    Io& io;
    int turns = 0;
    bool stop = false;
    Completion completion = Completion::bind<&Greedy::on_done>(this);
  };
  Greedy greedy{*io_};
  auto waker = io_->make_waker();
  Op op;
  io_->timer(greedy.completion, 0);
  io_->wait_for_wake(op.completion, *waker);
  for (int i = 0; i < 5; ++i) io_->run_once();
  waker->wake();
  for (int i = 0; i < 100 && op.fired == 0; ++i) io_->run_once();
  EXPECT_EQ(op.fired, 1);
  greedy.stop = true;
  while (io_->pending() > 0) io_->run_once();
}

TEST_F(SocketTest, HandlerMayCloseItsSocketAndDestroyItsOwner) {
  struct Connection {
    void on_recv(std::int32_t result) {
      if (result > 0) return io.recv(recv, socket, buffer);
      io.close(socket);
      owner.reset();  // this is gone from here on
    }
    Io& io;
    Handle socket;
    std::unique_ptr<Connection>& owner;
    std::array<std::byte, 16> buffer{};
    Completion recv = Completion::bind<&Connection::on_recv>(this);
  };
  std::unique_ptr<Connection> connection;
  connection.reset(new Connection{*io_, server_, connection});
  server_ = Handle::kNone;
  io_->recv(connection->recv, connection->socket, connection->buffer);
  const iovec slice = slice_of("hello");
  ASSERT_EQ(send(client_, std::span(&slice, 1)), 5);
  close(client_);
  while (connection) io_->run_once();
  EXPECT_EQ(io_->pending(), 0u);
}

TEST_F(LoopTest, MadeInOneThreadRunInAnotherDestroyedInAThird) {
  Op mine;
  io_->timer(mine.completion, 0);
  ASSERT_EQ(await(mine), 0);  // this thread has a ring of its own, registered with the kernel
  auto io = make({});
  auto waker = io->make_waker();
  Op op;
  io->wait_for_wake(op.completion, *waker);  // queued before the ring has its thread
  std::thread runner([&] {
    while (io->pending() > 0) io->run_once();
  });
  waker->wake();
  runner.join();
  EXPECT_EQ(op.result, 0);
  io.reset();
  // The ring of this thread was not touched by that.
  io_->timer(mine.completion, 0);
  EXPECT_EQ(await(mine), 0);
}

TEST_F(LoopTest, DestroyingAnIoWithOperationsPendingIsCaught) {
  EXPECT_DEATH(
      {
        auto io = make({});
        Op op;
        io->timer(op.completion, 0);
        io.reset();
      },
      "pending_ == 0");
}

TEST_F(LoopTest, RandomAndWallClockComeFromTheSystem) {
  EXPECT_NE(io_->random(), io_->random());
  const auto wall = static_cast<std::int64_t>(io_->wall_ns() / 1'000'000'000);
  EXPECT_NEAR(static_cast<double>(wall), static_cast<double>(std::time(nullptr)), 5.0);
}

}  // namespace
}  // namespace sluice::io
