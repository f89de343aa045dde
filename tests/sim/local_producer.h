// A client in the process of a node, at home in one of its shards: what engine/local_client.h does
// over a LocalPort, with outcomes that are believed to the letter. (The class itself waits on
// condition variables and descriptors of the system, which nothing here has.)
//
// It lives as long as its shard. What it appended when the node is killed nobody hears of: it may be
// in the log or not.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/shard/local_port.h"
#include "engine/shard/mailbox.h"
#include "tests/sim/random.h"
#include "tests/sim/shadow_log.h"
#include "tests/sim/world.h"

namespace sluice::sim {

/// Of all nodes' local producers together.
struct LocalWorkload {
  World& world;
  ShadowLog& shadow;
  std::uint32_t groups = 1;
  std::uint32_t interval_us = 5000;
  std::uint32_t burst = 4;  // batches at most, at a time
  std::uint32_t entry_bytes_max = 200;
  bool numbered = true;   // some entries have a producer and a sequence
  bool draining = false;  // no entries from now on
};

class LocalProducer final : private shard::LocalPort::Home {
 public:
  struct Place {
    std::string node;          // its name
    std::uint64_t machine = 0;
    std::uint64_t start = 0;   // the how manieth process there
    ShardId shard;
    std::uint32_t shards = 1;
    std::uint32_t batch_bytes_max = 0;
  };

  LocalProducer(LocalWorkload& workload, const Place& place, io::Io& io);

  void attach(shard::Mailbox& mailbox) { (void)mailbox.attach(port_); }

  /// Compares what was acknowledged during a step of the shard, once what it committed in that step is
  /// known.
  void check_acknowledged();

 private:
  struct Item {
    Uid uid = 0;
    Sequence sequence;
    std::uint32_t size_bytes = 0;
    enum class State : std::uint8_t { kToSend, kInFlight, kDone } state = State::kToSend;
    bool maybe = false;  // an earlier batch with it may have entered the log
  };
  /// The one producer of a group. After any outcome but ok it waits until it has heard of all that it
  /// handed over, then appends again, in order, what is not acknowledged.
  struct Stream {
    ProducerId id;
    Sequence next{1};
    std::deque<Item> window;
    std::uint32_t batches_in_flight = 0;
    bool again = false;
  };
  struct Batch {
    std::vector<std::uint64_t> memory;
    bool free = true;
    bool numbered = false;
    GroupId group;
    std::vector<Uid> uids;
  };

  void on_turn() override;
  void on_closed(shard::LocalPort&) override {}

  void hear(shard::LocalBatch& answered);
  void hear_plain(const Batch& batch, const wire::AppendResult& result);
  void hear_numbered(const Batch& batch, const wire::AppendResult& result);
  void issue();
  void append_plain(GroupId group);
  void append_numbered(GroupId group);
  void send_waiting(GroupId group, Stream& stream);
  [[nodiscard]] std::size_t free_batch() const;
  [[nodiscard]] std::uint32_t any_size();
  void hand_over(std::size_t number, std::span<const std::uint32_t> sizes, ProducerId producer,
                 Sequence first, bool follows);
  [[nodiscard]] Uid next_uid();

  LocalWorkload& workload_;
  const Place place_;
  io::Io& io_;
  Random random_;
  std::vector<Batch> own_;
  std::vector<shard::LocalBatch> batches_;  // by the same numbers
  shard::LocalPort port_;
  std::map<GroupId, Stream> streams_;
  std::vector<std::pair<ShadowLog::Place, Uid>> acknowledged_;  // in this step
  std::uint64_t next_ns_ = 0;
  std::uint64_t next_uid_ = 1;
};

}  // namespace sluice::sim
