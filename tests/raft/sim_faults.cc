// What goes wrong in the simulated cluster, and its end.
#include <algorithm>

#include "tests/raft/sim_cluster.h"

namespace sluice::raft::sim {

void Cluster::draw_faults() {
  const auto up_to = [&](std::uint32_t max) {
    return static_cast<std::uint32_t>(random_.below(std::uint64_t{max} + 1));
  };
  faults_.tcp = chance(50);
  faults_.loss_percent = up_to(10);
  if (chance(70)) faults_.crash_permille = up_to(150);
  if (chance(70)) faults_.partition_permille = up_to(150);
  if (chance(70)) faults_.link_reset_permille = up_to(150);
  faults_.restart_percent = 5 + up_to(50);
  faults_.reconnect_percent = 5 + up_to(90);
  faults_.deliver_percent = 20 + up_to(80);
  faults_.complete_percent = 20 + up_to(80);
  if (chance(30)) faults_.stall_permille = up_to(30);
  faults_.propose_percent = 20 + up_to(80);
  if (chance(30)) faults_.trim_permille = up_to(50);
  if (chance(50)) faults_.noop_percent = 5 + up_to(50);
  faults_.election_ticks_min = 3 + up_to(5);
  faults_.heartbeat_ticks = faults_.election_ticks_min > 4 ? 2 : 1;
}

void Cluster::heal() {
  const Faults before = faults_;
  faults_ = Faults{};
  faults_.tcp = before.tcp;
  faults_.election_ticks_min = before.election_ticks_min;
  faults_.heartbeat_ticks = before.heartbeat_ticks;
  faults_.deliver_percent = faults_.complete_percent = 100;
  faults_.propose_percent = 0;
  for (Link& each : links_) each.blocked = false;
  for (std::size_t node = 0; node < size_; ++node) {
    nodes_[node].stalled_rounds = 0;
    if (!nodes_[node].raft) start(node);
  }
  // Links that broke come back. Links that lost messages silently stay as they are: the protocol
  // has to find out by itself.
  for (std::size_t a = 0; a < size_; ++a) {
    for (std::size_t b = a + 1; b < size_; ++b) {
      if (!connected_[a * size_ + b]) set_link(a, b, true);
    }
  }
}

void Cluster::crash(std::size_t node) {
  Node& self = nodes_[node];
  ++coverage_.crashes;
  self.raft.reset();
  self.log.clear();
  self.disk.crash(static_cast<std::size_t>(random_.below(self.disk.pending() + 1)));
  for (std::size_t other = 0; other < size_; ++other) {
    if (other != node) set_link(node, other, false);
  }
}

/// Trouble seeks the leader: most of what can go wrong goes wrong when it changes.
std::size_t Cluster::victim() {
  for (std::size_t node = 0; node < size_ && chance(70); ++node) {
    if (nodes_[node].raft && nodes_[node].raft->role() == Role::kLeader) return node;
  }
  return any_node();
}

/// Whole, partial or one-way: any set of directions goes silent, or all of them are opened again.
void Cluster::partition() {
  if (chance(40)) {
    for (Link& each : links_) each.blocked = false;
  } else if (chance(50)) {
    link(any_node(), any_node()).blocked = true;
  } else {
    const std::size_t cut = victim();
    for (std::size_t other = 0; other < size_; ++other) {
      if (other == cut || chance(20)) continue;
      link(cut, other).blocked = link(other, cut).blocked = true;
    }
  }
}

void Cluster::set_link(std::size_t a, std::size_t b, bool up) {
  if (up && (!nodes_[a].raft || !nodes_[b].raft)) return;
  connected_[a * size_ + b] = connected_[b * size_ + a] = up;
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    // On a link that is not TCP a message may outlive the connection it was sent on (S9).
    if (!up && faults_.tcp) link(from, to).queue.clear();
    if (!nodes_[from].raft) continue;
    if (up) {
      nodes_[from].raft->on_link_up(id(to));
    } else {
      nodes_[from].raft->on_link_down(id(to));
    }
    settle(from);
  }
}

/// Forgets what every disk holds and every node knows as committed: nobody will need it.
void Cluster::trim() {
  Index safe{~std::uint64_t{0}};
  for (const Node& node : nodes_) {
    if (!node.raft) return;
    safe = std::min({safe, node.raft->commit_index(), node.disk.last_index()});
    safe = std::min(safe, node.raft->durable_index());
  }
  for (std::size_t node = 0; node < size_; ++node) {
    Node& self = nodes_[node];
    for (const Batch& batch : std::vector<Batch>(self.log)) {
      if (batch.info.last_index() > safe) break;
      ++coverage_.trims;
      self.log.erase(self.log.begin());
      self.raft->trim_to(batch.info.last_index().next());
      self.disk.trim_to(batch.info.last_index().next(), batch.info.term);
    }
    settle(node);
  }
}

}  // namespace sluice::raft::sim
