// A whole cluster around the pure core, in one thread and from one seed: nodes with a disk each and
// a network that loses, delays, repeats and reorders, with crashes, restarts and partitions.
//
// After every step it checks what Raft promises (Raft Figure 3): election safety, leader
// append-only, log matching, leader completeness, state machine safety; that whatever left a node
// was durable there; that a commit is held by a majority of disks; and raft::Invariants.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/raft/invariants.h"
#include "engine/raft/raft.h"
#include "engine/raft/random.h"
#include "tests/raft/sim_disk.h"

namespace sluice::raft::sim {

/// How hard a run is; drawn from the seed, so that runs differ in kind and not only in detail.
struct Faults {
  bool tcp = true;  // links deliver in order or break; else they lose, repeat and reorder
  std::uint32_t crash_permille = 0;
  std::uint32_t partition_permille = 0;
  std::uint32_t link_reset_permille = 0;
  std::uint32_t restart_percent = 100;    // per round and node that is down
  std::uint32_t reconnect_percent = 100;  // per round and link that is down
  std::uint32_t deliver_percent = 80;     // per link and round, how likely a message moves
  std::uint32_t complete_percent = 60;    // per disk and round, how likely a write completes
  std::uint32_t stall_permille = 0;       // a disk hangs for a while
  std::uint32_t propose_percent = 50;
  std::uint32_t trim_permille = 0;
  std::uint32_t loss_percent = 0;    // if not TCP
  std::uint32_t noop_percent = 100;  // how likely the no-op finds room in a segment, per step
  std::uint32_t election_ticks_min = 6;
  std::uint32_t heartbeat_ticks = 2;
};

/// What happened, over a run: a simulation that never gets there proves nothing.
struct Coverage {
  std::uint64_t elections = 0;
  std::uint64_t commits = 0;
  std::uint64_t truncations = 0;
  std::uint64_t deferred_truncations = 0;
  std::uint64_t rejections = 0;
  std::uint64_t crashes = 0;
  std::uint64_t trims = 0;
  std::uint64_t step_downs = 0;
  void add(const Coverage& other);
};

class Cluster {
 public:
  Cluster(std::size_t size, std::uint64_t seed);

  /// Faults for `rounds` rounds, then everything heals and the cluster must elect a leader and
  /// commit something new on all nodes. True if nothing was broken.
  bool run(std::uint32_t rounds);

  /// The first thing that went wrong; empty if nothing did.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const Coverage& coverage() const { return coverage_; }

 private:
  enum class Kind : std::uint8_t { kVoteRequest, kVoteReply, kAppendRequest, kAppendReply };
  struct Message {
    Kind kind{};
    VoteRequest vote_request{};
    VoteReply vote_reply{};
    AppendRequest append_request{};
    AppendReply append_reply{};
    std::vector<Batch> batches{};
  };
  struct Node {
    std::unique_ptr<Raft> raft;  // empty while it is down
    Invariants invariants;
    Disk disk;
    std::vector<Batch> log;  // in memory, as the shard would index it
    Index checked_commit;
    Role role = Role::kFollower;
    std::uint32_t stalled_rounds = 0;
  };
  struct Link {
    std::deque<Message> queue;
    bool blocked = false;  // swallows silently
  };
  struct Committed {
    Term term;
    std::uint64_t chain = 0;
    Index last_index;
  };

  // sim_faults.cc: what goes wrong
  void draw_faults();
  void heal();
  void crash(std::size_t node);
  void trim();
  void set_link(std::size_t a, std::size_t b, bool up);
  [[nodiscard]] std::size_t victim();
  void partition();

  // sim_cluster.cc: what moves
  void round();
  [[nodiscard]] bool live(std::uint32_t rounds_max);
  void start(std::size_t node);
  void deliver(std::size_t from, std::size_t to);
  void receive(std::size_t from, std::size_t to, const Message& message);
  void receive_append(std::size_t from, std::size_t to, const Message& message);
  void complete_writes(std::size_t node);
  void propose(std::size_t node);
  void settle(std::size_t node);
  void drain(std::size_t node);
  void send_appends(std::size_t node);
  void send(std::size_t from, std::size_t to, Message message);
  void append(std::size_t node, const Batch& batch);
  [[nodiscard]] Batch make_batch(std::size_t node, const Proposal& proposal, std::uint32_t count);

  // sim_checks.cc: what must hold
  void check(std::size_t node);
  void check_commits(std::size_t node);
  void check_new_leader(std::size_t node);
  void check_log(std::size_t node);
  void check_sent(std::size_t from, std::size_t to, const Message& message);
  [[nodiscard]] std::size_t disks_holding(Index last_index, std::uint64_t chain) const;
  void fail(std::size_t node, const std::string& what);

  [[nodiscard]] NodeId id(std::size_t node) const {
    return NodeId(static_cast<std::uint32_t>(node + 1));
  }
  [[nodiscard]] std::size_t index_of(NodeId node) const { return node.value() - 1; }
  [[nodiscard]] Link& link(std::size_t from, std::size_t to) { return links_[from * size_ + to]; }
  [[nodiscard]] bool chance(std::uint32_t percent) { return random_.below(100) < percent; }
  [[nodiscard]] bool rarely(std::uint32_t permille) { return random_.below(1000) < permille; }
  [[nodiscard]] std::size_t any_node() { return static_cast<std::size_t>(random_.below(size_)); }

  std::size_t size_;
  Random random_;
  Faults faults_;
  std::vector<Node> nodes_;
  std::vector<Link> links_;
  std::vector<bool> connected_;
  std::uint64_t next_value_ = 1;
  std::uint64_t now_ = 0;

  std::map<std::uint64_t, std::size_t> leader_of_term_;
  std::map<std::pair<std::uint64_t, std::size_t>, NodeId> vote_of_term_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> chain_at_;  // (index, term)
  std::map<Index, Committed> committed_;  // by first index of the batch
  Coverage coverage_;
  std::string failure_;
};

}  // namespace sluice::raft::sim
