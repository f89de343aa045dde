// The model of a network: streams as TCP gives them, and every way in which they end.
#include "tests/sim/network.h"

#include <gtest/gtest.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>

namespace sluice::sim {
namespace {

constexpr std::uint16_t kPort = 80;
constexpr std::uint32_t kAlways = 1'000'000;

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

/// Three machines and one connection, from machine 0 to machine 1.
struct Net {
  explicit Net(std::uint64_t seed = 1) : world(seed), network(world, 3) {}

  /// Runs until nothing is left to do, or for some time.
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
  struct Connected {
    SocketRef socket;
    int error = 0;
    int calls = 0;
  };
  void connect(Connected& to, std::size_t target = 1) {
    network.connect(0, target, kPort,
                    {.alive = [] { return true; },
                     .done = [&to](SocketRef socket, int error) {
                       to.socket = std::move(socket);
                       to.error = error;
                       ++to.calls;
                     }});
  }
  void connect() {
    ASSERT_TRUE(network.listen(1, kPort));
    Connected connected;
    connect(connected);
    run();
    ASSERT_EQ(connected.calls, 1);
    a = connected.socket;
    b = network.take_connection(1, kPort);
    ASSERT_TRUE(a && b);
  }
  void send(const SocketRef& from, const std::string& text) { network.send(from, bytes_of(text)); }
  /// Everything that arrived at a socket and was not read yet.
  std::string read(const SocketRef& socket) {
    std::string text;
    for (std::byte buffer[1000]; socket->unread_bytes() > 0;) {
      const std::size_t size = network.receive(socket, buffer);
      text.append(reinterpret_cast<const char*>(buffer), size);
    }
    return text;
  }

  World world;
  Network network;
  SocketRef a, b;
};

std::string some_text(Random& random, std::size_t size_bytes) {
  std::string text(size_bytes, ' ');
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

// --- streams -----------------------------------------------------------------------------------

TEST(SimNetwork, AStreamArrivesWholeAndInOrderHoweverLateItsPartsAre) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Net net(seed);
    net.connect();
    Random random(seed, "test");
    std::string sent, received;
    for (int i = 0; i < 100; ++i) {
      Link& way = net.network.link(0, 1);
      way.latency = random.below(20 * kMs);
      way.jitter = random.below(20 * kMs);
      way.bytes_per_ms = random.coin() ? random.between(1, 1000) : 0;
      way.short_transfer = random.coin() ? kAlways : 0;
      const std::string part = some_text(random, random.between(1, 300));
      net.send(net.a, part);
      sent += part;
      net.run_for(random.below(5 * kMs));
      received += net.read(net.b);
      ASSERT_TRUE(sent.starts_with(received)) << "seed " << seed;
    }
    net.run();
    received += net.read(net.b);
    ASSERT_EQ(received, sent) << "seed " << seed;
    EXPECT_TRUE(net.read(net.a).empty());
  }
}

TEST(SimNetwork, LatencyIsWaitedFor) {
  Net net;
  net.connect();
  net.network.link(0, 1).latency = 10 * kMs;
  net.network.link(0, 1).jitter = 0;
  net.send(net.a, "x");
  net.run_for(10 * kMs - 1);
  EXPECT_FALSE(net.b->readable());
  net.run_for(2);
  EXPECT_TRUE(net.b->readable());
}

TEST(SimNetwork, WhoWaitsIsToldOnce) {
  Net net;
  net.connect();
  int told = 0;
  net.b->on_readable = [&] { ++told; };
  net.send(net.a, "x");
  net.send(net.a, "y");
  net.run();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(net.read(net.b), "xy");
}

TEST(SimNetwork, ACutDelaysAndLosesNothing) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Net net(seed);
    net.connect();
    net.send(net.a, "before ");
    net.run();
    net.send(net.a, "on the way ");
    net.network.cut(0, 1);
    for (int i = 0; i < 10; ++i) {
      net.send(net.a, std::to_string(i));
      net.run_for(kSecond);
    }
    EXPECT_EQ(net.read(net.b), "before ");
    net.network.mend(0, 1);
    net.run();
    EXPECT_EQ(net.read(net.b), "on the way 0123456789") << "seed " << seed;
  }
}

TEST(SimNetwork, ACutIsOneWayAndCutsAreCounted) {
  Net net;
  net.connect();
  net.network.cut(0, 1);
  net.network.cut(0, 1);
  EXPECT_TRUE(net.network.is_cut(0, 1));
  EXPECT_FALSE(net.network.is_cut(1, 0));
  net.send(net.a, "there");
  net.send(net.b, "back");
  net.run();
  EXPECT_EQ(net.read(net.a), "back");
  EXPECT_EQ(net.read(net.b), "");
  net.network.mend(0, 1);
  net.run();
  EXPECT_EQ(net.read(net.b), "") << "two faults cut it, one is over";
  net.network.mend(0, 1);
  net.run();
  EXPECT_EQ(net.read(net.b), "there");
}

TEST(SimNetwork, TheWindowHoldsWhatIsOnTheWayAndWhatIsNotRead) {
  Net net;
  net.connect();
  EXPECT_EQ(net.network.room(*net.a), Network::kWindowBytes);
  net.send(net.a, std::string(Network::kWindowBytes - 10, 'x'));
  EXPECT_EQ(net.network.room(*net.a), 10u);
  net.run();
  EXPECT_EQ(net.network.room(*net.a), 10u) << "arrived is not read";
  net.send(net.a, std::string(10, 'y'));
  EXPECT_EQ(net.network.room(*net.a), 0u);
  net.run();
  int told = 0;
  net.a->on_writable = [&] { ++told; };
  std::byte buffer[100];
  EXPECT_EQ(net.network.receive(net.b, buffer), 100u);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(net.network.room(*net.a), 100u);
  EXPECT_EQ(net.network.room(*net.b), Network::kWindowBytes) << "the other way has its own";
}

TEST(SimNetwork, ANarrowLinkTakesItsTime) {
  Net net;
  net.connect();
  net.network.link(0, 1).bytes_per_ms = 100;
  for (int i = 0; i < 10; ++i) net.send(net.a, std::string(1000, static_cast<char>('0' + i)));
  net.run_for(50 * kMs);
  const std::size_t half = net.b->unread_bytes();
  EXPECT_GE(half, 4000u);
  EXPECT_LE(half, 5000u);
  net.run();
  EXPECT_GE(net.world.now(), 100 * kMs);
  EXPECT_EQ(net.read(net.b).size(), 10'000u);
  const Time before = net.world.now();
  net.send(net.b, std::string(10'000, 'x'));
  net.run();
  EXPECT_LT(net.world.now() - before, kMs) << "the other way is as wide as ever";
}

TEST(SimNetwork, S45_AFlipIsOneWrongBitOfASegment) {
  Net net;
  net.connect();
  net.network.link(0, 1).flip = kAlways;
  const std::string text(500, 'x');
  net.send(net.a, text);
  net.send(net.b, text);
  net.run();
  const std::string arrived = net.read(net.b);
  ASSERT_EQ(arrived.size(), text.size());
  int bits = 0;
  for (const char c : arrived) bits += std::popcount(static_cast<unsigned char>(c ^ 'x'));
  EXPECT_EQ(bits, 1);
  EXPECT_EQ(net.network.flips, 1u);
  EXPECT_EQ(net.read(net.a), text);
}

TEST(SimNetwork, ReceivesAreShortButNeverEmpty) {
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Net net(seed);
    net.connect();
    net.network.link(0, 1).short_transfer = kAlways;
    net.send(net.a, "12345");
    net.run();
    std::byte buffer[10];
    sizes.insert(net.network.receive(net.b, buffer));
    EXPECT_GT(*sizes.begin(), 0u);
  }
  EXPECT_EQ(sizes, (std::set<std::size_t>{1, 2, 3, 4, 5}));
}

// --- ends --------------------------------------------------------------------------------------

TEST(SimNetwork, AFinComesBehindTheData) {
  Net net;
  net.connect();
  net.send(net.a, "last words");
  net.network.close(net.a);
  net.run();
  EXPECT_TRUE(net.b->fin_received);
  EXPECT_FALSE(net.b->reset);
  EXPECT_EQ(net.read(net.b), "last words");
}

TEST(SimNetwork, AShutdownEndsBothDirectionsAndKeepsTheSocket) {
  Net net;
  net.connect();
  int told = 0;
  net.a->on_readable = [&] { ++told; };
  net.send(net.a, "last");
  net.network.shutdown(net.a);
  EXPECT_EQ(told, 1) << "its own reader, too";
  EXPECT_TRUE(net.a->fin_received && net.a->fin_sent);
  net.run();
  EXPECT_TRUE(net.b->fin_received);
  EXPECT_EQ(net.read(net.b), "last");
  net.network.close(net.a);
  net.network.close(net.b);
  net.run();
  EXPECT_TRUE(net.network.sockets().empty());
}

TEST(SimNetwork, CloseWithSomethingUnreadIsAReset) {
  std::set<bool> lost;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Net net(seed);
    net.connect();
    net.send(net.b, "never read");
    net.send(net.a, "on time");
    net.run();
    net.network.close(net.a);
    net.run();
    EXPECT_TRUE(net.b->reset);
    EXPECT_FALSE(net.b->fin_received);
    const std::string left = net.read(net.b);
    EXPECT_TRUE(left.empty() || left == "on time");
    lost.insert(left.empty());
  }
  EXPECT_EQ(lost.size(), 2u) << "a reset may take what was not read yet";
}

TEST(SimNetwork, WhoSendsToAClosedSocketIsReset) {
  Net net;
  net.connect();
  net.network.close(net.a);
  net.run();
  EXPECT_FALSE(net.b->reset);
  int told = 0;
  net.b->on_readable = [&] { ++told; };
  net.send(net.b, "too late");
  net.run();
  EXPECT_TRUE(net.b->reset);
  EXPECT_EQ(told, 1);
}

TEST(SimNetwork, AResetLosesWhatIsOnItsWayAnywhereInTheStream) {
  std::set<std::size_t> arrived;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Net net(seed);
    net.connect();
    net.network.link(0, 1).jitter = kMs;
    for (int i = 0; i < 10; ++i) {
      net.run_for(200 * kUs);
      net.send(net.a, std::to_string(i));
    }
    net.network.reset(net.a, true);
    EXPECT_TRUE(net.a->reset && net.b->reset) << "both hear of it";
    net.run();
    const std::string left = net.read(net.b);
    EXPECT_TRUE(std::string("0123456789").starts_with(left));
    arrived.insert(left.size());
  }
  EXPECT_GE(arrived.size(), 3u);
  EXPECT_FALSE(arrived.contains(10)) << "the last was always on its way";
}

TEST(SimNetwork, S42_AResetThatOnlyOneSideHearsLeavesTheOtherHalfOpen) {
  Net net;
  net.connect();
  net.network.reset(net.a, false);
  EXPECT_TRUE(net.a->reset);
  net.send(net.b, "into the void");
  net.run_for(60 * kSecond);
  EXPECT_FALSE(net.b->reset);
  EXPECT_FALSE(net.b->readable());
  net.network.close(net.a);
  net.run_for(60 * kSecond);
  EXPECT_FALSE(net.b->reset) << "a connection that was reset says no more";
  net.send(net.b, "anybody?");
  net.run();
  EXPECT_TRUE(net.b->reset) << "the kernel there knows of none";
}

// --- machines ----------------------------------------------------------------------------------

TEST(SimNetwork, S42_APowerFailureTellsNobodyAndTheNextBootDoes) {
  Net net;
  net.connect();
  net.send(net.b, "on the way");
  net.send(net.a, "on the way");
  net.network.power_off(1);
  EXPECT_FALSE(net.network.has_power(1));
  net.run_for(60 * kSecond);
  EXPECT_FALSE(net.a->readable()) << "half-open: no FIN, no RST, and what was sent is lost";
  while (const std::size_t room = net.network.room(*net.a)) {
    net.send(net.a, std::string(std::min<std::size_t>(room, 10'000), 'x'));
    net.run_for(kMs);
  }
  EXPECT_FALSE(net.a->reset);
  int told = 0;
  net.a->on_writable = [&] { ++told; };
  net.network.power_on(1);
  net.run();
  EXPECT_TRUE(net.a->reset) << "the new kernel knows nothing of it";
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(net.network.sockets().empty());
}

TEST(SimNetwork, APowerFailureFreesThePortsAndForgetsWhoWaits) {
  Net net;
  ASSERT_TRUE(net.network.listen(1, kPort));
  EXPECT_FALSE(net.network.listen(1, kPort)) << "taken";
  EXPECT_TRUE(net.network.listen(2, kPort)) << "of another machine";
  net.network.power_off(1);
  net.network.power_on(1);
  Net::Connected connected;
  net.connect(connected);
  net.run();
  EXPECT_EQ(connected.error, ECONNREFUSED);
  EXPECT_TRUE(net.network.listen(1, kPort));
}

TEST(SimNetwork, AConnectionToAMachineWithoutPowerTimesOutOrWaitsForIt) {
  Net net;
  ASSERT_TRUE(net.network.listen(1, kPort));
  net.network.power_off(1);
  Net::Connected connected;
  net.connect(connected);
  net.run();
  EXPECT_EQ(connected.calls, 1);
  EXPECT_EQ(connected.error, ETIMEDOUT);
  EXPECT_FALSE(connected.socket);
  EXPECT_GT(net.world.now(), kSecond);

  Net::Connected second;
  net.connect(second);
  net.run_for(1500 * kMs);
  EXPECT_EQ(second.calls, 0);
  net.network.power_on(1);
  ASSERT_TRUE(net.network.listen(1, kPort));
  net.run();
  EXPECT_TRUE(second.socket) << "the SYN is sent again";
}

TEST(SimNetwork, ACutInEitherDirectionKeepsAConnectionFromBeingMade) {
  for (const bool there : {true, false}) {
    Net net;
    ASSERT_TRUE(net.network.listen(1, kPort));
    net.network.cut(there ? 0 : 1, there ? 1 : 0);
    Net::Connected connected;
    net.connect(connected);
    net.run();
    EXPECT_EQ(connected.error, ETIMEDOUT);
    EXPECT_FALSE(net.network.take_connection(1, kPort));
  }
}

TEST(SimNetwork, WhereNobodyListensTheConnectionIsRefused) {
  Net net;
  Net::Connected connected;
  net.connect(connected);
  net.run();
  EXPECT_EQ(connected.calls, 1);
  EXPECT_EQ(connected.error, ECONNREFUSED);
  EXPECT_LT(net.world.now(), kMs);
}

TEST(SimNetwork, WhoStopsListeningResetsWhatNobodyTook) {
  Net net;
  ASSERT_TRUE(net.network.listen(1, kPort));
  Net::Connected connected;
  net.connect(connected);
  net.run();
  ASSERT_TRUE(connected.socket);
  net.network.stop_listening(1, kPort);
  net.run();
  EXPECT_TRUE(connected.socket->reset);
  Net::Connected second;
  net.connect(second);
  net.run();
  EXPECT_EQ(second.error, ECONNREFUSED);
}

TEST(SimNetwork, WhoIsGoneBeforeItsConnectionIsThereClosesIt) {
  Net net;
  ASSERT_TRUE(net.network.listen(1, kPort));
  bool alive = true;
  net.network.connect(0, 1, kPort,
                      {.alive = [&] { return alive; },
                       .done = [](SocketRef, int) { FAIL() << "nobody is there to be told"; }});
  SocketRef accepted;
  net.network.wait_for_connection(1, kPort, [&] {
    alive = false;
    accepted = net.network.take_connection(1, kPort);
  });
  net.run();
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(accepted->fin_received);
}

TEST(SimNetwork, SocketsAreThoseOfConnectionsThatLive) {
  Net net;
  net.connect();
  EXPECT_EQ(net.network.sockets(), (std::vector<SocketRef>{net.a, net.b}));
  net.network.close(net.b);
  EXPECT_TRUE(net.network.sockets().empty());
}

TEST(SimNetwork, TheSameSeedHasTheSameDelays) {
  const auto run = [](std::uint64_t seed) {
    Net net(seed);
    net.connect();
    for (int i = 0; i < 20; ++i) net.send(i % 2 == 0 ? net.a : net.b, "x");
    net.run();
    return net.world.hash();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace sluice::sim
