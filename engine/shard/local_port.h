// The way between a client in this process and one shard: batches go over whole and come back with
// their results, through two queues that each have one writer and one reader. Nothing is shared per
// entry, and no lock is taken.
//
// Who may touch a LocalBatch is told by where it is: the client until it pushes it into `submitted`,
// the shard until it pushes it into `answered`. A port has as many batches as its queues have room.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/shard/group.h"
#include "engine/shard/spsc_ring.h"
#include "wire/messages_generated.h"

namespace sluice::shard {

struct LocalBatch {
  /// As BatchBuilder::finish() leaves it. The shard has copied it when it says anything about it.
  std::span<std::byte> bytes;
  /// An earlier batch of this producer and group was handed over, and the client had not heard what
  /// became of it when it began this one: this one may not be the producer's first.
  bool follows = false;

  /// What became of the entries, by offset and count; each entry is named once.
  std::vector<wire::AppendResult> results;

  /// The shard's: entries without a result. 0: the batch is not in the shard's hands.
  std::uint32_t unanswered = 0;
};

class LocalPort {
 public:
  /// The client's end. Called on the shard's thread, from within its loop.
  class Home {
   public:
    virtual ~Home() = default;
    /// Batches came back, or the client was called, or the port was attached or closed just now.
    virtual void on_turn() = 0;
    /// The shard will not touch the port again. The last call.
    virtual void on_closed(LocalPort& port) = 0;
  };

  /// `batches` and `home` outlive the port, and the port lives until on_closed().
  LocalPort(std::span<LocalBatch> batches, Home& home)
      : submitted(batches.size()), answered(batches.size()), batches_(batches), home_(home) {}

  SpscRing<LocalBatch*> submitted;  // client to shard
  SpscRing<LocalBatch*> answered;   // shard to client
  /// The client wants on_turn(). Ring the mailbox behind it.
  std::atomic<bool> called{false};
  /// At home in the shard: on_turn() is wanted at this time of Io::now_ns(). 0: no.
  std::uint64_t turn_at_ns = 0;
  /// What is submitted from now on is not looked at any more; everything that was taken was
  /// answered.
  std::atomic<bool> closed{false};

 private:
  friend class LocalSide;
  std::span<LocalBatch> batches_;
  Home& home_;
  // The shard's.
  ClientRef ref_;
  bool turn_due_ = false;
  LocalBatch* waiting_ = nullptr;  // taken, and found no room
  bool stalled_ = false;           // that one is not tried again until something changed
};

}  // namespace sluice::shard
