// Into how many batches a lane's load is split.
//
// A batch is sent, written, replicated and answered as a whole. With one batch of all that is
// outstanding, the client, the leader's disk and the followers take turns; with several they work side by
// side. Of the same size: the answer to a batch is followed by about as much new load, so that a large one
// and a small one would stay so, and the small one cost every node as much. perf/README.md has figures.
#pragma once

#include <algorithm>
#include <cstddef>

namespace sluice::client {

class BatchSplit {
 public:
  /// No batch is ended below this size for the sake of another: what a batch costs, whatever is in it,
  /// would be more than working side by side gains.
  static constexpr std::size_t smallest_bytes(std::size_t batch_bytes_max) {
    return std::min<std::size_t>(64u << 10, batch_bytes_max / 8);
  }

  /// A batch of so many bytes is full. `load_bytes`: of all that the lane holds, sent and unsent, that
  /// batch included.
  [[nodiscard]] std::size_t full_bytes(std::size_t load_bytes, std::size_t batch_bytes_max) const {
    const std::size_t load = std::max(load_bytes, recent_load_bytes_);
    if (!is_split(load, batch_bytes_max)) return batch_bytes_max;
    const std::size_t wanted =
        std::clamp(divide_up(load, kShareBytes), kBatchesMin, kBatchesMax);
    return divide_up(load, std::max(wanted, divide_up(load, batch_bytes_max)));
  }

  /// Whether a batch is but what the full ones left over: it goes with one before it or waits for more.
  /// On its own it would cost every node as much as a full one, and its answer be followed by as little.
  [[nodiscard]] bool is_rest(std::size_t batch_bytes, std::size_t load_bytes,
                             std::size_t batch_bytes_max) const {
    return is_split(std::max(load_bytes, recent_load_bytes_), batch_bytes_max) &&
           batch_bytes < full_bytes(load_bytes, batch_bytes_max) / 8;
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

  static constexpr bool is_split(std::size_t load_bytes, std::size_t batch_bytes_max) {
    return load_bytes >= 2 * smallest_bytes(batch_bytes_max);
  }
  static constexpr std::size_t divide_up(std::size_t bytes, std::size_t parts) {
    return (bytes + parts - 1) / parts;
  }

  std::size_t recent_load_bytes_ = 0;
};

}  // namespace sluice::client
