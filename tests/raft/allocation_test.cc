// No allocation per message or per entry once a group is warm.
#include <cstdlib>
#include <new>

#include "tests/raft/test_node.h"

namespace {
std::uint64_t allocations = 0;
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace sluice::raft {
namespace {

/// One batch from proposal to commit, through a leader and its two followers.
void replicate_one(Raft& leader, Raft& second, Raft& third) {
  propose(leader);
  log_durable(leader);
  for (Raft* follower : {&second, &third}) {
    const std::uint32_t id = follower == &second ? 2 : 3;
    const auto plan = leader.plan_append(NodeId(id));
    ASSERT_TRUE(plan);
    const BatchInfo batch{leader.term(), plan->next_index, 1, kBytes};
    leader.on_append_sent(NodeId(id), plan->last_index, kBytes);
    static_cast<void>(follower->step(node(1), plan->request, std::span(&batch, 1)));
    log_durable(*follower);
    for (const auto& [to, reply] : follower->outbox().append_replies) {
      leader.step(NodeId(id), reply);
    }
    follower->outbox().clear();
  }
  leader.outbox().clear();
  leader.tick();
}

TEST(RaftAllocation, NoneOnTheWayFromProposalToCommitAfterWarmUp) {
  Raft leader = make_follower(3, 0);
  make_leader(leader, 3);
  Raft second(options_for(3, 2), {Term(1), node(1)}, LogView());
  Raft third(options_for(3, 3), {Term(1), node(1)}, LogView());
  // The first round carries the no-op by itself.
  log_durable(leader);
  for (Raft* follower : {&second, &third}) {
    const std::uint32_t id = follower == &second ? 2 : 3;
    send_all(leader, id);
    append(*follower, {.term = 1, .from = 1}, {1});
    log_durable(*follower);
    accept(leader, id, take_append_reply(*follower).value().match_index);
  }
  for (int i = 0; i < 100; ++i) replicate_one(leader, second, third);

  const std::uint64_t before = allocations;
  for (int i = 0; i < 10'000; ++i) replicate_one(leader, second, third);
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(leader.commit_index(), Index(10'101));
}

}  // namespace
}  // namespace sluice::raft
