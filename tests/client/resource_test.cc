// Bounds on memory, and no allocation per entry.
#include "tests/client/allocations.h"
#include "tests/client/fixture.h"

namespace sluice::client {
namespace {

/// Counts outcomes without keeping them.
class Counter final : public Events {
 public:
  std::size_t ok = 0;
  std::size_t others = 0;
  void on_append(std::uint64_t, const AppendOutcome& outcome) override {
    ++(outcome.status == Status::kOk ? ok : others);
  }
};

class ClientResources : public ClientTest {
 protected:
  void start_counting(Options options = {}) {
    options.nodes = {"a:1", "b:1", "c:1"};
    std::string what;
    client = std::move(*Client::make(options, io, counter, what));
    for (FakeNode* node : {&a, &b, &c}) {
      node->on_append = [node](const Received& batch) { node->ok(batch, 1); };
    }
  }

  /// One entry in each of `groups` groups, `rounds` times. Returns the allocations.
  std::size_t allocations_of(std::size_t rounds, std::uint32_t groups, std::uint32_t per_group,
                             bool produce) {
    const std::size_t before = allocation_count();
    const std::array<std::byte, 256> data{};
    for (std::size_t round = 0; round < rounds; ++round) {
      ++sequence_;
      for (std::uint32_t i = 0; i < per_group; ++i) {
        for (std::uint32_t group = 0; group < groups; ++group) {
          AppendOptions options{.group = GroupId(group)};
          if (produce) {
            options.producer = ProducerId(9);
            options.sequence = Sequence((sequence_ - 1) * per_group + i + 1);
          }
          client->append(0, options, data);
        }
      }
      client->flush();
      io.run_ms(5);
    }
    return allocation_count() - before;
  }

  Counter counter;
  std::uint64_t sequence_ = 0;
};

TEST_F(ClientResources, NoAllocationPerEntryOnceItIsWarm) {
  start_counting();
  (void)allocations_of(20, 1, 1000, false);
  EXPECT_EQ(allocations_of(20, 1, 1000, false), 0u);
  EXPECT_EQ(counter.ok, 40'000u);
}

// Under the address sanitizer: a lane that was forgotten is not found again.
TEST_F(ClientResources, LanesThatRestAreForgottenAndMadeAnew) {
  constexpr std::uint32_t kGroups = 5000;  // more than are kept whatever they do
  start_counting();
  (void)allocations_of(1, kGroups, 1, false);
  io.run_ms(50);
  ASSERT_EQ(counter.ok, kGroups);
  io.run_ms(12'000);  // they rest
  for (int i = 0; i < 3; ++i) {
    (void)allocations_of(1, 1, 1, false);  // one of them goes on
    io.run_ms(1100);                       // and the others are looked at
  }
  (void)allocations_of(1, kGroups, 1, false);
  io.run_ms(50);
  EXPECT_EQ(counter.ok, 2 * kGroups + 3);
}

TEST_F(ClientResources, NoAllocationPerEntryWithAProducer) {
  start_counting();
  (void)allocations_of(20, 1, 1000, true);
  EXPECT_EQ(allocations_of(20, 1, 1000, true), 0u);
  EXPECT_EQ(counter.ok, 40'000u);
}

TEST_F(ClientResources, NoAllocationPerEntryOneAtATime) {
  start_counting();
  (void)allocations_of(50, 1, 1, true);
  EXPECT_EQ(allocations_of(500, 1, 1, true), 0u);
}

TEST_F(ClientResources, NoAllocationPerEntryWithAThousandGroups) {
  start_counting();
  for (FakeNode* node : {&a, &b, &c}) node->groups = 1000;
  (void)allocations_of(20, 1000, 3, false);
  EXPECT_EQ(allocations_of(20, 1000, 3, false), 0u);
  EXPECT_EQ(counter.ok, 120'000u);
  EXPECT_EQ(counter.others, 0u);
}

TEST_F(ClientResources, AboveInflightBytesMaxAppendsAreRefused) {
  Options options;
  options.inflight_bytes_max = 1u << 20;
  start(options);
  std::size_t refused = 0;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    append(i, std::string(1000, 'x'));
    if (i % 10 == 0) flush();
  }
  io.run_ms(1);
  for (const auto& [tag, outcome] : events.appends) {
    EXPECT_EQ(events.outcome(tag), "refused overloaded");
    ++refused;
  }
  // What fits is mostly entries: unanswered, they gather in few batches, which count as well.
  EXPECT_GT(refused, 2050u);
  EXPECT_LT(refused, 2250u);
  // Room comes back with the answers.
  while (!a.appends.empty()) {
    a.ok(a.take(), 1);
    io.run_ms(1);
  }
  append(5000, std::string(1000, 'x'));
  flush();
  ASSERT_EQ(a.appends.size(), 1u);
  a.ok(a.take(), 1);
  io.run_ms(1);
  EXPECT_EQ(events.outcome(5000), "ok 1");
}

TEST_F(ClientResources, WhatASendStillReadsCountsEvenAfterItsTimeOut) {
  Options options;
  options.inflight_bytes_max = 100'000;
  start(options);
  append(0, "warm");
  flush();
  io.sends_stall = true;
  for (std::uint64_t i = 1; i <= 80; ++i) append(i, std::string(1000, 'x'), {.timeout_ms = 100});
  flush(200);
  EXPECT_EQ(events.outcome(80), "unknown timeout");
  for (std::uint64_t i = 101; i <= 180; ++i) append(i, std::string(1000, 'x'));
  flush(1);
  EXPECT_EQ(events.outcome(180), "refused overloaded");
  io.sends_stall = false;
  io.run_ms(1);
  append(200, std::string(1000, 'x'));
  flush();
  EXPECT_EQ(events.outcome(200), "none");
}

TEST_F(ClientResources, ABatchThatHoldsLittleCountsWithItsBuffer) {
  Options options;
  options.inflight_bytes_max = 1u << 20;
  start(options);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    append(i, "x", {.producer = ProducerId(i), .sequence = Sequence(1)});
  }
  flush();
  EXPECT_GT(events.appends.size(), 700u) << "5 KiB each";
}

TEST_F(ClientResources, EmptyEntriesCountAsWell) {
  Options options;
  options.inflight_bytes_max = 64u << 10;
  start(options);
  for (std::uint64_t i = 0; i < 10'000; ++i) append(i, "");
  flush();
  EXPECT_GT(events.appends.size(), 5000u);
}

TEST_F(ClientResources, ANodeIsNotFloodedWhileItDoesNotAnswer) {
  start();
  for (std::uint64_t i = 0; i < 400; ++i) {
    append(i, std::string(100'000, 'x'));
    flush();
  }
  std::size_t arrived = 0;
  for (const Received& batch : a.appends) arrived += batch.size_bytes;
  EXPECT_LT(arrived, 18u << 20);
  EXPECT_GT(arrived, 8u << 20);
}

}  // namespace
}  // namespace sluice::client
