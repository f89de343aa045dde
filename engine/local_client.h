// A client in the process that the node runs in: appends without a socket and without a frame.
//
// A LocalClient has one home, a thread, on which all of it happens: its calls and its Events.
//
//   a thread of yours   Entries go to all shards (group g to shard g mod shards), a queue for each.
//                       flush() wakes a shard that sleeps. poll() runs the events, wait() sleeps
//                       until there are some.
//   a shard's thread    (LocalOptions::shard) It serves the groups of that shard, from within the
//                       shard's loop, which runs the events. What they append joins the same turn of
//                       the loop: nothing crosses threads, nobody is woken, and flush() is implied.
//                       Whatever an event does, the shard waits for it: be short, never block.
//
// Entries are copied into batches, in buffers that exist from the start. Nothing is allocated and no
// lock is taken for an entry; what is handed over is a batch. When no buffer is free append() says
// kOverloaded, and takes nothing: flush, hear some outcomes, and try again.
//
// Outcomes are those of the network client (client::AppendOutcome), and mean the same; `ok` is said
// of committed entries only. But this client does not forward, wait or retry: a node that does not
// lead a group answers not_leader with a hint, at once, and whoever wants the leader found uses
// client::Client. There is no time-out either: a leader that is deposed or stops says `unknown`.
//
// Order: entries of one group are appended in the order of the calls, whoever their producer is.
// With a producer they enter the log without gaps: what was appended behind a refused entry before
// that outcome was heard is refused as a gap. Where the node does not know the producer that gap
// names no sequence that is expected (Sequence{}, not known): hear what came before, and begin with
// the first that was refused. A batch carries one producer's consecutive sequences: producers that
// take turns within a group make small batches.
//
// Life: the client ends before its Engine does (which checks that), and `events` outlives it. Each
// append() that was taken gets its outcome once, the last ones at close() or when the node stops;
// none comes after close(), nor after the destructor, which drops what is outstanding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/client/client.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice {

class LocalClient;

class LocalEvents {
 public:
  virtual ~LocalEvents() = default;
  virtual void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) = 0;
  /// At home in a shard: something happened (the client was attached just now, outcomes were
  /// delivered, call() or turn_at() asked for it). The first one may come before local_client()
  /// returned. Here, and in on_append(), is where to append.
  virtual void on_turn(LocalClient&) {}
};

struct LocalOptions {
  /// Its home; not set: the thread that calls.
  std::optional<ShardId> shard{};
  /// Buffer of a batch: 4 KiB to Config::batch_bytes_max. An entry must fit in one. 0: 64 KiB, or
  /// what the node allows if that is less.
  std::uint32_t batch_bytes = 0;
  /// Batches that gather or are under way, per shard: 1 to 65,536, and their buffers no more than
  /// 4 GiB. A group needs one of its own. Memory that was never used costs address space only.
  std::uint32_t batches = 256;
};

struct LocalAppend {
  GroupId group{};
  ProducerId producer{};  // kNoProducer: none
  Sequence sequence{};    // with a producer: 1 to 2^64 - 2; without one it is ignored
};

class LocalClient {
 public:
  virtual ~LocalClient() = default;

  /// Copies `data`. kOk: its outcome comes through LocalEvents, never from inside this call.
  /// Otherwise nothing was taken and nothing comes:
  /// kOverloaded      no buffer is free: flush, hear some outcomes, try again
  /// kTooLarge        does not fit in a batch
  /// kUnknownGroup    no such group
  /// kInvalidRequest  a producer without a sequence or with one out of range, or a group of another
  ///                  shard than its home
  /// kShuttingDown    the node has stopped, or close() was called
  [[nodiscard]] virtual Errc append(std::uint64_t tag, const LocalAppend& where,
                                    std::span<const std::byte> data) = 0;

  /// Hands over what gathered. Full batches go without it: when the next entry finds no room.
  virtual void flush() = 0;

  /// On a thread of yours: delivers the outcomes that are known, but not without end what becomes
  /// known meanwhile. Returns how many. Not from within an event.
  virtual std::size_t poll() = 0;
  /// On a thread of yours: sleeps until poll() may have something, at most so long.
  virtual void wait(std::uint32_t timeout_ms) = 0;

  /// At home in a shard: has LocalEvents::on_turn() called soon. From any thread, until close().
  virtual void call() = 0;

  /// At home in a shard, from its events: has on_turn() called at this time of CLOCK_MONOTONIC, in
  /// ns. Keeps the earliest one asked for.
  virtual void turn_at(std::uint64_t deadline_ns) = 0;

  /// Entries without an outcome.
  [[nodiscard]] virtual std::size_t pending() const = 0;

  /// Ends: what is not known to be committed or refused becomes `unknown` if it was handed over, and
  /// is refused otherwise; these outcomes come from within this call (at home in a shard: on its
  /// thread, while the call waits for it). From home, or, for a home in a shard, from any other
  /// thread. Not from within an event, nor while holding a lock that the events take; this goes for
  /// the destructor as well.
  virtual void close() = 0;
};

}  // namespace sluice
