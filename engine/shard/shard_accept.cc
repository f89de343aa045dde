// Shard: the connections that others dialled, until they have said hello, and their end.
#include <algorithm>
#include <utility>

#include "engine/shard/frames.h"
#include "engine/shard/shard.h"
#include "wire/checksum.h"

namespace sluice::shard {
namespace {
constexpr std::uint64_t kHelloNsMax = 5'000'000'000;
constexpr std::size_t kHelloBytesMax = 64u << 10;
}  // namespace

using Taken = Connection::Taken;

void Shard::accept() {
  accept_due_ = false;
  if (stopping_ || accept_.pending()) return;
  io_.accept(accept_, options_.listener);
}

void Shard::on_accepted(std::int32_t result) {
  if (result < 0) {
    // Out of descriptors or memory (S51): the log goes on; new connections are tried again with the
    // next tick, not in a loop.
    accept_due_ = !stopping_;
    return;
  }
  const auto socket = static_cast<io::Handle>(result);
  if (stopping_ || inbound_count_ >= options_.config.connections_max) {
    io_.close(socket);
  } else {
    add_inbound(socket).connection->start();
  }
  accept();
}

Inbound& Shard::add_inbound(io::Handle socket) {
  auto free_slot = std::ranges::find_if(inbounds_, [](const auto& i) { return !i; });
  if (free_slot == inbounds_.end()) {
    inbounds_.emplace_back();
    free_slot = inbounds_.end() - 1;
  }
  auto inbound = std::make_unique<Inbound>();
  inbound->ref = {.slot = static_cast<std::uint32_t>(free_slot - inbounds_.begin()),
                  .generation = next_generation_++};
  Connection::Owner& owner = *this;
  inbound->connection = std::make_unique<Connection>(
      io_, socket,
      Connection::Options{.frame_bytes_max = kHelloBytesMax, .receive_bytes = kHelloBytesMax},
      owner);
  inbound->connection->tag = inbound->ref.slot;
  ++inbound_count_;
  *free_slot = std::move(inbound);
  return **free_slot;
}

Inbound* Shard::find(const ClientRef& ref) {
  if (ref.slot >= inbounds_.size()) return nullptr;
  Inbound* inbound = inbounds_[ref.slot].get();
  if (inbound == nullptr || inbound->ref.generation != ref.generation) return nullptr;
  return inbound->connection->closing() ? nullptr : inbound;
}

void Shard::on_local_result(const ClientRef& client, const wire::AppendResult& result) {
  local_side_.answer(client, result);
}

Inbound& Shard::inbound_of(Connection& connection) {
  Inbound& inbound = *inbounds_[connection.tag];
  SLUICE_CHECK(inbound.connection.get() == &connection);
  return inbound;
}

Inbound* Shard::inbound_of(NodeId peer) {
  for (const auto& inbound : inbounds_) {
    if (inbound && inbound->role == Inbound::Role::kPeer && inbound->peer == peer &&
        !inbound->connection->closing()) {
      return inbound.get();
    }
  }
  return nullptr;
}

Taken Shard::on_frame(Connection& connection, const FrameView& frame) {
  Inbound& from = inbound_of(connection);
  switch (from.role) {
    case Inbound::Role::kNew:
      return frame.kind == FrameKind::kHello ? on_hello(from, frame) : Taken::kClose;
    case Inbound::Role::kPeer:
      if (stopping_) return Taken::kClose;
      return frame.kind == FrameKind::kPeerMessages ? peer_side_.on_requests(from, frame)
                                                    : Taken::kClose;
    case Inbound::Role::kClient:
      return client_side_.on_frame(from, frame);
  }
  return Taken::kClose;
}

void Shard::on_sent(Connection& connection) {
  Inbound& to = inbound_of(connection);
  if (to.role == Inbound::Role::kPeer) peer_side_.flush(to);
  if (to.role == Inbound::Role::kClient) {
    if (const std::uint64_t due_ns = std::exchange(to.sending_ns, 0); due_ns != 0) {
      commit_.stages().reply_ns.record(io_.now_ns() - due_ns);
    }
    client_side_.flush(to);
  }
  if (connection.stalled()) resume_ = true;
}

void Shard::on_closing(Connection& connection) { client_side_.on_closing(inbound_of(connection)); }

Taken Shard::on_hello(Inbound& from, const FrameView& frame) {
  const auto envelope = envelope_as<wire::Hello>(frame);
  if (!envelope || !frame.batches.empty()) return Taken::kClose;
  const wire::Hello& hello = **envelope;
  std::string why;
  const Errc code = judge_hello(hello, why);
  if (code != Errc::kOk) {
    reply_hello(from, code, why);
    return Taken::kYes;  // closed when the reply has left (sweep_connections)
  }
  if (hello.shard() != options_.shard.value()) {
    auto moved = from.connection->release();
    options_.hand_over(ShardId(hello.shard()), std::move(moved));
    return Taken::kMoved;
  }
  if (hello.role() == wire::Role::Peer) return take_peer(from, hello);
  from.role = Inbound::Role::kClient;
  return welcome(from);
}

Taken Shard::take_peer(Inbound& from, const wire::Hello& hello) {
  if (stopping_) return Taken::kClose;
  const NodeId peer(hello.node_id());
  const DirectoryId directory{hello.directory_id()->high(), hello.directory_id()->low()};
  switch (peer_directories_.meet(peer, directory)) {
    case PeerDirectories::Answer::kOther:
      reply_hello(from, Errc::kWrongIdentity,
                  peer_directories_.refusal(options_.identity.node, peer, directory));
      return Taken::kYes;
    case PeerDirectories::Answer::kLater:
      // Looked at again when something became durable, and with each tick. Bounded by the time for
      // a hello: on a full disk the peer gives up, and dials again.
      return Taken::kLater;
    case PeerDirectories::Answer::kSame:
      break;
  }
  // This one waited until the peer gave it up and dialled again.
  const Inbound* newer = inbound_of(peer);
  if (newer != nullptr && newer->ref.generation > from.ref.generation) return Taken::kClose;
  from.role = Inbound::Role::kPeer;
  from.peer = peer;
  replace_peer_connection(from);
  return welcome(from);
}

Taken Shard::welcome(Inbound& from) {
  from.connection->allow_frames(frame_bytes_max(options_.config.batch_bytes_max));
  reply_hello(from, Errc::kOk, {});
  return Taken::kYes;
}

Errc Shard::judge_hello(const wire::Hello& hello, std::string& why) const {
  const auto& identity = options_.identity;
  const std::uint64_t cluster = cluster_id_of(identity.cluster_name).value();
  const bool peer = hello.role() == wire::Role::Peer;
  if (!peer && hello.role() != wire::Role::Client) {
    why = "a hello names neither a peer nor a client";
    return Errc::kInvalidRequest;
  }
  if (hello.cluster() != cluster && (peer || hello.cluster() != 0)) {
    why = "this is node " + std::to_string(identity.node.value()) + " of cluster '" +
          identity.cluster_name + "', not of '" +
          (hello.cluster_name() != nullptr ? hello.cluster_name()->str() : "") + "'";
    return Errc::kWrongCluster;
  }
  if (hello.target_node_id() != 0 && hello.target_node_id() != identity.node.value()) {
    why = "this is node " + std::to_string(identity.node.value()) + ", not node " +
          std::to_string(hello.target_node_id());
    return Errc::kInvalidRequest;
  }
  if (peer && hello.directory_id() == nullptr) {
    why = "the hello of a peer names no data directory";
    return Errc::kInvalidRequest;
  }
  if (peer) {
    const bool member = std::ranges::any_of(
        options_.peers, [&](const auto& p) { return p.first.value() == hello.node_id(); });
    if (!member) {
      why = "node " + std::to_string(hello.node_id()) + " is not among the peers of node " +
            std::to_string(identity.node.value());
      return Errc::kInvalidRequest;
    }
    if (hello.shards() != identity.shards || hello.groups() != options_.config.groups) {
      why = "node " + std::to_string(identity.node.value()) + " has " +
            std::to_string(identity.shards) + " shards and " +
            std::to_string(options_.config.groups) + " groups, node " +
            std::to_string(hello.node_id()) + " has " + std::to_string(hello.shards()) + " and " +
            std::to_string(hello.groups()) +
            "; start all nodes with the same --shards and --groups";
      return Errc::kInvalidRequest;
    }
  }
  // Clients may not take the places that peers need to come back.
  const std::size_t for_peers = 2 * options_.peers.size();
  if (!peer && inbound_count_ + for_peers > options_.config.connections_max) {
    why = "this node has all the connections that it takes; raise --connections-max";
    return Errc::kOverloaded;
  }
  if (hello.shard() >= identity.shards) {
    why = "there is no shard " + std::to_string(hello.shard());
    return Errc::kInvalidRequest;
  }
  return Errc::kOk;
}

void Shard::reply_hello(Inbound& to, Errc code, const std::string& message) {
  const auto& identity = options_.identity;
  flatbuffers::FlatBufferBuilder envelope;
  const auto text = envelope.CreateString(message);
  const auto name = envelope.CreateString(identity.cluster_name);
  const auto policy = envelope.CreateString(options_.config.fsync.to_string());
  const wire::DirectoryIdBytes directory(identity.directory.high, identity.directory.low);
  envelope.Finish(wire::CreateHelloReply(envelope, static_cast<std::uint16_t>(code), text, name,
                                         cluster_id_of(identity.cluster_name).value(),
                                         identity.node.value(), &directory, options_.shard.value(),
                                         identity.shards, options_.config.groups,
                                         options_.config.batch_bytes_max, policy));
  stage_frame(to.connection->out(), FrameKind::kHelloReply, envelope, 0);
  to.refused = code != Errc::kOk;
}

void Shard::replace_peer_connection(Inbound& fresh) {
  // The peer dialled again because it believes the old connection dead. Answers go to the new one.
  for (const auto& inbound : inbounds_) {
    if (inbound && inbound.get() != &fresh && inbound->role == Inbound::Role::kPeer &&
        inbound->peer == fresh.peer && !inbound->connection->closing()) {
      inbound->connection->close();
    }
  }
}

std::size_t Shard::send_queue_bytes_max() const {
  // One whole reply must fit beside what is being sent.
  const std::size_t two_replies = 2 * frame_bytes_max(options_.config.batch_bytes_max);
  return std::max<std::size_t>(options_.config.send_queue_bytes_max, two_replies);
}

void Shard::sweep_connections() {
  const std::uint64_t now = io_.now_ns();
  std::uint64_t memory_bytes = 0;
  for (auto& inbound : inbounds_) {
    if (!inbound) continue;
    Connection& connection = *inbound->connection;
    if (!connection.closing()) {
      const bool answered = inbound->refused && inbound->queued_bytes() == 0;
      const bool silent = inbound->role == Inbound::Role::kNew && !inbound->refused &&
                          now - connection.opened_ns() > kHelloNsMax;
      // Bounded, whatever the other side does (S43): what it does not take is not kept for it.
      const bool overfull =
          inbound->queued_bytes() > send_queue_bytes_max() &&
          (connection.send_is_stuck() || inbound->queued_bytes() > 4 * send_queue_bytes_max());
      if (answered || silent || overfull) connection.close();
    }
    memory_bytes += connection.memory_bytes();
    if (connection.gone()) {
      inbound.reset();
      --inbound_count_;
    }
  }
  client_side_.connections_memory_bytes = memory_bytes;
}

}  // namespace sluice::shard
