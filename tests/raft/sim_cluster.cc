#include "tests/raft/sim_cluster.h"

#include <algorithm>

namespace sluice::raft::sim {

namespace {

constexpr std::uint32_t kBatchBytes = 100;

std::uint64_t chain_of(std::uint64_t previous, const BatchInfo& info, std::uint64_t value) {
  Random mixed(previous ^ (info.term.value() << 40) ^ (info.first_index.value() << 20) ^ value);
  return mixed.next();
}

std::uint64_t last_chain(const std::vector<Batch>& log) {
  return log.empty() ? 0 : log.back().chain;
}

}  // namespace

void Coverage::add(const Coverage& other) {
  elections += other.elections;
  commits += other.commits;
  truncations += other.truncations;
  deferred_truncations += other.deferred_truncations;
  rejections += other.rejections;
  crashes += other.crashes;
  trims += other.trims;
  step_downs += other.step_downs;
}

Cluster::Cluster(std::size_t size, std::uint64_t seed)
    : size_(size),
      random_(seed * 0x2545F4914F6CDD1Du + size),
      nodes_(size),
      links_(size * size),
      connected_(size * size, false) {
  draw_faults();
  for (std::size_t node = 0; node < size_; ++node) start(node);
  for (std::size_t a = 0; a < size_; ++a) {
    for (std::size_t b = a + 1; b < size_; ++b) set_link(a, b, true);
  }
}

bool Cluster::run(std::uint32_t rounds) {
  for (std::uint32_t i = 0; i < rounds && failure_.empty(); ++i) round();
  if (!failure_.empty()) return false;
  heal();
  // A quarter of the time would do; the rest is for unlucky draws of time-outs in a cluster of 7.
  if (!live(800)) fail(0, "no progress after everything healed");
  for (std::size_t node = 0; node < size_; ++node) check_log(node);
  return failure_.empty();
}

void Cluster::round() {
  ++now_;
  if (rarely(faults_.crash_permille)) {
    const std::size_t node = victim();
    if (nodes_[node].raft) crash(node);
  }
  for (std::size_t node = 0; node < size_; ++node) {
    if (!nodes_[node].raft && chance(faults_.restart_percent)) start(node);
  }
  if (rarely(faults_.partition_permille)) partition();
  if (rarely(faults_.link_reset_permille) && size_ > 1) {
    const std::size_t a = any_node();
    const std::size_t b = any_node();
    if (a != b) set_link(a, b, false);
  }
  for (std::size_t a = 0; a < size_; ++a) {
    for (std::size_t b = a + 1; b < size_; ++b) {
      if (!connected_[a * size_ + b] && chance(faults_.reconnect_percent)) set_link(a, b, true);
    }
  }
  if (rarely(faults_.stall_permille))
    nodes_[victim()].stalled_rounds = 5 * faults_.election_ticks_min;
  if (rarely(faults_.trim_permille)) trim();

  for (std::size_t node = 0; node < size_; ++node) {
    if (!nodes_[node].raft) continue;
    if (chance(90)) {
      nodes_[node].raft->tick();
      settle(node);
    }
    if (chance(faults_.propose_percent)) propose(node);
    if (chance(faults_.complete_percent)) complete_writes(node);
  }
  const std::size_t deliveries = 2 * links_.size();
  for (std::size_t i = 0; i < deliveries; ++i) {
    if (chance(faults_.deliver_percent)) deliver(any_node(), any_node());
  }
}

/// Everybody commits a batch that is proposed now.
bool Cluster::live(std::uint32_t rounds_max) {
  std::optional<Batch> target;
  for (std::uint32_t i = 0; i < rounds_max && failure_.empty(); ++i) {
    round();
    bool reached = target.has_value();
    for (std::size_t node = 0; node < size_; ++node) {
      Node& self = nodes_[node];
      if (target && committed_.contains(target->info.first_index) &&
          committed_.at(target->info.first_index).chain == target->chain) {
        reached = reached && self.raft->commit_index() >= target->info.last_index();
        continue;
      }
      reached = false;
      if (self.raft->role() != Role::kLeader || self.raft->noop_due()) continue;
      if (target && self.log.back().info.term == target->info.term) continue;
      propose(node);
      target = self.log.back();
    }
    if (reached) return true;
  }
  return false;
}

void Cluster::start(std::size_t node) {
  Node& self = nodes_[node];
  Options options;
  options.self = id(node);
  for (std::size_t i = 0; i < size_; ++i) options.voters.push_back(id(i));
  options.election_timeout_ticks_min = faults_.election_ticks_min;
  options.heartbeat_ticks = faults_.heartbeat_ticks;
  options.inflight_requests_max = 4;
  options.inflight_bytes_max = 6 * kBatchBytes;
  options.uncommitted_bytes_max = 20 * kBatchBytes;
  options.random_seed = random_.next();

  LogView view(self.disk.prev_index(), self.disk.prev_term());
  for (const Batch& batch : self.disk.batches()) {
    view.append(batch.info.term, batch.info.entry_count);
  }
  self.log = self.disk.batches();
  self.raft = std::make_unique<Raft>(options, self.disk.hard_state(), view);
  self.invariants = Invariants{};
  self.checked_commit = self.disk.prev_index();
  self.role = Role::kFollower;
  settle(node);
}

void Cluster::deliver(std::size_t from, std::size_t to) {
  std::deque<Message>& queue = link(from, to).queue;
  if (queue.empty()) return;
  std::size_t at = 0;
  if (!faults_.tcp && chance(30)) at = static_cast<std::size_t>(random_.below(queue.size()));
  const Message message = queue[at];
  const bool again = !faults_.tcp && chance(10);
  if (!again) queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(at));
  const bool lost = !faults_.tcp && chance(faults_.loss_percent);
  if (!lost && nodes_[to].raft) receive(from, to, message);
}

void Cluster::receive(std::size_t from, std::size_t to, const Message& message) {
  Raft& raft = *nodes_[to].raft;
  switch (message.kind) {
    case Kind::kVoteRequest:
      raft.step(id(from), message.vote_request);
      break;
    case Kind::kVoteReply:
      raft.step(id(from), message.vote_reply);
      break;
    case Kind::kAppendReply:
      raft.step(id(from), message.append_reply);
      break;
    case Kind::kAppendRequest:
      receive_append(from, to, message);
      break;
  }
  settle(to);
}

void Cluster::receive_append(std::size_t from, std::size_t to, const Message& message) {
  Node& self = nodes_[to];
  std::vector<BatchInfo> infos;
  for (const Batch& batch : message.batches) infos.push_back(batch.info);
  const Index last_before = self.raft->log().last_index();
  const AppendDecision decision = self.raft->step(id(from), message.append_request, infos);
  // The hard state and the entries go to the disk in either order.
  if (chance(50)) drain(to);
  if (!decision.accepted) {
    const bool silent = self.raft->outbox().append_replies.empty();
    if (silent && !infos.empty() && infos.front().first_index <= last_before) {
      ++coverage_.deferred_truncations;
    }
    return;
  }
  if (decision.truncate_from) {
    ++coverage_.truncations;
    while (!self.log.empty() && self.log.back().info.last_index() >= *decision.truncate_from) {
      self.log.pop_back();
    }
  }
  for (std::size_t i = decision.first_new; i < message.batches.size(); ++i) {
    append(to, message.batches[i]);
  }
  if (decision.truncate_from) check_log(to);
}

void Cluster::complete_writes(std::size_t node) {
  Node& self = nodes_[node];
  if (self.stalled_rounds > 0) {
    --self.stalled_rounds;
    return;
  }
  if (self.disk.pending() == 0) return;
  const auto completed =
      self.disk.complete(1 + static_cast<std::size_t>(random_.below(self.disk.pending())));
  const bool state_first = chance(50);
  if (completed.hard_state && state_first) self.raft->on_hard_state_durable(*completed.hard_state);
  if (!completed.batches.empty()) {
    // One report for the group commit, or one for each batch.
    const std::size_t skip = chance(50) ? completed.batches.size() - 1 : 0;
    for (std::size_t i = skip; i < completed.batches.size(); ++i) {
      self.raft->on_durable(completed.batches[i].last_index(), completed.batches[i].term);
    }
  }
  if (completed.hard_state && !state_first) self.raft->on_hard_state_durable(*completed.hard_state);
  settle(node);
}

void Cluster::propose(std::size_t node) {
  const auto count = static_cast<std::uint32_t>(1 + random_.below(3));
  const Result<Proposal> proposal = nodes_[node].raft->propose(count, kBatchBytes);
  if (!proposal) return;
  append(node, make_batch(node, *proposal, count));
  settle(node);
}

void Cluster::settle(std::size_t node) {
  drain(node);
  send_appends(node);
  check(node);
}

void Cluster::drain(std::size_t node) {
  Node& self = nodes_[node];
  Raft& raft = *self.raft;
  Outbox& outbox = raft.outbox();
  if (outbox.hard_state_changed) self.disk.write(raft.hard_state());
  for (const auto& [to, request] : outbox.vote_requests) {
    send(node, index_of(to), {.kind = Kind::kVoteRequest, .vote_request = request});
  }
  for (const auto& [to, reply] : outbox.vote_replies) {
    send(node, index_of(to), {.kind = Kind::kVoteReply, .vote_reply = reply});
  }
  for (const auto& [to, reply] : outbox.append_replies) {
    if (reply.rejected) ++coverage_.rejections;
    send(node, index_of(to), {.kind = Kind::kAppendReply, .append_reply = reply});
  }
  outbox.clear();
  if (raft.noop_due() && chance(faults_.noop_percent)) {
    append(node, make_batch(node, raft.propose_noop(kBatchBytes), 1));
  }
}

void Cluster::send_appends(std::size_t node) {
  Node& self = nodes_[node];
  for (std::size_t to = 0; to < size_; ++to) {
    // A link may be busy: what is planned next time then differs.
    while (to != node && chance(80)) {
      const std::optional<AppendPlan> plan = self.raft->plan_append(id(to));
      if (!plan) break;
      Message message{.kind = Kind::kAppendRequest, .append_request = plan->request};
      std::uint64_t size_bytes = 0;
      if (plan->last_index >= plan->next_index) {
        auto batch = std::find_if(self.log.begin(), self.log.end(), [&](const Batch& each) {
          return each.info.first_index == plan->next_index;
        });
        if (batch == self.log.end()) return fail(node, "a plan begins within a batch");
        for (; batch != self.log.end(); ++batch) {
          const bool first = message.batches.empty();
          if (!first && (size_bytes + kBatchBytes > plan->bytes_max || chance(30))) break;
          message.batches.push_back(*batch);
          size_bytes += kBatchBytes;
        }
      }
      const Index last_sent = message.batches.empty() ? plan->request.prev_index
                                                      : message.batches.back().info.last_index();
      send(node, to, std::move(message));
      self.raft->on_append_sent(id(to), last_sent, size_bytes);
    }
  }
}

void Cluster::send(std::size_t from, std::size_t to, Message message) {
  check_sent(from, to, message);
  if (!connected_[from * size_ + to] || link(from, to).blocked) return;
  link(from, to).queue.push_back(std::move(message));
}

void Cluster::append(std::size_t node, const Batch& batch) {
  Node& self = nodes_[node];
  self.log.push_back(batch);
  self.disk.write(batch);
}

Batch Cluster::make_batch(std::size_t node, const Proposal& proposal, std::uint32_t count) {
  Batch batch;
  batch.info = {.term = proposal.term,
                .first_index = proposal.first_index,
                .entry_count = count,
                .size_bytes = kBatchBytes};
  batch.value = next_value_++;
  batch.chain = chain_of(last_chain(nodes_[node].log), batch.info, batch.value);
  return batch;
}

}  // namespace sluice::raft::sim
