#include "engine/client/router.h"

#include <algorithm>

#include "wire/checksum.h"

namespace sluice::client {
namespace {

/// A dial that takes longer than this is not waited for while others may answer.
constexpr std::uint64_t kPatienceNs = 150'000'000;
constexpr std::uint32_t kShardsMax = 1024;
/// So many answers in a row that name no leader, or a wrong one: the next node in the list is asked.
constexpr std::uint32_t kDenialsMax = 3;
/// Less than this holds no entry worth the name; a node that says so is not one of ours.
constexpr std::uint32_t kBatchBytesLeast = 128;

}  // namespace

Router::Router(const Options& options, std::vector<io::Endpoint> endpoints, io::Io& io,
               Connection::Owner& owner)
    : cluster_name_(options.cluster_name),
      io_(io),
      owner_(owner),
      cluster_(cluster_name_.empty() ? ClusterId() : cluster_id_of(cluster_name_)),
      pinned_(!cluster_name_.empty()),
      batch_bytes_max_(options.batch_bytes_max) {
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    addresses_.emplace_back();
    addresses_.back().text = options.nodes[i];
    addresses_.back().endpoint = endpoints[i];
  }
}

GroupRoute& Router::group(GroupId id) {
  const auto [at, is_new] = groups_.try_emplace(id);
  if (is_new) {
    at->second.group = id;
    at->second.guess = id.value() % addresses_.size();
  }
  return at->second;
}

// --- connections ---------------------------------------------------------------------------------

Connection& Router::connection(std::size_t address, ShardId shard) {
  auto& connections = addresses_[address].connections;
  if (connections.size() <= shard.value()) connections.resize(shard.value() + 1);
  auto& slot = connections[shard.value()];
  if (!slot) {
    const Connection::Place place{address, shard, connections_.size()};
    slot = std::make_unique<Connection>(io_, owner_, addresses_[address].endpoint, place);
    connections_.push_back(slot.get());
  }
  return *slot;
}

/// The connection for a group's requests; that to shard 0, which will tell, while the number of
/// shards is not known.
Connection& Router::connection_for(std::size_t address, GroupId group) {
  const std::uint32_t shards = std::max(addresses_[address].shards, 1u);
  return connection(address, ShardId(group.value() % shards));
}

void Router::check_time(std::uint64_t now_ns) {
  for (Connection* connection : connections_) connection->check_time(now_ns);
}

void Router::stop() {
  for (Connection* connection : connections_) connection->stop();
}

bool Router::idle() const {
  return std::ranges::all_of(connections_, [](const Connection* c) { return c->idle(); });
}

// --- who is who ----------------------------------------------------------------------------------

bool Router::all_asked() {
  if (open_) return true;
  if (began_ns_ == 0) {
    began_ns_ = std::max<std::uint64_t>(io_.now_ns(), 1);
    for (std::size_t i = 0; i < addresses_.size(); ++i) connection(i, ShardId(0)).want();
  }
  open_ = std::ranges::all_of(addresses_, &Address::asked) || io_.now_ns() >= began_ns_ + kAskNs;
  return open_;
}

std::size_t Router::address_of(NodeId node) {
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (addresses_[i].node == node) return i;
  }
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (addresses_[i].node == kNoNode) connection(i, ShardId(0)).want();
  }
  return addresses_.size();
}

bool Router::all_known() const {
  return std::ranges::all_of(addresses_, [](const Address& a) { return a.node != kNoNode; });
}

std::uint32_t Router::shards_of(std::size_t address) const { return addresses_[address].shards; }

NodeId Router::node_at(std::size_t address) const { return addresses_[address].node; }

const std::string& Router::text_of(std::size_t address) const { return addresses_[address].text; }

bool Router::failed_since(std::size_t address, std::uint64_t since_ns) const {
  const Address& a = addresses_[address];
  return a.failed_ns != 0 && a.failed_ns >= since_ns;
}

Errc Router::failed_code(std::size_t address) const { return addresses_[address].failed_code; }

void Router::write_hello(Connection& connection, SendBuffer& out) {
  auto& envelope = out.envelope();
  const auto name = envelope.CreateString(cluster_name_);
  wire::HelloBuilder hello(envelope);
  hello.add_role(wire::Role::Client);
  hello.add_cluster_name(name);
  hello.add_cluster(cluster_name_.empty() ? 0 : cluster_.value());
  hello.add_shard(connection.place().shard.value());
  envelope.Finish(hello.Finish());
}

bool Router::is_ours(const wire::HelloReply& reply) const {
  return !pinned_ || reply.cluster() == cluster_.value();
}

/// Before the first request went out, one foreign node means that the list is wrong. Later it means
/// that something else answers at this address: then only what names this node fails.
Errc Router::refuse_cluster(Address& address) {
  address.foreign = true;
  if (!open_) fault_ = Errc::kWrongCluster;
  return Errc::kWrongCluster;
}

Errc Router::on_hello(Connection& connection, const wire::HelloReply& reply) {
  Address& address = addresses_[connection.place().address];
  const auto code = static_cast<Errc>(reply.code());
  if (code == Errc::kWrongCluster) return refuse_cluster(address);
  if (code != Errc::kOk) return code;
  const bool makes_sense = reply.node_id() != 0 && reply.shards() > 0 &&
                           reply.shards() <= kShardsMax &&
                           reply.shard() == connection.place().shard.value() &&
                           reply.batch_bytes_max() >= kBatchBytesLeast;
  if (!makes_sense) return Errc::kUnreachable;
  if (!is_ours(reply)) return refuse_cluster(address);
  pinned_ = true;
  cluster_ = ClusterId(reply.cluster());
  batch_bytes_max_ = std::min(batch_bytes_max_, reply.batch_bytes_max() & ~7u);
  address.node = NodeId(reply.node_id());
  address.shards = reply.shards();
  address.asked = true;
  address.foreign = false;
  address.failed_ns = 0;
  return Errc::kOk;
}

void Router::on_lost(Connection& connection, Errc why) {
  Address& address = addresses_[connection.place().address];
  address.asked = true;
  address.failed_code = why == Errc::kConnectionLost ? Errc::kUnreachable : why;
  address.failed_ns = io_.now_ns();
}

// --- routes --------------------------------------------------------------------------------------

bool Router::is_late(const Connection& connection) const {
  return io_.now_ns() >= connection.dialled_ns() + kPatienceNs;
}

bool Router::is_usable(const Connection& connection) const {
  return connection.ready() && !connection.silent(io_.now_ns());
}

/// The first address from `start` on whose connection is usable, or on its way and not late.
Route Router::pick(std::size_t start, GroupId group, std::size_t* picked) {
  bool all_foreign = true;
  for (std::size_t k = 0; k < addresses_.size(); ++k) {
    const std::size_t at = (start + k) % addresses_.size();
    Connection& candidate = connection_for(at, group);
    candidate.want();
    if (addresses_[at].foreign) continue;
    all_foreign = false;
    const bool usable = is_usable(candidate);
    if (!usable && (!candidate.coming() || is_late(candidate))) continue;
    *picked = at;
    if (usable) return {Route::Kind::kGo, &candidate, Errc::kOk};
    return {};
  }
  if (all_foreign) return {Route::Kind::kNever, nullptr, Errc::kWrongCluster};
  return {};
}

Route Router::to_leader(GroupRoute& group) {
  if (fault_ != Errc::kOk) return {Route::Kind::kNever, nullptr, fault_};
  if (!all_asked()) return {};
  if (group.leader != kNoNode) {
    const std::size_t at = address_of(group.leader);
    if (at < addresses_.size() && !addresses_[at].foreign) {
      Connection& leader = connection_for(at, group.group);
      leader.want();
      if (is_usable(leader)) return {Route::Kind::kGo, &leader, Errc::kOk};
      if (leader.coming() && !is_late(leader)) return {};
    }
    // It cannot be reached, or is not in the list: the others will know when it was replaced. Not
    // all at the same time, so another one is asked than the one who named it.
    group.leader = kNoNode;
    group.guess = (group.guess + 1) % addresses_.size();
  }
  return pick(group.guess, group.group, &group.guess);
}

Route Router::to_any(GroupRoute& group, std::uint32_t attempt) {
  if (attempt == 0) return to_leader(group);
  if (fault_ != Errc::kOk) return {Route::Kind::kNever, nullptr, fault_};
  if (!all_asked()) return {};
  std::size_t picked = 0;
  return pick((group.guess + attempt) % addresses_.size(), group.group, &picked);
}

Route Router::to_node(NodeId node, GroupId group) {
  if (fault_ != Errc::kOk) return {Route::Kind::kNever, nullptr, fault_};
  if (!all_asked()) return {};
  const std::size_t at = address_of(node);
  if (at == addresses_.size()) {
    if (all_known()) return {Route::Kind::kNever, nullptr, Errc::kUnreachable};
    return {};
  }
  if (addresses_[at].foreign) return {Route::Kind::kNever, nullptr, Errc::kWrongCluster};
  Connection& target = connection_for(at, group);
  target.want();
  if (!target.ready()) return {};
  return {Route::Kind::kGo, &target, Errc::kOk};
}

Route Router::to_shard(std::size_t address, ShardId shard) {
  if (fault_ != Errc::kOk) return {Route::Kind::kNever, nullptr, fault_};
  if (!all_asked()) return {};
  if (addresses_[address].foreign) return {Route::Kind::kNever, nullptr, Errc::kWrongCluster};
  Connection& target = connection(address, shard);
  target.want();
  if (!target.ready()) return {};
  return {Route::Kind::kGo, &target, Errc::kOk};
}

bool Router::on_not_leader(GroupRoute& group, const Connection& connection, NodeId hint) {
  const std::size_t at = connection.place().address;
  const NodeId self = addresses_[at].node;
  group.named = hint == self ? kNoNode : hint;
  const bool others_news = group.leader != kNoNode && group.leader != self;
  if (others_news) return true;  // somebody else was named meanwhile
  // Nodes that are cut off from the others may name each other for ever.
  if (++group.denials == kDenialsMax) {
    group.denials = 0;
    group.leader = kNoNode;
    group.guess = (group.guess + 1) % addresses_.size();
    return false;
  }
  group.leader = group.named;
  if (group.leader == kNoNode && group.guess == at) group.guess = (at + 1) % addresses_.size();
  return group.leader != kNoNode;
}

void Router::on_leader(GroupRoute& group, const Connection& connection) {
  group.leader = addresses_[connection.place().address].node;
  group.denials = 0;
}

}  // namespace sluice::client
