// The simulator's machinery: fibers, the world's queue, the Io of a simulated process, scenarios
// and their shrinker.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <stdexcept>
#include <string>

#include "tests/sim/fiber.h"
#include "tests/sim/process.h"
#include "tests/sim/scenario.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sim_io.h"

namespace sluice::sim {
namespace {

constexpr std::uint32_t kAlways = 1'000'000;

// --- Fiber -------------------------------------------------------------------------------------

TEST(SimFiber, RunsUntilItYieldsAndGoesOnWhereItWas) {
  std::string trace;
  Fiber* self = nullptr;
  Fiber fiber([&] {
    trace += "a";
    self->yield();
    trace += "b";
    self->yield();
    trace += "c";
  });
  self = &fiber;
  EXPECT_EQ(trace, "");
  fiber.resume();
  trace += "1";
  fiber.resume();
  trace += "2";
  EXPECT_FALSE(fiber.done());
  fiber.resume();
  EXPECT_TRUE(fiber.done());
  EXPECT_EQ(trace, "a1b2c");
}

TEST(SimFiber, ManyKeepTheirStacksApart) {
  constexpr std::size_t kFibers = 200;
  std::vector<std::unique_ptr<Fiber>> fibers(kFibers);
  std::vector<std::uint64_t> sums(kFibers);
  for (std::size_t i = 0; i < kFibers; ++i) {
    fibers[i] = std::make_unique<Fiber>([&, i] {
      volatile std::uint64_t local[500];  // some of its stack
      for (std::size_t k = 0; k < std::size(local); ++k) local[k] = i * k;
      for (int round = 0; round < 5; ++round) fibers[i]->yield();
      for (const std::uint64_t one : local) sums[i] += one;
    });
  }
  for (int round = 0; round <= 5; ++round) {
    for (const auto& fiber : fibers) fiber->resume();
  }
  for (std::size_t i = 0; i < kFibers; ++i) {
    EXPECT_TRUE(fibers[i]->done());
    EXPECT_EQ(sums[i], i * (500 * 499 / 2));
  }
}

struct CountsItsEnd {
  int& count;
  ~CountsItsEnd() { ++count; }
};

/// Yields at the bottom of a few frames, then throws through all of them.
void throw_from_the_deep(Fiber& fiber, int depth, int& ends) {
  CountsItsEnd guard{ends};
  if (depth > 0) return throw_from_the_deep(fiber, depth - 1, ends);
  fiber.yield();
  throw std::runtime_error("from the deep");
}

TEST(SimFiber, ExceptionsUnwindTheirOwnStackWhileOthersRun) {
  std::vector<std::unique_ptr<Fiber>> fibers(20);
  int ends = 0, caught = 0;
  for (auto& fiber : fibers) {
    fiber = std::make_unique<Fiber>([&] {
      try {
        throw_from_the_deep(*fiber, 9, ends);
      } catch (const std::runtime_error& error) {
        caught += std::string(error.what()) == "from the deep";
      }
      fiber->yield();
      // Once more: nothing is left of the first.
      EXPECT_THROW(throw_from_the_deep(*fiber, 0, ends), std::runtime_error);
    });
  }
  for (int round = 0; round < 4; ++round) {
    for (const auto& fiber : fibers) fiber->resume();
  }
  EXPECT_EQ(caught, 20);
  EXPECT_EQ(ends, 20 * 11);
}

// --- Random and World --------------------------------------------------------------------------

TEST(SimRandom, IsItsSeedAndItsPart) {
  Random a(7, "disk", 1), b(7, "disk", 1), other_part(7, "network", 1), other_number(7, "disk", 2);
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, other_part.next());
  EXPECT_NE(first, other_number.next());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(a.chance(0));
    EXPECT_TRUE(a.chance(kAlways));
    EXPECT_LT(a.below(3), 3u);
    const std::uint64_t n = a.between(5, 6);
    EXPECT_TRUE(n == 5 || n == 6);
  }
}

TEST(SimWorld, EqualInstantsInOrderOfArrival) {
  World world(1);
  std::string trace;
  world.at(20, [&] { trace += "d"; });
  world.at(10, [&] {
    trace += "a";
    world.at(5, [&] {  // past: now, and behind what is already due
      trace += "c";
      EXPECT_EQ(world.now(), 10u);
    });
    world.at(20, [&] { trace += "g"; });
  });
  world.at(10, [&] { trace += "b"; });
  world.at(20, [&] { trace += "e"; });
  world.at(20, [&] { trace += "f"; });
  while (world.step()) {
  }
  EXPECT_EQ(trace, "abcdefg");
  EXPECT_EQ(world.now(), 20u);
  EXPECT_EQ(world.events(), 7u);
  EXPECT_FALSE(world.step());
}

TEST(SimWorld, ManyEventsInOrderOfTime) {
  World world(1);
  Random random(3);
  std::vector<std::pair<Time, int>> expected, happened;
  for (int i = 0; i < 5000; ++i) {
    const Time when = random.below(500);
    expected.emplace_back(when, i);
    world.at(when, [&, when, i] { happened.emplace_back(when, i); });
  }
  std::ranges::stable_sort(expected, {}, &std::pair<Time, int>::first);
  while (world.step()) {
  }
  EXPECT_EQ(happened, expected);
}

TEST(SimWorld, KeepsTheFirstViolation) {
  World world(1);
  EXPECT_EQ(world.violation(), "");
  world.report("first");
  world.report("second");
  EXPECT_EQ(world.violation(), "first");
}

TEST(SimClock, ShowsWhatIsAskedForWhenItSays) {
  Random random(5);
  for (int i = 0; i < 20'000; ++i) {
    Clock clock;
    clock.base = random.below(kSecond * 1000);
    clock.rate_ppm = static_cast<std::int64_t>(random.below(100'000)) - 50'000;
    const std::uint64_t shown = clock.base + random.below(kSecond * 1000);
    const Time when = clock.when(shown);
    ASSERT_GE(clock.at(when), shown) << "rate " << clock.rate_ppm;
    ASSERT_LE(clock.at(when), shown + 10 * kUs) << "rate " << clock.rate_ppm;
  }
}

// --- Io ----------------------------------------------------------------------------------------

/// One operation: what became of it.
struct Op {
  io::Completion completion{io::Completion::bind<&Op::on_done>(this)};
  int calls = 0;
  std::int32_t result = 0;
  std::vector<Op*>* order = nullptr;  // who was handled, in turn
  std::function<void()> then;

  void on_done(std::int32_t r) {
    ++calls;
    result = r;
    if (order != nullptr) order->push_back(this);
    if (then) then();
  }
  std::int32_t wait(SimIo& io) {
    while (completion.pending()) io.run_once();
    return result;
  }
};

/// A world of two machines, to run programs on.
struct Lab {
  explicit Lab(std::uint64_t seed = 1) : world(seed), network(world, 2) {
    for (std::size_t i = 0; i < 2; ++i) {
      machines[i].number = i;
      machines[i].name = "n" + std::to_string(i);
      machines[i].disk = std::make_unique<Disk>(world.random_for("disk", i));
    }
  }
  Process& start(std::size_t machine, std::function<void(SimIo&)> body) {
    processes.push_back(std::make_unique<Process>(world, network, machines[machine],
                                                  world.seed() * 10 + processes.size()));
    processes.back()->spawn(std::move(body));
    return *processes.back();
  }
  void run() {
    while (world.step()) {
    }
  }
  void run_for(Time time) {
    bool over = false;
    world.after(time, [&over] { over = true; });
    while (!over && world.step()) {
    }
  }
  /// One program on machine 0, to its end, with nothing left open.
  void run_program(std::function<void(SimIo&)> body) {
    Process& process = start(0, std::move(body));
    run();
    EXPECT_TRUE(process.ended());
    EXPECT_EQ(process.handles_open(), 0u);
    EXPECT_EQ(world.violation(), "");
  }

  World world;
  Network network;
  Machine machines[2];
  std::vector<std::unique_ptr<Process>> processes;
};

io::Handle handle_of(std::int32_t result) {
  EXPECT_GE(result, 0);
  return static_cast<io::Handle>(result);
}
io::Handle open_file(SimIo& io, const char* path) {
  Op open;
  io.open(open.completion, path, {.create = true});
  return handle_of(open.wait(io));
}
iovec slice_of(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

TEST(SimIo, AProgramWritesReadsAndNamesFiles) {
  Lab lab;
  lab.run_program([&](SimIo& io) {
    int error = 0;
    ASSERT_TRUE(io.make_directory("/d", error));
    const io::Handle file = open_file(io, "/d/a");
    std::vector<std::byte> bytes(5000, std::byte{7}), buffer(6000);
    Op op;
    io.write(op.completion, file, bytes, 100, true);
    EXPECT_EQ(op.wait(io), 5000);
    io.read(op.completion, file, buffer, 100);
    EXPECT_EQ(op.wait(io), 5000);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), buffer.begin()));
    io.allocate(op.completion, file, 8192);
    EXPECT_EQ(op.wait(io), 0);
    EXPECT_EQ(io.file_size("/d/a", error), 8192u);
    io.sync(op.completion, file);
    EXPECT_EQ(op.wait(io), 0);
    io.close(file);
    io.rename(op.completion, "/d/a", "/d/b");
    EXPECT_EQ(op.wait(io), 0);
    EXPECT_EQ(io.file_size("/d/b", error), 8192u);
    EXPECT_EQ(io.list_directory("/d", error), std::vector<std::string>{"b"});
    io.unlink(op.completion, "/d/b");
    EXPECT_EQ(op.wait(io), 0);
    io.open(op.completion, "/d/b", {});
    EXPECT_EQ(op.wait(io), -ENOENT);
    EXPECT_FALSE(io.file_size("/d/b", error));
    EXPECT_EQ(error, ENOENT);
    EXPECT_EQ(io.pending(), 0u);
  });
  EXPECT_EQ(lab.machines[0].disk->files_open(), 0u);
}

TEST(SimIo, HandlersRunOnceAndOnlyInsideRunOnce) {
  Lab lab;
  lab.run_program([&](SimIo& io) {
    const io::Handle file = open_file(io, "/f");
    const std::vector<std::byte> bytes(4096, std::byte{1});
    std::vector<std::byte> buffer(4096);
    const auto waker = io.make_waker();
    waker->wake();  // before anybody waits
    std::array<Op, 7> ops;
    io.timer(ops[0].completion, 0);  // long past
    io.wait_for_wake(ops[1].completion, *waker);
    io.write(ops[2].completion, file, bytes, 0, false);
    io.read(ops[3].completion, file, buffer, 0);
    io.sync(ops[4].completion, file);
    io.open(ops[5].completion, "/none", {});
    io.timer(ops[6].completion, 0);
    io.cancel(ops[6].completion);
    const auto calls = [&] {
      int sum = 0;
      for (const Op& op : ops) sum += op.calls;
      return sum;
    };
    EXPECT_EQ(calls(), 0);
    EXPECT_EQ(io.pending(), ops.size());
    while (io.pending() > 0) {
      const int before = calls();
      io.run_once();
      EXPECT_GT(calls(), before) << "it waits until something is there";
    }
    for (const Op& op : ops) EXPECT_EQ(op.calls, 1);
    EXPECT_EQ(ops[5].result, -ENOENT);
    EXPECT_EQ(ops[6].result, -ECANCELED);
    io.close(file);
  });
}

TEST(SimIo, AHandlerMaySubmitItsOwnCompletionAgain) {
  Lab lab;
  lab.run_program([&](SimIo& io) {
    Op op;
    op.then = [&] {
      if (op.calls < 10) io.timer(op.completion, io.now_ns() + kMs);
    };
    const std::uint64_t begin = io.now_ns();
    io.timer(op.completion, begin + kMs);
    op.wait(io);
    EXPECT_EQ(op.calls, 10);
    EXPECT_GE(io.now_ns(), begin + 10 * kMs);
  });
}

TEST(SimIo, TimersFireInTheirOrderAndNeverEarlyWhateverTheClock) {
  for (const std::int64_t rate : {-50'000, -1, 0, 1, 50'000}) {
    Lab lab;
    lab.machines[0].clock = {.base = 12345, .rate_ppm = rate};
    lab.run_program([&](SimIo& io) {
      const std::uint64_t begin = io.now_ns();
      std::vector<Op*> order;
      std::array<Op, 20> ops;
      for (std::size_t i = 0; i < ops.size(); ++i) {
        const std::uint64_t deadline = begin + ((i * 7) % ops.size() + 1) * kMs;
        ops[i].order = &order;
        ops[i].then = [&io, deadline] { EXPECT_GE(io.now_ns(), deadline); };
        io.timer(ops[i].completion, deadline);
      }
      for (std::uint64_t last = 0; io.pending() > 0; last = io.now_ns()) {
        io.run_once();
        EXPECT_GE(io.now_ns(), last);
      }
      for (std::size_t i = 0; i < ops.size(); ++i) {
        EXPECT_EQ((static_cast<std::size_t>(order[i] - ops.data()) * 7) % ops.size(), i);
      }
    });
  }
}

TEST(SimIo, CompletionsAtHandAreHandledInAnyOrder) {
  std::set<std::vector<std::size_t>> orders;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Lab lab(seed);
    lab.run_program([&](SimIo& io) {
      std::vector<Op*> order;
      std::array<Op, 4> ops;
      for (Op& op : ops) {
        op.order = &order;
        io.timer(op.completion, 0);
      }
      while (io.pending() > 0) io.run_once();
      std::vector<std::size_t> numbers;
      for (const Op* op : order) numbers.push_back(static_cast<std::size_t>(op - ops.data()));
      orders.insert(numbers);
    });
  }
  EXPECT_EQ(orders.size(), 24u);
}

TEST(SimIo, ACancelledOperationEndsEarlyIfItsKindCan) {
  Lab lab;
  lab.run_program([&](SimIo& io) {
    int error = 0;
    const auto here = io.resolve("m0:80");
    const io::Handle listener = *io.listen(*here, error);
    const io::Handle file = open_file(io, "/f");
    const auto waker = io.make_waker();
    const std::vector<std::byte> bytes(4096, std::byte{1});
    Op none, timer, accept, wake, written, unsubmitted;
    io.cancel(none.completion);  // nothing is under way: nothing happens
    io.timer(timer.completion, io.now_ns() + kSecond);
    io.accept(accept.completion, listener);
    io.wait_for_wake(wake.completion, *waker);
    io.write(written.completion, file, bytes, 0, true);
    Op now;
    io.timer(now.completion, 0);
    now.wait(io);  // all of it is under way
    const std::uint64_t begin = io.now_ns();
    io.write(unsubmitted.completion, file, bytes, 4096, true);
    for (Op* op : {&timer, &accept, &wake, &written, &unsubmitted}) {
      io.cancel(op->completion);
      io.cancel(op->completion);
      EXPECT_EQ(op->calls, 0) << "never from inside";
    }
    while (io.pending() > 0) io.run_once();
    EXPECT_LT(io.now_ns(), begin + 10 * kMs);
    for (const Op* op : {&timer, &accept, &wake, &unsubmitted}) {
      EXPECT_EQ(op->result, -ECANCELED);
      EXPECT_EQ(op->calls, 1);
    }
    EXPECT_EQ(written.result, 4096) << "the disk does not take an order back";
    EXPECT_EQ(io.file_size("/f", error), 4096u);
    EXPECT_EQ(none.calls, 0);
    io.close(file);
    io.close(listener);
  });
}

TEST(SimIo, AWakeFromAnotherFiberIsNeverLost) {
  constexpr int kBursts = 50;
  Lab lab;
  io::Waker* shared = nullptr;
  int bursts = 0, answers = 0;
  Process& process = lab.start(0, [&](SimIo& io) {
    const auto waker = io.make_waker();
    shared = waker.get();
    Op wake;
    for (int seen = 0; seen < kBursts; seen = bursts) {
      io.wait_for_wake(wake.completion, *waker);
      EXPECT_EQ(wake.wait(io), 0);
      ++answers;
    }
    shared = nullptr;
  });
  process.spawn([&](SimIo& io) {
    for (int i = 0; i < kBursts; ++i) {
      Op timer;  // often before anybody waits again
      io.timer(timer.completion, io.now_ns() + io.random() % (100 * kUs));
      timer.wait(io);
      ++bursts;
      for (int k = 0; k < 3 && shared != nullptr; ++k) shared->wake();
    }
  });
  lab.run();
  EXPECT_TRUE(process.ended());
  EXPECT_LE(answers, 3 * kBursts) << "nobody woke it that often";
}

/// Takes one connection at port 80 of its machine; gives its handle to `serve`.
void serve_one(SimIo& io, const std::function<void(io::Handle)>& serve) {
  int error = 0;
  const auto where = io.resolve("m1:80");
  const io::Handle listener = *io.listen(*where, error);
  Op accept;
  io.accept(accept.completion, listener);
  const io::Handle socket = handle_of(accept.wait(io));
  serve(socket);
  io.close(socket);
  io.close(listener);
}
std::int32_t connect_to_one(SimIo& io) {
  const auto where = io.resolve("m1:80");
  Op connect;
  io.connect(connect.completion, *where);
  return connect.wait(io);
}
std::int32_t send(SimIo& io, io::Handle socket, std::span<const std::byte> bytes) {
  const iovec slices[] = {slice_of(bytes.first(bytes.size() / 2)),
                          slice_of(bytes.subspan(bytes.size() / 2))};
  Op op;
  io.send(op.completion, socket, slices);
  return op.wait(io);
}
std::int32_t receive(SimIo& io, io::Handle socket, std::span<std::byte> buffer) {
  Op op;
  io.recv(op.completion, socket, buffer);
  return op.wait(io);
}

TEST(SimIo, S43_ASenderWaitsForASlowReaderAndNothingIsLost) {
  constexpr std::size_t kBytes = 1 << 20;
  Lab lab;
  std::uint64_t sent_all_at = 0;
  std::vector<std::byte> bytes(kBytes), received;
  Random random(3);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random.next());
  Process& server = lab.start(1, [&](SimIo& io) {
    serve_one(io, [&](io::Handle socket) {
      Op timer;
      io.timer(timer.completion, kSecond);
      timer.wait(io);
      EXPECT_EQ(sent_all_at, 0u) << "more than the window was taken while nobody read";
      std::vector<std::byte> buffer(50'000);
      for (std::int32_t size = 1; size > 0;) {
        size = receive(io, socket, buffer);
        if (size > 0) received.insert(received.end(), buffer.begin(), buffer.begin() + size);
        if (size < 0) ADD_FAILURE() << size;
      }
    });
  });
  Process& client = lab.start(0, [&](SimIo& io) {
    const io::Handle socket = handle_of(connect_to_one(io));
    for (std::span<const std::byte> left = bytes; !left.empty();) {
      const std::int32_t size = send(io, socket, left);
      ASSERT_GT(size, 0);
      left = left.subspan(static_cast<std::size_t>(size));
    }
    sent_all_at = io.now_ns();
    io.close(socket);
  });
  lab.run();
  EXPECT_TRUE(server.ended() && client.ended());
  EXPECT_GT(sent_all_at, kSecond);
  EXPECT_TRUE(received == bytes);
}

TEST(SimIo, EndsOfConnectionsHaveTheirOwnErrors) {
  Lab lab;
  Process& server = lab.start(1, [&](SimIo& io) {
    serve_one(io, [&](io::Handle socket) {
      std::byte buffer[10];
      EXPECT_EQ(receive(io, socket, buffer), 1);
      EXPECT_EQ(receive(io, socket, buffer), 0) << "the other side closed";
      EXPECT_EQ(send(io, socket, buffer), 10) << "nobody knows yet";
      Op timer;
      io.timer(timer.completion, io.now_ns() + kMs);
      timer.wait(io);
      EXPECT_EQ(send(io, socket, buffer), -ECONNRESET);
      EXPECT_EQ(receive(io, socket, buffer), -ECONNRESET);
    });
  });
  Process& client = lab.start(0, [&](SimIo& io) {
    Op timer;
    io.timer(timer.completion, kMs);  // until somebody listens
    timer.wait(io);
    const io::Handle socket = handle_of(connect_to_one(io));
    const std::byte byte[2]{};
    EXPECT_EQ(send(io, socket, std::span(byte).first(1)), 1);
    std::byte buffer[10];
    Op recv;
    io.recv(recv.completion, socket, buffer);
    io.shutdown(socket);
    EXPECT_EQ(recv.wait(io), 0) << "a pending receive ends with it";
    EXPECT_EQ(send(io, socket, byte), -EPIPE);
    io.close(socket);
  });
  lab.run();
  EXPECT_TRUE(server.ended() && client.ended());
  lab.run_program([](SimIo& io) { EXPECT_EQ(connect_to_one(io), -ECONNREFUSED); });
}

TEST(SimIo, ABufferThatChangesUnderWayIsAViolation) {
  {
    Lab lab;
    Process& process = lab.start(0, [&](SimIo& io) {
      const io::Handle file = open_file(io, "/f");
      std::vector<std::byte> bytes(4096);
      Op write, timer;
      timer.then = [&] { bytes[1000] = std::byte{1}; };
      io.timer(timer.completion, 0);
      io.write(write.completion, file, bytes, 0, true);
      write.wait(io);
      io.close(file);
    });
    lab.run();
    EXPECT_TRUE(process.ended());
    EXPECT_NE(lab.world.violation().find("written to disk"), std::string::npos);
  }
  {
    Lab lab;
    lab.start(1, [&](SimIo& io) {
      serve_one(io, [&](io::Handle socket) {
        Op timer;
        io.timer(timer.completion, kSecond);
        timer.wait(io);
        std::vector<std::byte> buffer(Network::kWindowBytes);
        while (receive(io, socket, buffer) > 0) {
        }
      });
    });
    lab.start(0, [&](SimIo& io) {
      const io::Handle socket = handle_of(connect_to_one(io));
      std::vector<std::byte> bytes(Network::kWindowBytes);
      EXPECT_EQ(send(io, socket, bytes), static_cast<std::int32_t>(bytes.size()));
      Op timer;  // while the next one waits for room
      timer.then = [&] { bytes.back() = std::byte{1}; };
      io.timer(timer.completion, 500 * kMs);
      EXPECT_GT(send(io, socket, bytes), 0);
      io.close(socket);
    });
    lab.run();
    EXPECT_NE(lab.world.violation().find("being sent"), std::string::npos);
  }
}

TEST(SimIo, ATimerOnAStalledDiskIsOnTimeAndAWriteIsNot) {
  Lab lab;
  lab.machines[0].disk_stalled_until = kSecond;
  lab.run_program([&](SimIo& io) {
    Op timer, open;
    io.open(open.completion, "/f", {.create = true});
    io.timer(timer.completion, kMs);
    timer.wait(io);
    EXPECT_LT(io.now_ns(), 2 * kMs);
    EXPECT_EQ(open.calls, 0);
    io.close(handle_of(open.wait(io)));
    EXPECT_GE(io.now_ns(), kSecond);
  });
}

// --- processes ---------------------------------------------------------------------------------

/// Waits for ever, with a file, a lock, a socket and a half-done write in hand.
void hold_everything(SimIo& io, int& ends) {
  CountsItsEnd guard{ends};
  int error = 0;
  EXPECT_TRUE(io.lock_file("/lock", error));
  const io::Handle file = open_file(io, "/f");
  const io::Handle socket = handle_of(connect_to_one(io));
  const std::vector<std::byte> bytes(3 * 4096, std::byte{1});
  std::vector<std::byte> buffer(100);
  Op recv, write;
  io.recv(recv.completion, socket, buffer);
  write.then = [&] { io.write(write.completion, file, bytes, 0, true); };
  io.write(write.completion, file, bytes, 0, true);
  for (;;) io.run_once();
}

TEST(SimProcess, AKillUnwindsItsFibersAndTheKernelClosesWhatItHeld) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Lab lab(seed);
    int ends = 0;
    std::int32_t heard = -1;
    lab.start(1, [&](SimIo& io) {
      serve_one(io, [&](io::Handle socket) {
        std::byte buffer[10];
        heard = receive(io, socket, buffer);
      });
    });
    lab.run_for(kMs);
    Process& victim = lab.start(0, [&](SimIo& io) { hold_everything(io, ends); });
    victim.spawn([&](SimIo& io) {
      CountsItsEnd guard{ends};
      Op timer;
      io.timer(timer.completion, 1000 * kSecond);
      timer.wait(io);
    });
    lab.run_for(10 * kMs + seed * 37 * kUs);
    ASSERT_EQ(ends, 0);
    EXPECT_TRUE(lab.machines[0].locks.contains("/lock"));
    victim.kill();
    EXPECT_EQ(ends, 2) << "every destructor ran";
    EXPECT_TRUE(victim.ended());
    EXPECT_EQ(victim.handles_open(), 0u);
    EXPECT_TRUE(lab.machines[0].locks.empty());
    lab.run_for(kSecond);  // late writes of the dead
    EXPECT_EQ(lab.machines[0].disk->files_open(), 0u);
    EXPECT_EQ(heard, 0) << "FIN";
  }
}

TEST(SimProcess, APowerFailureTellsNobody) {
  Lab lab;
  int ends = 0;
  std::int32_t heard = -1;
  Process& server = lab.start(1, [&](SimIo& io) {
    serve_one(io, [&](io::Handle socket) {
      std::byte buffer[10];
      heard = receive(io, socket, buffer);
    });
  });
  lab.run_for(kMs);
  Process& victim = lab.start(0, [&](SimIo& io) { hold_everything(io, ends); });
  lab.run_for(10 * kMs);
  lab.machines[0].disk->crash();
  lab.network.power_off(0);
  victim.power_off();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(lab.machines[0].disk->files_open(), 0u);
  lab.run_for(60 * kSecond);
  EXPECT_EQ(heard, -1) << "half-open";
  EXPECT_FALSE(server.ended());
}

TEST(SimProcess, APausedOneStandsStillAndGoesOn) {
  Lab lab;
  std::uint64_t woke = 0;
  Process& process = lab.start(0, [&](SimIo& io) {
    Op timer;
    io.timer(timer.completion, kMs);
    timer.wait(io);
    woke = io.now_ns();
  });
  lab.run_for(500 * kUs);
  process.pause();
  lab.run_for(kSecond);
  EXPECT_EQ(woke, 0u);
  EXPECT_FALSE(process.ended());
  process.resume();
  lab.run();
  EXPECT_GE(woke, kSecond);
  EXPECT_TRUE(process.ended());
}

TEST(SimProcess, S57_ALockHasOneHolder) {
  Lab lab;
  Process& first = lab.start(0, [&](SimIo& io) {
    int error = 0;
    EXPECT_TRUE(io.lock_file("/lock", error));
    for (;;) {
      Op timer;
      io.timer(timer.completion, io.now_ns() + kSecond);
      timer.wait(io);
    }
  });
  lab.run_for(kMs);
  const auto try_it = [&](bool expected) {
    Process& process = lab.start(0, [expected](SimIo& io) {
      int error = 0;
      const auto lock = io.lock_file("/lock", error);
      EXPECT_EQ(lock.has_value(), expected);
      if (lock) {
        io.close(*lock);
      } else {
        EXPECT_EQ(lock.error(), Errc::kInUse);
      }
    });
    lab.run_for(kMs);
    EXPECT_TRUE(process.ended());
  };
  try_it(false);
  first.kill();
  try_it(true);
  try_it(true);
}

TEST(SimProcess, TheSameSeedIsTheSameRunAndAnotherIsNot) {
  const auto run = [](std::uint64_t seed) {
    Lab lab(seed);
    int ends = 0;
    lab.start(1, [&](SimIo& io) {
      serve_one(io, [&](io::Handle socket) {
        std::byte buffer[10];
        (void)receive(io, socket, buffer);
      });
    });
    lab.run_for(kMs);
    lab.start(0, [&](SimIo& io) { hold_everything(io, ends); });
    lab.run_for(100 * kMs);
    lab.processes.back()->kill();
    lab.run_for(kSecond);
    return lab.world.hash();
  };
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::uint64_t hash = run(seed);
    EXPECT_EQ(run(seed), hash) << "seed " << seed;
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), 20u);
}

// --- scenarios ---------------------------------------------------------------------------------

struct AnyValue {
  template <class T>
  operator T() const;  // NOLINT: only looked at
};
template <class T, class... Values>
consteval std::size_t field_count() {
  if constexpr (requires { T{Values{}..., AnyValue{}}; }) {
    return field_count<T, Values..., AnyValue>();
  } else {
    return sizeof...(Values);
  }
}

bool same_fault(const Fault& x, const Fault& y) {
  static_assert(field_count<Fault>() == 6);
  return x.kind == y.kind && x.at == y.at && x.until == y.until && x.a == y.a && x.b == y.b &&
         x.amount == y.amount;
}

TEST(SimScenario, TextIsReadBack) {
  std::set<FaultKind> kinds;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Scenario drawn = draw_scenario(seed, {.liveness = seed % 2 == 1});
    const std::string text = to_text(drawn);
    const auto parsed = parse_scenario(text);
    ASSERT_TRUE(parsed) << parsed.error();
    EXPECT_EQ(to_text(*parsed), text);
    EXPECT_EQ(parsed->seed, seed);
    EXPECT_EQ(parsed->liveness, seed % 2 == 1);
    EXPECT_EQ(parsed->fsync, drawn.fsync);
    EXPECT_EQ(parsed->liars, drawn.liars);
    EXPECT_TRUE(std::ranges::equal(parsed->faults, drawn.faults, same_fault));
    for (const Fault& fault : drawn.faults) kinds.insert(fault.kind);
  }
  EXPECT_GE(kinds.size(), kFaultKinds - 4) << "500 seeds should draw nearly every kind";
}

TEST(SimScenario, EveryFieldIsInTheText) {
  const std::string text = to_text(Scenario{});
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  EXPECT_EQ(lines - 1, field_count<Scenario>() - 1) << "one comment; the faults have their own";
}

TEST(SimScenario, EveryKindOfFaultHasANameOfItsOwn) {
  std::set<std::string> texts;
  for (std::size_t i = 0; i < kFaultKinds; ++i) {
    Scenario scenario;
    scenario.faults.push_back({.kind = static_cast<FaultKind>(i), .at = 1, .until = 2, .a = 3,
                               .b = 4, .amount = 5});
    const auto parsed = parse_scenario(to_text(scenario));
    ASSERT_TRUE(parsed) << parsed.error();
    ASSERT_EQ(parsed->faults.size(), 1u);
    EXPECT_TRUE(same_fault(parsed->faults[0], scenario.faults[0]));
    texts.insert(to_text(scenario.faults[0]));
  }
  EXPECT_EQ(texts.size(), kFaultKinds);
}

TEST(SimScenario, GarbageIsRefused) {
  for (const char* text :
       {"nodes", "nodes x", "nodes 3x", "nodes -1", "nodes 4294967296", "no_such_setting 1",
        "reads 2", "reads true", "fault", "fault none at=1", "fault kill at", "fault kill at=",
        "fault kill at=x", "fault kill at=-1", "fault kill when=1",
        "fault kill at=99999999999999999999", "seed 1\nnonsense\n", "\x01\x02\xff"}) {
    EXPECT_FALSE(parse_scenario(text)) << text;
  }
  EXPECT_TRUE(parse_scenario(""));
  EXPECT_TRUE(parse_scenario("# a comment\n\nnodes 5\n"));
}

TEST(SimScenario, ASeedDrawsAlwaysTheSame) {
  std::set<std::string> texts;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::string text = to_text(draw_scenario(seed, {}));
    EXPECT_EQ(to_text(draw_scenario(seed, {})), text);
    texts.insert(text);
    EXPECT_TRUE(draw_scenario(seed, {.calm = true}).faults.empty());
  }
  EXPECT_EQ(texts.size(), 200u);
}

TEST(SimScenario, DisksLieOnAMinorityOfTheNodesAndFaultsAreInOrder) {
  bool any_liar = false;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Scenario s = draw_scenario(seed, {});
    EXPECT_LT(2 * std::popcount(s.liars), static_cast<int>(s.nodes));
    EXPECT_EQ(s.liars >> s.nodes, 0u);
    EXPECT_TRUE(std::ranges::is_sorted(s.faults, {}, &Fault::at));
    for (const Fault& fault : s.faults) {
      const bool leader = (fault.a >= kLeaderOf && fault.a < kLeaderOf + s.groups) ||
                          (fault.a >= kNextLeaderOf && fault.a < kNextLeaderOf + s.groups);
      EXPECT_TRUE(leader || fault.a < s.nodes + s.clients) << to_text(fault);
      EXPECT_LT(fault.b, s.nodes + s.clients);
      EXPECT_LE(fault.at, fault.until);
      if (fault.kind < FaultKind::kReadError || fault.kind > FaultKind::kRot) continue;
      any_liar = true;
      EXPECT_TRUE((s.liars >> fault.a & 1) != 0) << to_text(fault);
    }
  }
  EXPECT_TRUE(any_liar);
}

// --- the shrinker ------------------------------------------------------------------------------

Scenario many_faults() {
  Scenario scenario;
  scenario.nodes = 5;
  scenario.shards = 3;
  scenario.groups = 6;
  scenario.clients = 3;
  for (std::uint64_t i = 0; i < 60; ++i) {
    scenario.faults.push_back({.kind = FaultKind::kKill, .at = i * kMs, .until = i * kMs + 1,
                               .a = i % 5, .amount = i});
  }
  return scenario;
}
bool has_fault(const Scenario& scenario, std::uint64_t amount) {
  return std::ranges::find(scenario.faults, amount, &Fault::amount) != scenario.faults.end();
}

TEST(SimShrink, FindsTheOneNeededFaultOfMany) {
  for (std::uint64_t needed = 0; needed < 60; ++needed) {
    const Scenario small =
        shrink(many_faults(), 500, [&](const Scenario& s) { return has_fault(s, needed); });
    ASSERT_EQ(small.faults.size(), 1u);
    EXPECT_EQ(small.faults[0].amount, needed);
    EXPECT_EQ(small.nodes, 3u);
    EXPECT_EQ(small.shards, 1u);
    EXPECT_EQ(small.groups, 1u);
    EXPECT_EQ(small.clients, 1u);
  }
}

TEST(SimShrink, KeepsWhatIsNeededTogether) {
  const auto fails = [](const Scenario& s) {
    return has_fault(s, 3) && has_fault(s, 40) && s.nodes == 5 && s.groups >= 2;
  };
  const Scenario small = shrink(many_faults(), 1000, fails);
  EXPECT_TRUE(fails(small));
  EXPECT_EQ(small.faults.size(), 2u);
  EXPECT_EQ(small.nodes, 5u);
}

TEST(SimShrink, TakesLessWorkAndLessTimeIfThatIsEnough) {
  const Scenario small = shrink(many_faults(), 1000, [](const Scenario& s) {
    return s.operations_max >= 100 && has_fault(s, 5);
  });
  EXPECT_GE(small.operations_max, 100u);
  EXPECT_LE(small.operations_max, 200u);
  EXPECT_FALSE(small.reads);
  EXPECT_LT(small.faults_end, 2 * kSecond);
}

TEST(SimShrink, GivesUpWithWhatItHas) {
  unsigned runs = 0;
  const Scenario small = shrink(many_faults(), 7, [&](const Scenario& s) {
    ++runs;
    return has_fault(s, 59);
  });
  EXPECT_EQ(runs, 7u);
  EXPECT_TRUE(has_fault(small, 59));
  EXPECT_LT(small.faults.size(), 60u);

  const Scenario same = shrink(many_faults(), 1000, [](const Scenario&) { return false; });
  EXPECT_EQ(to_text(same), to_text(many_faults())) << "nothing smaller fails";
}

}  // namespace
}  // namespace sluice::sim
