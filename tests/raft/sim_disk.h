// The disk of a simulated node: one stream of records, durable in the order of the writes.
//
// A crash keeps any prefix of what was written, at least what was reported as durable: what is
// durable and not yet reported is as good a trap as what was reported and is not durable.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "engine/raft/messages.h"
#include "wire/check.h"

namespace sluice::raft::sim {

/// A batch with a value that nothing else has, and a hash over it and all before it (the chain).
struct Batch {
  BatchInfo info;
  std::uint64_t value = 0;
  std::uint64_t chain = 0;
};

class Disk {
 public:
  void write(const Batch& batch) { pending_.push_back({batch, std::nullopt}); }
  void write(const HardState& state) { pending_.push_back({std::nullopt, state}); }
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }

  /// What one group commit reports.
  struct Completed {
    std::vector<BatchInfo> batches;
    std::optional<HardState> hard_state;
  };

  /// The first `records` pending writes reach the platter.
  Completed complete(std::size_t records) {
    SLUICE_CHECK(records <= pending_.size());
    Completed completed;
    for (; records > 0; --records) {
      const Record record = pending_.front();
      pending_.pop_front();
      if (record.hard_state) {
        hard_state_ = *record.hard_state;
        completed.hard_state = hard_state_;
      } else {
        apply(*record.batch);
        completed.batches.push_back(record.batch->info);
      }
    }
    return completed;
  }

  /// Power failure: `surviving` of the pending writes made it, nobody heard of it.
  void crash(std::size_t surviving) {
    static_cast<void>(complete(surviving));
    pending_.clear();
  }

  void trim_to(Index first, Term prev_term) {
    while (!batches_.empty() && batches_.front().info.last_index() < first) {
      batches_.erase(batches_.begin());
    }
    prev_index_ = first.prev();
    prev_term_ = prev_term;
  }

  [[nodiscard]] const HardState& hard_state() const { return hard_state_; }
  [[nodiscard]] const std::vector<Batch>& batches() const { return batches_; }
  [[nodiscard]] Index prev_index() const { return prev_index_; }
  [[nodiscard]] Term prev_term() const { return prev_term_; }
  [[nodiscard]] Index last_index() const {
    return batches_.empty() ? prev_index_ : batches_.back().info.last_index();
  }

 private:
  struct Record {
    std::optional<Batch> batch;
    std::optional<HardState> hard_state;
  };

  /// A batch stands for the truncation of all that it contradicts.
  void apply(const Batch& batch) {
    while (!batches_.empty() && batches_.back().info.last_index() >= batch.info.first_index) {
      batches_.pop_back();
    }
    SLUICE_CHECK(last_index().next() == batch.info.first_index);
    batches_.push_back(batch);
  }

  std::deque<Record> pending_;
  std::vector<Batch> batches_;
  HardState hard_state_;
  Index prev_index_;
  Term prev_term_;
};

}  // namespace sluice::raft::sim
