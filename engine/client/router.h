// Where a request goes: which addresses are which nodes of which cluster, who leads a group, which
// connection reaches a shard.
//
// Nothing is sent before every address was asked once who it is (or kAskNs passed): so a list that
// names two clusters is refused before an entry enters the wrong one (S55), and the node ids that
// hints and requests name are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/client/client.h"
#include "engine/client/connection.h"

namespace sluice::client {

/// What is known of one group, over all its producers and readers. Lives as long as the client.
struct GroupRoute {
  GroupId group;
  NodeId leader;              // kNoNode: not known, or not reached
  NodeId named;               // who leads it, as the last node said that does not
  std::size_t guess = 0;      // the address to try while no leader is known
  std::uint32_t denials = 0;  // answers in a row that named no leader, or a wrong one
  Index read_commit;          // the highest that a read without `node` has shown
};

struct Route {
  enum class Kind : std::uint8_t {
    kGo,     // over `connection`, which is ready
    kWait,   // ask again when a connection changes its state, or a tick later
    kNever,  // `code` says why
  };
  Kind kind = Kind::kWait;
  Connection* connection = nullptr;
  Errc code = Errc::kOk;
};

class Router {
 public:
  static constexpr std::uint64_t kAskNs = 300'000'000;

  /// `endpoints` are those of `options.nodes`, in order.
  Router(const Options& options, std::vector<io::Endpoint> endpoints, io::Io& io,
         Connection::Owner& owner);

  [[nodiscard]] GroupRoute& group(GroupId id);

  /// To the leader of a group, or to whom may know it.
  [[nodiscard]] Route to_leader(GroupRoute& group);
  /// To any node: the leader on the first attempt (0), another one on each further attempt.
  [[nodiscard]] Route to_any(GroupRoute& group, std::uint32_t attempt);
  /// To the shard of `group` on the node `node`, and nowhere else.
  [[nodiscard]] Route to_node(NodeId node, GroupId group);
  /// To one shard of the node at an address. `shards` says how many it has, 0: not known yet.
  [[nodiscard]] Route to_shard(std::size_t address, ShardId shard);

  /// The address of a node; address_count() while it may still turn out (and asks), or if
  /// all_known() never.
  [[nodiscard]] std::size_t address_of(NodeId node);
  [[nodiscard]] bool all_known() const;
  [[nodiscard]] std::size_t address_count() const { return addresses_.size(); }
  [[nodiscard]] std::uint32_t shards_of(std::size_t address) const;
  [[nodiscard]] NodeId node_at(std::size_t address) const;
  [[nodiscard]] const std::string& text_of(std::size_t address) const;
  /// The last dial of this address failed, at or after `since_ns`.
  [[nodiscard]] bool failed_since(std::size_t address, std::uint64_t since_ns) const;
  /// Why: kUnreachable, or what the node said (kBadVersion: it speaks another version).
  [[nodiscard]] Errc failed_code(std::size_t address) const;

  /// kWrongCluster: the list names nodes of different clusters. Nothing may be sent.
  [[nodiscard]] Errc fault() const { return fault_; }
  /// Whose batches these are. Known once a connection is ready.
  [[nodiscard]] ClusterId cluster() const { return cluster_; }
  /// The largest batch that all nodes heard of take.
  [[nodiscard]] std::uint32_t batch_bytes_max() const { return batch_bytes_max_; }

  void write_hello(Connection& connection, SendBuffer& out);
  [[nodiscard]] Errc on_hello(Connection& connection, const wire::HelloReply& reply);
  void on_lost(Connection& connection, Errc why);
  /// The node at the other end of `connection` does not lead the group. True: it named somebody
  /// else, who can be asked at once.
  bool on_not_leader(GroupRoute& group, const Connection& connection, NodeId hint);
  /// The node at the other end of `connection` leads the group.
  void on_leader(GroupRoute& group, const Connection& connection);

  void check_time(std::uint64_t now_ns);
  void stop();
  /// All connections are down.
  [[nodiscard]] bool idle() const;

 private:
  struct Address {
    std::string text;
    io::Endpoint endpoint;
    NodeId node;               // kNoNode: not known yet
    std::uint32_t shards = 0;  // 0: not known yet
    bool asked = false;        // has answered or failed once
    bool foreign = false;      // answered last as a node of another cluster
    std::uint64_t failed_ns = 0;
    Errc failed_code = Errc::kOk;
    std::vector<std::unique_ptr<Connection>> connections;  // by shard, made on demand
  };

  [[nodiscard]] bool all_asked();
  [[nodiscard]] Connection& connection(std::size_t address, ShardId shard);
  [[nodiscard]] Connection& connection_for(std::size_t address, GroupId group);
  [[nodiscard]] bool is_late(const Connection& connection) const;
  [[nodiscard]] bool is_usable(const Connection& connection) const;
  [[nodiscard]] Route pick(std::size_t start, GroupId group, std::size_t* picked);
  [[nodiscard]] bool is_ours(const wire::HelloReply& reply) const;
  Errc refuse_cluster(Address& address);

  const std::string cluster_name_;
  io::Io& io_;
  Connection::Owner& owner_;
  std::vector<Address> addresses_;
  std::vector<Connection*> connections_;  // all of them, by number
  std::unordered_map<GroupId, GroupRoute> groups_;
  ClusterId cluster_;
  bool pinned_ = false;  // cluster_ is known
  Errc fault_ = Errc::kOk;
  bool open_ = false;  // requests may go out
  std::uint64_t began_ns_ = 0;
  std::uint32_t batch_bytes_max_;
};

}  // namespace sluice::client
