#include "tests/client/model_cluster.h"

#include <algorithm>

namespace sluice::client {

ModelCluster::ModelCluster(FakeIo& io, std::vector<FakeNode*> nodes, std::uint32_t seed)
    : io_(io), nodes_(std::move(nodes)), random_(seed) {
  for (FakeNode* node : nodes_) {
    node->on_append = [this, node](const Received& batch) { on_append(*node, batch); };
  }
}

std::uint32_t ModelCluster::draw(std::uint32_t below) {
  return static_cast<std::uint32_t>(random_() % below);
}

void ModelCluster::on_append(FakeNode& node, const Received& batch) {
  Group& group = groups_[batch.group];
  if (nodes_[group.leader] != &node) {
    // The truth, nothing, or old news.
    const std::uint32_t hint = draw(3) == 0 ? draw(4) : nodes_[group.leader]->id.value();
    return node.refuse(batch, Errc::kNotLeader, calm_ ? nodes_[group.leader]->id.value() : hint);
  }
  if (!calm_ && draw(12) == 0) return node.refuse(batch, Errc::kOverloaded);
  if (batch.producer == kNoProducer) return accept(node, group, batch, 0);

  std::uint64_t next = 0;  // of the producer; 0: never heard of
  for (const Logged& entry : group.log) {
    if (entry.producer == batch.producer) next = entry.sequence.value() + 1;
  }
  const std::uint64_t first = batch.first_sequence.value();
  if (next != 0 && first > next) return node.refuse(batch, Errc::kSequenceGap, 0, next);
  const std::uint64_t known = next == 0 ? 0 : std::min<std::uint64_t>(next - first, batch.count());
  accept(node, group, batch, static_cast<std::uint32_t>(known));
}

void ModelCluster::accept(FakeNode& node, Group& group, const Received& batch,
                          std::uint32_t known) {
  for (std::uint32_t i = 0; i < batch.count(); ++i) {
    const Sequence sequence = batch.first_sequence + i;
    std::uint64_t index = group.log.size() + 1;
    if (i < known) {
      const auto at = std::ranges::find_if(group.log, [&](const Logged& entry) {
        return entry.producer == batch.producer && entry.sequence == sequence;
      });
      if (at == group.log.end()) {
        node.refuse_part(batch, i, 1, Errc::kSequenceTooOld);
        continue;
      }
      index = static_cast<std::uint64_t>(at - group.log.begin()) + 1;
    } else {
      group.log.push_back({batch.producer, sequence, batch.entries[i]});
    }
    group.waiters.push_back({&node, batch, i, index});
  }
  if (calm_) commit(group);
}

void ModelCluster::commit(Group& group) {
  const std::uint64_t uncommitted = group.log.size() - group.committed;
  if (uncommitted > 0) {
    group.committed += calm_ ? uncommitted : draw(static_cast<std::uint32_t>(uncommitted) + 1);
  }
  std::erase_if(group.waiters, [&](const Waiter& waiter) {
    if (waiter.index > group.committed) return false;
    waiter.node->ok_part(waiter.batch, waiter.offset, 1, waiter.index);
    return true;
  });
}

/// Another leader, which may or may not hold what was not committed.
void ModelCluster::depose(Group& group) {
  group.leader = draw(static_cast<std::uint32_t>(nodes_.size()));
  const std::uint64_t uncommitted = group.log.size() - group.committed;
  group.log.resize(group.committed + draw(static_cast<std::uint32_t>(uncommitted) + 1));
  std::erase_if(group.waiters, [&](const Waiter& waiter) {
    // Without a producer the old leader waits to see what becomes of it.
    const bool lost = waiter.index > group.log.size();
    if (!lost && waiter.batch.producer == kNoProducer) return false;
    waiter.node->refuse_part(waiter.batch, waiter.offset, 1, Errc::kLeadershipLost,
                             draw(2) == 0 ? 0 : nodes_[group.leader]->id.value());
    return true;
  });
}

void ModelCluster::act() {
  for (auto& [id, group] : groups_) {
    if (draw(3) == 0) commit(group);
    if (draw(60) == 0) depose(group);
  }
  if (draw(100) == 0) {
    FakeNode& node = *nodes_[draw(static_cast<std::uint32_t>(nodes_.size()))];
    node.hang_up();
    node.dial = draw(2) == 0 ? FakePeer::Dial::kAccepted : FakePeer::Dial::kRefused;
  }
  if (draw(30) == 0) {
    nodes_[draw(static_cast<std::uint32_t>(nodes_.size()))]->dial = FakePeer::Dial::kAccepted;
  }
  if (draw(300) == 0) {
    // A node stands still, for seconds perhaps, or goes on.
    io_.stalled = draw(2) == 0 ? nullptr : nodes_[draw(static_cast<std::uint32_t>(nodes_.size()))];
  }
  io_.sends_stall = draw(10) == 0;
  io_.send_bytes_max = draw(4) == 0 ? 50 : ~std::size_t{0};
}

void ModelCluster::calm_down() {
  calm_ = true;
  io_.stalled = nullptr;
  io_.sends_stall = false;
  io_.send_bytes_max = ~std::size_t{0};
  for (FakeNode* node : nodes_) node->dial = FakePeer::Dial::kAccepted;
  for (auto& [id, group] : groups_) commit(group);
}

}  // namespace sluice::client
