// What must hold at every step of a cluster, whatever fails: looked at from inside each node between
// two steps of a shard, and at every message that a node says. The disk model, not the node, says
// what is durable.
//
// Raft's properties are those of Figure 3 of the Raft paper; "durable" is DESIGN's promise.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tests/sim/frame_tap.h"
#include "tests/sim/node.h"
#include "tests/sim/shadow_log.h"

namespace sluice::sim {

class Checks final : public Node::Watcher {
 public:
  struct Options {
    std::uint32_t groups = 1;
    std::size_t nodes = 3;
    bool fsync_always = true;  // acknowledged means durable on a majority
  };
  Checks(World& world, ShadowLog& shadow, Options options);

  void add(Node& node) { nodes_.push_back(&node); }

  void on_recovered(Node& node, shard::Shard& shard) override;
  void on_step(Node& node, shard::Shard& shard) override;
  void on_sent(Node& node, const Socket& socket, std::span<const std::byte> bytes) override;
  void on_gone(Node& node) override;

  /// Called when a node is seen to lead for the first time in a term.
  std::function<void(GroupId, const Node&)> on_election;

  /// The node's disk was set back to what it held earlier: what it promised since is not there.
  void set_back(const Node& node);

  /// The cluster is at rest: has the node marked its newest chunks durable? (S29)
  [[nodiscard]] bool has_marks(const Node& node) const;

  /// Every other node has written down which directory this one has: it has sent it something in
  /// every shard.
  [[nodiscard]] bool is_known_to_all(const Node& node, std::uint32_t shards) const;

  /// Elections won so far, and by whom the newest of a group was.
  [[nodiscard]] std::uint64_t elections() const { return elections_; }
  struct Leadership {
    Term term;
    const Node* node = nullptr;
  };
  [[nodiscard]] Leadership newest_leader(GroupId group) const { return newest_[group.value()]; }

 private:
  /// What a node's log of a group said last, and what the node has promised about it.
  struct Seen {
    Term term;
    Index commit;
    std::uint64_t last_checksum = 0;
    Index last_index;
    bool led = false;
    std::uint64_t uncommitted_when_elected = 0;
    // The term and vote on disk, and the chunk that they were first written in (records move).
    raft::HardState state;
    ChunkSeq state_seq;
    // Outlives the process:
    Term spoken_term;  // of votes, acknowledgements and leadership, which depend on it being durable
    Term durable_term;  // that the node took for durable
    // The newest acknowledgement, to a leader of this term, of everything up to this index; and the
    // batch that stood there.
    Term promise_term;
    Index promise_index;
    std::uint64_t promise_checksum = 0;
    ChunkSeq promise_seq;  // of the chunk that holds that batch
    std::map<std::uint64_t, NodeId> votes;  // by term: granted, or its own as leader
  };
  struct ShardSeen {
    ChunkSeq verified;  // the disk model holds every chunk up to here
    ChunkSeq marked;    // and a chunk in it says that every chunk up to here was durable
    std::uint64_t steps = 0;
  };

  [[nodiscard]] Seen& seen(const Node& node, GroupId group);
  [[nodiscard]] ShardSeen& shard_seen(const Node& node, ShardId shard);
  [[nodiscard]] static ShardId shard_of(GroupId group, std::size_t shards);
  void check_group(Node& node, shard::Shard& shard, const shard::Group& group);
  void check_terms(Node& node, const shard::Group& group, Seen& was);
  void check_new_batches(Node& node, const shard::Group& group, Seen& was);
  void check_leader(Node& node, shard::Shard& shard, const shard::Group& group, Seen& was);
  void check_commit(Node& node, const shard::Group& group, Seen& was);
  void check_first(Node& node, const shard::Group& group);
  void check_votes(Node& node, GroupId group, Term term);
  void check_durable(Node& node, shard::Shard& shard);
  void check_bounds(Node& node, shard::Shard& shard);
  void check_quorum(Node& node, GroupId group, const segments::GroupIndex::Entry& entry);
  [[nodiscard]] bool holds_durably(Node& node, GroupId group,
                                   const segments::GroupIndex::Entry& entry);
  [[nodiscard]] std::vector<std::byte> bytes_of(GroupId group,
                                                const segments::GroupIndex::Entry& entry);
  [[nodiscard]] bool has_mark_on_disk(Node& node, shard::Shard& shard, ShardId id,
                                      ChunkSeq seq) const;
  [[nodiscard]] static Epoch newest_epoch(Node& node, ShardId id);
  [[nodiscard]] std::string file_of(const Node& node, ShardId shard, Epoch epoch) const;
  void on_peer_messages(Node& node, const Socket& socket, const wire::PeerMessages& messages);
  void on_vote(Node& node, std::size_t to, const wire::VoteReply& reply);
  void on_append_reply(Node& node, const wire::AppendReply& reply);
  void promise(Seen& was, Index index, Term term, const segments::GroupIndex::Entry& entry);
  void take_back_promise(Node& node, const shard::Group& group, Seen& was);
  void record_vote(Node& node, GroupId group, Term term, NodeId candidate);
  void violated(const Node& node, GroupId group, const std::string& what);

  World& world_;
  ShadowLog& shadow_;
  Options options_;
  std::vector<Node*> nodes_;
  std::map<std::pair<std::size_t, std::uint32_t>, Seen> seen_;             // node, group
  std::map<std::pair<std::size_t, std::uint32_t>, ShardSeen> shard_seen_;  // node, shard
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> leaders_;  // group, term
  /// Every batch that any log ever held: (group, first index, term) has one checksum.
  std::map<std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>, std::uint64_t> batches_;
  std::unordered_map<std::uint64_t, FrameTap> taps_;  // by socket
  std::set<std::tuple<std::size_t, std::size_t, std::uint32_t>> met_;  // by, whom, shard
  std::vector<Leadership> newest_;
  std::uint64_t elections_ = 0;
};

}  // namespace sluice::sim
