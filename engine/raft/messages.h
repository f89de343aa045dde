// What Raft nodes say to each other about one group, without bytes of entries (Raft Figure 2).
#pragma once

#include <cstdint>

#include "wire/ids.h"

namespace sluice::raft {

struct HardState {
  Term term{};    // latest term this node has seen
  NodeId vote{};  // whom it voted for in that term, kNoNode if nobody
  bool operator==(const HardState&) const = default;
};

enum class Role : std::uint8_t { kFollower = 0, kPreCandidate = 1, kCandidate = 2, kLeader = 3 };

struct VoteRequest {
  Term term{};  // pre_vote: the term the sender would campaign in
  Index last_index{};
  Term last_term{};
  bool pre_vote = false;
};

struct VoteReply {
  Term term{};
  bool granted = false;
  bool pre_vote = false;
};

/// One batch of an AppendEntries: terms and indexes only. Batches are immutable, so a log holds
/// either the whole of one or nothing of it.
struct BatchInfo {
  Term term{};
  Index first_index{};
  std::uint32_t entry_count = 0;
  std::uint32_t size_bytes = 0;
  [[nodiscard]] Index last_index() const { return first_index + (entry_count - 1); }
};

struct AppendRequest {
  Term term{};
  Index prev_index{};
  Term prev_term{};
  Index commit_index{};
};

struct AppendReply {
  Term term{};
  bool rejected = false;
  Index match_index{};     // accepted: durable here and verified against the leader's log
  Index rejected_index{};  // rejected: prev_index of the request
  Index hint_index{};      // rejected: largest index at which this log may match the leader's
  Term hint_term{};        // rejected: term at hint_index here
};

}  // namespace sluice::raft
