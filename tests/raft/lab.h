// A few Raft nodes side by side for scenarios with names: every message arrives at once unless its
// way is cut, every write is durable at once unless its disk is stalled. No chance anywhere.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/raft/invariants.h"
#include "tests/raft/test_node.h"

namespace sluice::raft {

class Lab {
 public:
  explicit Lab(std::uint32_t voters, std::uint64_t seed = 0)
      : voters_(voters), starts_(100 * seed), nodes_(voters + 1), invariants_(voters + 1) {
    for (std::uint32_t id = 1; id <= voters_; ++id) start(id, {}, LogView());
  }

  /// (Re)starts a node with what its disk holds.
  void start(std::uint32_t id, HardState state, LogView log) {
    Options options = options_for(voters_, id);
    options.random_seed = ++starts_;
    nodes_[id] = std::make_unique<Raft>(options, state, std::move(log));
    invariants_[id] = Invariants{};
    for (std::uint32_t other = 1; other <= voters_; ++other) {
      if (other == id || !nodes_[other]) continue;
      for (const auto& [a, b] : {std::pair(id, other), std::pair(other, id)}) {
        nodes_[a]->on_link_down(NodeId(b));
        nodes_[a]->on_link_up(NodeId(b));
      }
    }
  }
  void stop(std::uint32_t id) { nodes_[id].reset(); }

  void cut_one_way(std::uint32_t from, std::uint32_t to) { cut_.insert({from, to}); }
  void cut(std::uint32_t a, std::uint32_t b) {
    cut_one_way(a, b);
    cut_one_way(b, a);
  }
  void isolate(std::uint32_t id) {
    for (std::uint32_t other = 1; other <= voters_; ++other) cut(id, other);
  }
  void mend() { cut_.clear(); }
  void stall(std::uint32_t id) { stalled_.insert(id); }
  void unstall(std::uint32_t id) { stalled_.erase(id); }
  void pause(std::uint32_t id) { paused_.insert(id); }
  void resume(std::uint32_t id) { paused_.erase(id); }

  [[nodiscard]] Raft& at(std::uint32_t id) { return *nodes_[id]; }

  /// One tick for everybody, and everything that follows from it. Returns the number of messages.
  std::size_t tick() {
    for (std::uint32_t id = 1; id <= voters_; ++id) {
      if (nodes_[id] && !paused_.contains(id)) nodes_[id]->tick();
    }
    return settle();
  }
  void run(std::uint32_t ticks) {
    for (; ticks > 0; --ticks) tick();
  }
  /// Ticks until `done`; false if that takes longer than `ticks_max`.
  bool run_until(const std::function<bool()>& done, std::uint32_t ticks_max = 500) {
    for (; ticks_max > 0 && !done(); --ticks_max) tick();
    return done();
  }

  /// The leader of the highest term among those that lead, 0 if nobody does.
  [[nodiscard]] std::uint32_t leader() const {
    std::uint32_t best = 0;
    for (std::uint32_t id = 1; id <= voters_; ++id) {
      if (!nodes_[id] || nodes_[id]->role() != Role::kLeader) continue;
      if (best == 0 || nodes_[id]->term() > nodes_[best]->term()) best = id;
    }
    return best;
  }
  std::uint32_t elect() {
    EXPECT_TRUE(run_until([&] { return leader() != 0; }));
    return leader();
  }
  /// Somebody that does not lead.
  [[nodiscard]] std::uint32_t follower(std::uint32_t which = 0) const {
    for (std::uint32_t id = 1; id <= voters_; ++id) {
      if (id != leader() && which-- == 0) return id;
    }
    return 0;
  }

  /// Proposes one entry at `id` and lets everything happen that follows.
  bool propose(std::uint32_t id) {
    const bool taken = at(id).propose(1, kBytes).has_value();
    settle();
    return taken;
  }

  /// Writes and messages until nothing moves. Returns the number of messages delivered.
  std::size_t settle() {
    std::size_t delivered = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (std::uint32_t id = 1; id <= voters_; ++id) {
        if (nodes_[id] && !paused_.contains(id)) moved = step_node(id) || moved;
      }
      delivered += deliver();
      if (delivered > 100'000) {
        ADD_FAILURE() << "they never stop talking";
        break;
      }
    }
    return delivered;
  }

 private:
  struct Message {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::function<void(Raft&)> deliver;
  };

  bool step_node(std::uint32_t id) {
    Raft& raft = *nodes_[id];
    const std::size_t before = queue_.size();
    if (raft.noop_due()) static_cast<void>(raft.propose_noop(kBytes));
    if (!stalled_.contains(id)) {
      hard_state_durable(raft);
      log_durable(raft);
    }
    Outbox outbox = take_outbox(raft);
    const NodeId from(id);
    for (const auto& [to, request] : outbox.vote_requests) {
      post(id, to, [from, request](Raft& receiver) { receiver.step(from, request); });
    }
    for (const auto& [to, reply] : outbox.vote_replies) {
      post(id, to, [from, reply](Raft& receiver) { receiver.step(from, reply); });
    }
    for (const auto& [to, reply] : outbox.append_replies) {
      post(id, to, [from, reply](Raft& receiver) { receiver.step(from, reply); });
    }
    for (std::uint32_t to = 1; to <= voters_; ++to) send_appends(raft, id, to);
    if (const char* broken = invariants_[id].check(raft)) ADD_FAILURE() << "node " << id << broken;
    return queue_.size() > before || outbox.hard_state_changed;
  }

  void send_appends(Raft& raft, std::uint32_t id, std::uint32_t to) {
    while (const auto plan = raft.plan_append(NodeId(to))) {
      std::vector<BatchInfo> batches;
      for (Index i = plan->next_index; i <= plan->last_index; i = i.next()) {
        batches.push_back({*raft.log().term_at(i), i, 1, kBytes});
      }
      raft.on_append_sent(NodeId(to), plan->last_index, batches.size() * kBytes);
      post(id, NodeId(to), [from = NodeId(id), request = plan->request, batches](Raft& receiver) {
        static_cast<void>(receiver.step(from, request, batches));
      });
    }
  }

  void post(std::uint32_t from, NodeId to, std::function<void(Raft&)> deliver) {
    if (cut_.contains({from, to.value()})) return;
    queue_.push_back({from, to.value(), std::move(deliver)});
  }

  /// A paused node keeps its mail until it runs again.
  std::size_t deliver() {
    std::size_t delivered = 0;
    std::deque<Message> kept;
    while (!queue_.empty()) {
      Message message = std::move(queue_.front());
      queue_.pop_front();
      if (paused_.contains(message.to)) {
        kept.push_back(std::move(message));
      } else if (nodes_[message.to]) {
        message.deliver(*nodes_[message.to]);
        ++delivered;
      }
    }
    queue_ = std::move(kept);
    return delivered;
  }

  std::uint32_t voters_;
  std::uint64_t starts_;
  std::vector<std::unique_ptr<Raft>> nodes_;
  std::vector<Invariants> invariants_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> cut_;
  std::set<std::uint32_t> stalled_;
  std::set<std::uint32_t> paused_;
  std::deque<Message> queue_;
};

}  // namespace sluice::raft
