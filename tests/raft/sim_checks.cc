// The promises of Raft, asked of the simulated cluster after each step.
#include "engine/raft/quorum.h"
#include "tests/raft/sim_cluster.h"

namespace sluice::raft::sim {

namespace {

bool holds(const std::vector<Batch>& batches, Index last_index, std::uint64_t chain) {
  for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) {
    if (batch->info.last_index() < last_index) return false;
    if (batch->info.last_index() == last_index) return batch->chain == chain;
  }
  return false;
}

}  // namespace

void Cluster::fail(std::size_t node, const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = "round " + std::to_string(now_) + ", node " + std::to_string(node + 1) + ": " + what;
}

void Cluster::check(std::size_t node) {
  Node& self = nodes_[node];
  const Raft& raft = *self.raft;
  if (const char* broken = self.invariants.check(raft)) fail(node, broken);

  const Index last_index =
      self.log.empty() ? raft.log().first_index().prev() : self.log.back().info.last_index();
  if (raft.log().last_index() != last_index) fail(node, "Raft's view of the log differs from it");

  if (raft.role() == Role::kLeader && self.role != Role::kLeader) check_new_leader(node);
  if (raft.role() != Role::kLeader && self.role == Role::kLeader) ++coverage_.step_downs;
  self.role = raft.role();
  check_commits(node);

  // No disk forgets what it reported here. Over links in order, nothing may look as if one had.
  for (std::size_t other = 0; other < size_ && faults_.tcp; ++other) {
    if (other != node && raft.role() == Role::kLeader && raft.progress(id(other))->regressed()) {
      fail(node, "takes a sound follower for one that lost its log");
    }
  }
}

/// Election Safety (§5.2) and Leader Completeness (§5.4).
void Cluster::check_new_leader(std::size_t node) {
  const Raft& raft = *nodes_[node].raft;
  ++coverage_.elections;
  const auto [known, first] = leader_of_term_.emplace(raft.term().value(), node);
  if (!first && known->second != node) fail(node, "a second leader in one term");
  check_log(node);
  for (const auto& [first_index, entry] : committed_) {
    if (entry.last_index < raft.log().first_index()) continue;
    if (!holds(nodes_[node].log, entry.last_index, entry.chain)) {
      fail(node, "a leader without the committed entry " + std::to_string(first_index.value()));
    }
  }
}

/// State Machine Safety (§5.4.3), and that a majority of disks holds what is committed first.
void Cluster::check_commits(std::size_t node) {
  Node& self = nodes_[node];
  const Index commit_index = self.raft->commit_index();
  if (commit_index == self.checked_commit) return;
  for (const Batch& batch : self.log) {
    if (batch.info.last_index() <= self.checked_commit) continue;
    if (batch.info.first_index > commit_index) break;
    if (batch.info.last_index() > commit_index) fail(node, "half a batch is committed");
    const Committed entry{batch.info.term, batch.chain, batch.info.last_index()};
    const auto [known, first] = committed_.emplace(batch.info.first_index, entry);
    if (!first) {
      if (known->second.chain != batch.chain) fail(node, "two entries committed at one index");
      continue;
    }
    ++coverage_.commits;
    if (self.raft->role() != Role::kLeader) fail(node, "a follower commits before any leader");
    if (disks_holding(entry.last_index, entry.chain) < quorum_size(size_)) {
      fail(node, "committed without a majority of disks");
    }
  }
  self.checked_commit = commit_index;
}

/// Log Matching (§5.3): an index and a term determine everything up to there. And the terms that
/// Raft keeps are those of the log.
void Cluster::check_log(std::size_t node) {
  const Node& self = nodes_[node];
  for (const Batch& batch : self.log) {
    if (self.raft->log().term_at(batch.info.last_index()) != batch.info.term) {
      fail(node, "Raft's view of the terms differs from the log");
    }
    const auto key = std::pair(batch.info.last_index().value(), batch.info.term.value());
    const auto [known, first] = chain_at_.emplace(key, batch.chain);
    if (!first && known->second != batch.chain) fail(node, "equal index and term, different logs");
  }
}

/// What leaves a node must be on its disk: the term it names, the vote it gives, the entries it
/// acknowledges. Refused votes and pre-votes promise nothing.
void Cluster::check_sent(std::size_t from, std::size_t to, const Message& message) {
  const Disk& disk = nodes_[from].disk;
  const HardState& durable = disk.hard_state();
  const auto vote_is_durable = [&](Term term, NodeId vote) {
    return durable.term > term || durable == HardState{term, vote};
  };
  switch (message.kind) {
    case Kind::kVoteRequest: {
      const VoteRequest& request = message.vote_request;
      if (request.pre_vote) return;
      if (!vote_is_durable(request.term, id(from))) fail(from, "campaigns before it is durable");
      return;
    }
    case Kind::kVoteReply: {
      const VoteReply& reply = message.vote_reply;
      if (!reply.granted || reply.pre_vote) return;
      if (!vote_is_durable(reply.term, id(to))) fail(from, "votes before it is durable");
      const auto key = std::pair(reply.term.value(), from);
      const auto [known, first] = vote_of_term_.emplace(key, id(to));
      if (!first && known->second != id(to)) fail(from, "votes twice in a term");
      return;
    }
    case Kind::kAppendRequest:
      if (durable.term < message.append_request.term) fail(from, "leads before it is durable");
      return;
    case Kind::kAppendReply: {
      const AppendReply& reply = message.append_reply;
      if (durable.term < reply.term) fail(from, "answers in a term that is not durable");
      if (reply.rejected || reply.match_index <= disk.prev_index()) return;
      for (const Batch& batch : nodes_[from].log) {
        if (batch.info.last_index() != reply.match_index) continue;
        if (!holds(disk.batches(), reply.match_index, batch.chain)) {
          fail(from, "acknowledges what is not durable");
        }
        return;
      }
      fail(from, "acknowledges half a batch");
      return;
    }
  }
}

std::size_t Cluster::disks_holding(Index last_index, std::uint64_t chain) const {
  std::size_t count = 0;
  for (const Node& node : nodes_) {
    if (holds(node.disk.batches(), last_index, chain)) ++count;
  }
  return count;
}

}  // namespace sluice::raft::sim
