// A connection that was accepted: a client, a peer that sends us its requests, or somebody who has
// not said hello yet.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/shard/connection.h"
#include "engine/shard/group.h"
#include "engine/shard/read_window.h"
#include "wire/messages_generated.h"

namespace sluice::shard {

struct Inbound {
  enum class Role : std::uint8_t { kNew, kPeer, kClient };

  ClientRef ref;
  Role role = Role::kNew;
  NodeId peer;  // kPeer: who
  std::unique_ptr<Connection> connection;

  // Answers that gather while a send is in flight, so that they leave in one frame.
  std::vector<wire::AppendResult> append_results;  // kClient
  std::vector<wire::AppendReply> append_replies;   // kPeer
  std::vector<wire::VoteReply> vote_replies;       // kPeer

  bool refused = false;          // its hello: to be closed when the reply has left
  bool begun = false;            // the frame at hand was looked at before
  bool heard = false;            // kPeer: a request that waits for room was heard since the last tick
  std::uint64_t answers_ns = 0;  // kClient: when the first of append_results was due (StageTimes)
  std::uint64_t sending_ns = 0;  // the same of those that are being sent; 0: none are
  ReadWindow* window = nullptr;  // being filled for the read at hand

  [[nodiscard]] std::size_t queued_bytes() const {
    return connection->out().queued_bytes() + append_results.size() * sizeof(wire::AppendResult) +
           append_replies.size() * sizeof(wire::AppendReply) +
           vote_replies.size() * sizeof(wire::VoteReply);
  }
};

}  // namespace sluice::shard
