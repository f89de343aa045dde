// A lane: the entries of one (producer, group), or of one group without a producer, in the order of
// their append() calls. What keeps that order lives here.
//
// Invariants:
// 1. batches = held or in flight ones first, then the unsent ones from next_unsent on
// 2. everything that is in flight is so on one connection, which handles it in order
// 3. once something has to be sent again the lane drains: nothing leaves until all that is in
//    flight was answered, lost or not waited for any longer. Then it rewinds: everything left is
//    unsent again, in order. So no later entry is ever sent before an earlier one that is still to
//    be sent. What is not waited for without a producer is left behind: a lane of its own, of which
//    nothing is sent any more.
// 4. with a producer, one batch at a time until one of its entries was acknowledged: a leader that
//    has not heard of the producer takes any first sequence, also that of the second batch after it
//    refused the first.
#pragma once

#include <cstdint>

#include "engine/client/append_batch.h"
#include "engine/client/batch_split.h"
#include "engine/client/connection.h"
#include "engine/client/intrusive_list.h"
#include "engine/client/router.h"

namespace sluice::client {

struct LaneKey {
  GroupId group;
  ProducerId producer;
  NodeId node;  // kNoNode: the leader
  constexpr bool operator==(const LaneKey&) const = default;
};

struct LaneKeyHash {
  std::size_t operator()(const LaneKey& key) const noexcept {
    std::uint64_t h = key.producer.value() * 0x9E3779B97F4A7C15u;
    h ^= (std::uint64_t{key.node.value()} << 32 | key.group.value()) + (h >> 29);
    h *= 0xBF58476D1CE4E5B9u;
    return static_cast<std::size_t>(h ^ (h >> 32));
  }
};

/// What is on its way over a connection.
struct PortLoad {
  std::uint64_t inflight_bytes = 0;  // sent without an answer
  std::uint32_t inflight_batches = 0;
  std::uint64_t answer_ns = 0;  // how long an answer takes, smoothed
};

struct Lane {
  using Batches = IntrusiveList<AppendBatch, &AppendBatch::link>;

  LaneKey key;
  GroupRoute* group = nullptr;
  Link<Lane> place;   // fresh, waiting for a route, or queued at a connection
  Link<Lane> active;  // while it has batches

  Batches batches;
  AppendBatch* next_unsent = nullptr;
  Connection* connection = nullptr;  // of what is in flight, or where it is queued
  std::uint32_t inflight_batches = 0;
  std::uint64_t unreported = 0;  // entries
  std::uint64_t retry_at_ns = 0;
  std::uint64_t used_ns = 0;    // when something was appended last
  std::uint64_t queued_ns = 0;  // at its connection
  std::size_t size_hint_bytes = 0;
  std::uint64_t load_bytes = 0;  // of all its batches
  BatchSplit split;
  const PortLoad* port = nullptr;  // where its batches went last
  std::uint32_t redirects = 0;  // in a row
  std::uint64_t draining_since_ns = 0;
  Sequence missing{};               // refused for good: what was to follow it is a gap; 0: none
  std::uint64_t missing_until = 0;  // what Outbox::handed_out() reaches when the caller knows
  bool draining = false;
  bool left_behind = false;  // of another lane: nothing is appended any more
  bool established = false;

  [[nodiscard]] bool placed() const { return place.list != nullptr; }
  [[nodiscard]] bool has_producer() const { return key.producer != kNoProducer; }
  [[nodiscard]] bool directed() const { return key.node != kNoNode; }
};

}  // namespace sluice::client
