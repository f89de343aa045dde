// Into how many batches a lane's load is split.
//
// A batch is sent, written, replicated and answered as a whole. With one batch of all that is
// outstanding, the client, the leader's disk and the followers take turns; with several they work side by
// side. Of the same size: the answer to a batch is followed by about as much new load, so that a large one
// and a small one would stay so, and the small one cost every node as much. perf/README.md has figures.
#pragma once

#include <algorithm>
#include <cstddef>

#include "wire/batch.h"

namespace sluice::client {

class BatchSplit {
 public:
  /// No batch is ended below this size for the sake of another: what a batch costs, whatever is in it,
  /// would be more than working side by side gains.
  static constexpr std::size_t kSmallestBytes = 64u << 10;

  /// What the lane stands beside, at this moment.
  struct Place {
    std::size_t batch_bytes_max;  // that its node takes
    std::size_t others;           // batches of other lanes in flight on its connection
  };

  /// Whether so much is more than one batch. `load_bytes`: of all that the lane holds, sent and unsent.
  static constexpr bool is_split(std::size_t load_bytes, const Place& place) {
    return (load_bytes >= 2 * kSmallestBytes && place.others < kBatchesMax) ||
           load_bytes > usable_bytes(place);
  }

  /// Of how many batches of one size the load is to be; also what a moment ago was load counts.
  [[nodiscard]] std::size_t batches(std::size_t load_bytes, const Place& place) const {
    const std::size_t load = std::max(load_bytes, recent_load_bytes_);
    // Enough of other lanes keeps everyone busy.
    const bool wanted = load >= 2 * kSmallestBytes && place.others < kBatchesMax;
    const std::size_t least = divide_up(load, usable_bytes(place));
    if (!wanted) return least;
    return std::max(least, std::clamp(divide_up(load, kShareBytes), kBatchesMin, kBatchesMax));
  }

  /// A batch of so many bytes is full.
  [[nodiscard]] std::size_t full_bytes(std::size_t load_bytes, const Place& place) const {
    const std::size_t load = std::max(load_bytes, recent_load_bytes_);
    return divide_up(load, std::max<std::size_t>(batches(load_bytes, place), 1));
  }

  /// Whether a batch is but what the full ones left over: it goes with one before it or waits for more.
  /// On its own it would cost every node as much as a full one, and its answer be followed by as little.
  [[nodiscard]] bool is_rest(std::size_t batch_bytes, std::size_t load_bytes, const Place& place) const {
    return is_split(load_bytes, place) && batch_bytes < full_bytes(load_bytes, place) / 8;
  }

  /// Whether a batch that may still grow waits, with so many of its lane in flight, for what the caller
  /// appends on an answer. So batches of different sizes, as they are when the load is not known yet,
  /// become as many as wanted and of one size.
  [[nodiscard]] bool waits(std::size_t batch_bytes, std::size_t load_bytes, std::size_t inflight,
                           const Place& place) const {
    if (!is_split(load_bytes, place)) return false;
    const std::size_t full = full_bytes(load_bytes, place);
    return batch_bytes < full / 8 || (inflight >= batches(load_bytes, place) && batch_bytes < full);
  }

  /// To be told with each batch that is sent. Between the answer to a batch and what the caller appends
  /// on it the load is less than it was and will be; so it falls by no more than an eighth at a time.
  void note_load(std::size_t load_bytes) {
    recent_load_bytes_ = std::max(load_bytes, recent_load_bytes_ - recent_load_bytes_ / 8);
  }

 private:
  /// For so much more there is one batch more. With what it may absorb it fits a buffer of 320 KiB.
  static constexpr std::size_t kShareBytes = 280u << 10;
  static constexpr std::size_t kBatchesMin = 2;
  /// More do not keep anyone busier, and cost more than larger ones.
  static constexpr std::size_t kBatchesMax = 8;

  static constexpr std::size_t divide_up(std::size_t bytes, std::size_t parts) {
    return (bytes + parts - 1) / parts;
  }
  /// For entries in the largest batch. (Where it holds none, an entry is refused.)
  static constexpr std::size_t usable_bytes(const Place& place) {
    return std::max(place.batch_bytes_max, kBatchHeaderBytes + 8) - kBatchHeaderBytes;
  }

  std::size_t recent_load_bytes_ = 0;
};

}  // namespace sluice::client
