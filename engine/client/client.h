// The client library: finds leaders, batches, pipelines, retries what may be retried.
//
// Runs over io::Io, in one thread, without blocking: requests go in with a tag of the caller's,
// outcomes come out through Events while the owner of the Io calls run_once(). Call flush() once
// per loop, after the handlers ran: everything that was appended since then leaves in as few
// batches and sends as possible (self-clocked batching: while a send is under way, more gathers).
//
// Outcomes of an append, nothing else: ok, refused (certainly in no log), not_leader (only when the
// request named a node), unknown (may or may not be in the log). Without `node` the client finds
// the leader, retries what was refused for a passing reason (kOverloaded, kUnreachable, kNotLeader,
// kNoSpace) until the time-out, and sends again what is unknown only if it has a producer and a
// sequence: then it lands once.
//
// Appends need the leader's address among Options::nodes: a node answers for itself alone. If the
// leader is not in the list they end as refused (kUnreachable), with its id in `leader`.
//
// Order: the entries of one (producer, group) are sent in the order of their append() calls, and
// sent again in that order after a leader change: never a later one before an earlier one that is
// still to be sent. With a producer they enter the log without gaps: what was appended behind a
// refused sequence, before its outcome came, is refused as a gap. Without a producer an entry that
// got no answer is never sent again, and what follows it need not wait for it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/io.h"
#include "wire/ids.h"
#include "wire/messages_generated.h"
#include "wire/result.h"

namespace sluice::client {

struct Options {
  /// "host:port" of nodes of one cluster. Reads need one that can be reached, appends the leader:
  /// so name all of them.
  std::vector<std::string> nodes;
  /// Refuse nodes of another cluster. Empty: the first node that answers names it, and one of
  /// another cluster is an error (kWrongCluster).
  std::string cluster_name;
  std::uint32_t batch_bytes_max = 1u << 20;       // of a batch sent; the cluster may allow less
  std::uint64_t inflight_bytes_max = 256u << 20;  // sent or waiting; above it append() refuses
};

enum class Status : std::uint8_t { kOk, kRefused, kNotLeader, kUnknown };

struct AppendOptions {
  GroupId group{};
  ProducerId producer{};  // kNoProducer: none
  Sequence sequence{};
  std::uint32_t timeout_ms = 5000;
  NodeId node{};  // kNoNode: find the leader; else this node alone, no retry
};

struct AppendOutcome {
  Status status = Status::kUnknown;
  Errc code = Errc::kOk;
  Index index{};
  Term term{};          // of the entry at `index`
  NodeId leader{};      // hint, kNoNode if not known; also with kUnreachable
  Sequence expected{};  // kSequenceGap: the producer's next sequence
};

struct ReadOptions {
  GroupId group{};
  Index from{1};
  std::uint32_t count_max = 1000;
  std::uint32_t bytes_max = 0;  // 0: the node's limit
  std::uint32_t timeout_ms = 5000;
  std::uint32_t wait_ms = 0;  // wait so long for an entry at `from` to commit
  NodeId node{};              // kNoNode: any node, and never back behind an earlier such read
};

struct Entry {
  Index index;
  Term term;
  bool internal = false;            // no-op: no data
  std::span<const std::byte> data;  // valid during the call only
};

struct ReadOutcome {
  Errc code = Errc::kOk;  // kTrimmed, kUnreachable, kUnknownGroup, kTimeout, ...
  Index commit_index{};
  Index first_index{};
  std::vector<Entry> entries;
  NodeId node{};  // that answered
};

struct GroupState {
  GroupId group{};
  std::uint8_t role = 0;  // wire::GroupStatus
  Term term;
  NodeId leader;
  Index first_index, last_index, durable_index, commit_index;
};

struct NodeStatus {
  NodeId node{};
  bool reachable = false;
  Errc code = Errc::kOk;  // not reachable: kUnreachable, kTimeout, kWrongCluster, kBadVersion
  std::string address;
  std::string fsync_policy;
  std::vector<GroupState> groups;  // by group
  wire::ShardCounters counters;    // sum over the node's shards
  std::vector<wire::StageBucket> stages;  // of each of the node's shards, one after the other
};

struct TrimOutcome {
  Errc code = Errc::kOk;
  Index first_index{};
};

class Events {
 public:
  virtual ~Events() = default;
  virtual void on_append(std::uint64_t tag, const AppendOutcome& outcome) = 0;
  virtual void on_read(std::uint64_t, const ReadOutcome&) {}
  virtual void on_status(std::uint64_t, const NodeStatus&) {}
  virtual void on_trim(std::uint64_t, const TrimOutcome&) {}
};

class Client {
 public:
  /// `io` and `events` outlive the client. Resolves the addresses (may block).
  /// Errors  kInvalidRequest: an address does not resolve; its text in `what`.
  [[nodiscard]] static Result<std::unique_ptr<Client>> make(Options options, io::Io& io,
                                                            Events& events, std::string& what);
  virtual ~Client() = default;

  /// Copies `data`. The outcome comes through Events, never from inside this call.
  virtual void append(std::uint64_t tag, const AppendOptions& options,
                      std::span<const std::byte> data) = 0;
  virtual void read(std::uint64_t tag, const ReadOptions& options) = 0;
  /// Status of one node: by id, or the address at position `address` in Options::nodes.
  virtual void status(std::uint64_t tag, NodeId node, std::uint32_t timeout_ms) = 0;
  virtual void status_at(std::uint64_t tag, std::size_t address, std::uint32_t timeout_ms) = 0;
  /// Gives up the prefix of a group's log below `first` on every node.
  virtual void trim(std::uint64_t tag, GroupId group, Index first, std::uint32_t timeout_ms) = 0;

  /// Sends what was gathered. Call once per loop. (What is asked from within Events may go before,
  /// with what waited for that outcome; and nothing goes before those handlers have returned.)
  virtual void flush() = 0;

  /// Requests without an outcome yet.
  [[nodiscard]] virtual std::size_t pending() const = 0;
  /// Ends: every pending request gets its outcome, connections close. Run the Io until
  /// closed() before destroying the client.
  virtual void close() = 0;
  [[nodiscard]] virtual bool closed() const = 0;
};

}  // namespace sluice::client
