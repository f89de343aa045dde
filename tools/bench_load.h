// The load of a benchmark: entries that go out in a closed or an open loop, and what became of
// them.
//
// Closed loop: a fixed number of entries is without an answer at any time. Open loop: an entry is
// due every 1/rate seconds whatever the cluster does, and its latency counts from the moment it was
// due: a cluster that stalls cannot hide it by being asked less.
//
// Nothing is allocated per entry: a tag is a slot of a fixed table.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/client/client.h"
#include "tools/acked_index.h"
#include "tools/bench_payload.h"
#include "tools/histogram.h"

namespace sluice::tools {

class BenchLoad {
 public:
  struct Options {
    std::uint32_t groups = 1;
    std::uint32_t outstanding = 256;  // entries without an answer, at most
    double rate = 0;                  // entries per second; 0: closed loop
    std::uint32_t timeout_ms = 5000;
    bool producers = false;    // number the entries, so that a retry lands once
    std::uint64_t run_id = 0;  // random; also the seed of everything else here
  };

  BenchLoad(const Options& options, BenchPayload& payload);

  /// From now on entries are due. `now_ns` is monotonic_ns().
  void start(std::uint64_t now_ns);
  /// Hands the client what is due and has a slot. Call once per loop. `client` is a client::Client,
  /// or whatever else has its append().
  template <class Client>
  void submit(Client& client, std::uint64_t now_ns);
  /// Nothing falls due from `end_ns` on. Open loop: what was due before and had no slot still goes
  /// out through submit(), so that a stall at the end shows. Closed loop: as stop().
  void finish(std::uint64_t end_ns);
  /// No more entries from now on; those under way get their answers.
  void stop();
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome, std::uint64_t now_ns);

  /// Open loop: when the next entry is due; 0 if none can go anyway.
  [[nodiscard]] std::uint64_t next_due_ns() const;
  /// Open loop: when to call submit() again at the latest; 0 likewise. Entries that are due within
  /// kSliceNs go out together, or the generator would be awake all the time and take the processor
  /// from what it measures. What that adds to their latencies is in the figures.
  [[nodiscard]] std::uint64_t next_turn_ns() const;
  static constexpr std::uint64_t kSliceNs = 50'000;
  /// After finish(): entries were due that did not go out yet.
  [[nodiscard]] bool behind() const { return unsent_now() > 0; }
  [[nodiscard]] bool idle() const { return free_.size() == slots_.size(); }

  /// Latencies since the last take, in ns.
  [[nodiscard]] const Histogram& recent() const { return recent_; }
  void take_recent(Histogram& into) {
    into.merge(recent_);
    recent_.clear();
  }

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }
  /// Of these, what was not trimmed since.
  [[nodiscard]] std::uint64_t remembered() const;
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] std::uint64_t unknown() const { return unknown_; }
  /// Open loop: were due before finish() and had not gone out at stop().
  [[nodiscard]] std::uint64_t unsent() const { return unsent_; }
  /// The cluster gave one index to two entries: it is broken.
  [[nodiscard]] bool contradicted() const { return contradicted_; }
  /// By group.
  [[nodiscard]] const std::vector<AckedIndex>& acked() const { return acked_; }
  [[nodiscard]] std::vector<AckedIndex>& acked() { return acked_; }

 private:
  struct Slot {
    std::uint64_t number = 0;
    std::uint64_t from_ns = 0;  // its latency counts from here
  };
  struct Producer {
    ProducerId id;
    Sequence next;
  };
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  [[nodiscard]] std::uint64_t due_ns(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t unsent_now() const;
  template <class Client>
  void send(Client& client, std::uint64_t from_ns);
  void renew(Producer& producer);

  const Options options_;
  BenchPayload& payload_;
  bool running_ = false;
  std::uint64_t start_ns_ = 0;
  std::uint64_t end_ns_ = kNever;  // of finish()
  std::uint64_t next_number_ = 0;
  std::vector<Slot> slots_;          // by tag
  std::vector<std::uint32_t> free_;  // tags
  std::vector<Producer> producers_;  // by group
  std::uint64_t producers_made_ = 0;
  std::vector<AckedIndex> acked_;  // by group
  Histogram recent_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t unknown_ = 0;
  std::uint64_t unsent_ = 0;
  bool contradicted_ = false;
};

template <class Client>
void BenchLoad::submit(Client& client, std::uint64_t now_ns) {
  if (options_.rate <= 0) {
    while (running_ && !free_.empty()) send(client, now_ns);
    return;
  }
  for (std::uint64_t due = next_due_ns(); due != 0 && due <= now_ns; due = next_due_ns())
    send(client, due);
}

template <class Client>
void BenchLoad::send(Client& client, std::uint64_t from_ns) {
  if (next_number_ > AckedIndex::kNumberMax) return stop();
  const std::uint32_t tag = free_.back();
  free_.pop_back();
  const std::uint64_t number = next_number_++;
  const auto group = static_cast<std::uint32_t>(number % options_.groups);
  slots_[tag] = {number, from_ns};
  client::AppendOptions append;
  append.group = GroupId(group);
  append.timeout_ms = options_.timeout_ms;
  if (options_.producers) {
    append.producer = producers_[group].id;
    append.sequence = producers_[group].next;
    producers_[group].next = append.sequence.next();
  }
  client.append(tag, append, payload_.entry(number));
}

}  // namespace sluice::tools
