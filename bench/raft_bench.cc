// What the decisions cost: one commit round of three nodes, without bytes, disks or sockets.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/raft/raft.h"
#include "wire/check.h"

namespace sluice::bench {
namespace {

using raft::Raft;

constexpr std::uint64_t kBatchBytes = 4096;

const std::vector<NodeId> kVoters = {NodeId(1), NodeId(2), NodeId(3)};

raft::Options options_of(NodeId self) {
  raft::Options options;
  options.self = self;
  options.voters = kVoters;
  options.random_seed = self.value();
  return options;
}

/// Three nodes whose messages arrive at once and whose disks take no time. Node 1 leads.
class Trio {
 public:
  Trio() {
    for (const NodeId self : kVoters) {
      nodes_.push_back(
          std::make_unique<Raft>(options_of(self), raft::HardState{}, raft::LogView{}));
    }
    for (const auto& each : nodes_) {
      for (const NodeId peer : kVoters) {
        if (peer != id_of(*each)) each->on_link_up(peer);
      }
    }
    elect_first();
  }

  /// One batch from its proposal to its commit on the leader.
  void commit(std::uint32_t entries) {
    Raft& leader = node(1);
    const auto proposal = leader.propose(entries, kBatchBytes);
    SLUICE_CHECK(proposal.has_value());
    replicate({proposal->term, proposal->first_index, entries, kBatchBytes});
  }

  [[nodiscard]] Raft& leader() { return node(1); }
  void trim() {
    for (const auto& each : nodes_) each->trim_to(each->commit_index());
  }

 private:
  Raft& node(std::uint32_t id) { return *nodes_[id - 1]; }

  void elect_first() {
    for (int i = 0; i < 1000 && node(1).role() != raft::Role::kLeader; ++i) {
      node(1).tick();
      exchange();
    }
    SLUICE_CHECK(node(1).noop_due());
    const raft::Proposal noop = node(1).propose_noop(kBatchBytes);
    replicate({noop.term, noop.first_index, 1, kBatchBytes});
  }

  void replicate(const raft::BatchInfo& batch) {
    Raft& leader = node(1);
    leader.on_durable(batch.last_index(), batch.term);
    for (std::uint32_t id = 2; id <= 3; ++id) {
      while (const auto plan = leader.plan_append(NodeId(id))) {
        const bool empty = plan->last_index < plan->next_index;
        const std::span<const raft::BatchInfo> batches(&batch, empty ? 0 : 1);
        leader.on_append_sent(NodeId(id), empty ? plan->request.prev_index : batch.last_index(),
                              empty ? 0 : batch.size_bytes);
        benchmark::DoNotOptimize(node(id).step(NodeId(1), plan->request, batches));
        if (!empty) node(id).on_durable(batch.last_index(), batch.term);
        exchange();
      }
    }
    SLUICE_CHECK(leader.commit_index() == batch.last_index());
  }

  /// Delivers what is in the outboxes until nothing is.
  void exchange() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (const auto& from : nodes_) moved = deliver(*from) || moved;
    }
  }

  bool deliver(Raft& from) {
    std::swap(box_, from.outbox());
    if (box_.hard_state_changed) from.on_hard_state_durable(from.hard_state());
    const NodeId self = id_of(from);
    for (const auto& item : box_.vote_requests) node(item.to.value()).step(self, item.request);
    for (const auto& item : box_.vote_replies) node(item.to.value()).step(self, item.reply);
    for (const auto& item : box_.append_replies) node(item.to.value()).step(self, item.reply);
    const bool moved = box_.hard_state_changed || !box_.vote_requests.empty() ||
                       !box_.vote_replies.empty() || !box_.append_replies.empty();
    box_.clear();
    return moved;
  }

  [[nodiscard]] NodeId id_of(const Raft& node) const {
    std::uint32_t id = 1;
    while (nodes_[id - 1].get() != &node) ++id;
    return NodeId(id);
  }

  std::vector<std::unique_ptr<Raft>> nodes_;
  raft::Outbox box_;
};

void RaftCommitRound(benchmark::State& state) {
  Trio trio;
  std::uint64_t rounds = 0;
  for (auto _ : state) {
    trio.commit(static_cast<std::uint32_t>(state.range(0)));
    if (++rounds % 4096 == 0) trio.trim();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(RaftCommitRound)->ArgName("entries")->Arg(1)->Arg(256);

// A follower that takes a batch of its leader, and answers when it is durable.
void RaftStepAppendRequest(benchmark::State& state) {
  constexpr NodeId kLeader(1);
  Raft follower(options_of(NodeId(2)), raft::HardState{}, raft::LogView{});
  follower.on_link_up(kLeader);
  const auto entries = static_cast<std::uint32_t>(state.range(0));
  raft::AppendRequest request{.term = Term(1)};
  raft::BatchInfo batch{Term(1), Index(1), entries, kBatchBytes};
  std::uint64_t rounds = 0;
  for (auto _ : state) {
    SLUICE_CHECK(follower.step(kLeader, request, {&batch, 1}).accepted);
    if (follower.outbox().hard_state_changed) {
      follower.on_hard_state_durable(follower.hard_state());
    }
    follower.on_durable(batch.last_index(), batch.term);
    SLUICE_CHECK(!follower.outbox().append_replies.empty());
    follower.outbox().clear();
    request.prev_index = request.commit_index = batch.last_index();
    request.prev_term = batch.term;
    batch.first_index = batch.last_index().next();
    if (++rounds % 4096 == 0) follower.trim_to(follower.commit_index());
  }
  state.SetItemsProcessed(state.iterations() * entries);
}
BENCHMARK(RaftStepAppendRequest)->ArgName("entries")->Arg(1)->Arg(256);

// A leader that hears an acknowledgement which commits nothing new: the third one of a batch.
void RaftStepAppendReply(benchmark::State& state) {
  Trio trio;
  trio.commit(1);
  const raft::AppendReply reply{.term = trio.leader().term(),
                                .match_index = trio.leader().commit_index()};
  for (auto _ : state) {
    trio.leader().step(NodeId(3), reply);
    trio.leader().outbox().clear();
  }
}
BENCHMARK(RaftStepAppendReply);

// What a leader asks before it sends: here, that there is nothing to send.
void RaftPlanAppend(benchmark::State& state) {
  Trio trio;
  trio.commit(1);
  for (auto _ : state) benchmark::DoNotOptimize(trio.leader().plan_append(NodeId(2)));
}
BENCHMARK(RaftPlanAppend);

void RaftTickOfAnIdleLeader(benchmark::State& state) {
  Trio trio;
  for (auto _ : state) {
    // A word from the followers now and then, as check-quorum wants it.
    trio.commit(1);
    for (int i = 0; i < 10; ++i) trio.leader().tick();
  }
  state.SetItemsProcessed(state.iterations() * 10);
}
BENCHMARK(RaftTickOfAnIdleLeader);

}  // namespace
}  // namespace sluice::bench
