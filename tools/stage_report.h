// What nodes count of their commits (wire::StageBucket): summed over shards and nodes, taken as the
// difference between two moments, and shown.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tools/json_fwd.h"
#include "wire/distribution.h"
#include "wire/messages_generated.h"

namespace sluice::tools {

class StageCounts {
 public:
  StageCounts() = default;
  explicit StageCounts(std::span<const wire::StageBucket> buckets) { add(buckets); }

  /// Buckets and stages that this program does not know are left out: a newer node may have more.
  void add(std::span<const wire::StageBucket> buckets);
  /// What was counted since `earlier`, of the same node. A node that started anew counts from 0:
  /// then all of it.
  [[nodiscard]] StageCounts since(const StageCounts& earlier) const;
  [[nodiscard]] const Distribution& of(wire::Stage stage) const {
    return stages_[static_cast<std::size_t>(stage)];
  }
  [[nodiscard]] bool empty() const;

 private:
  std::array<Distribution, static_cast<std::size_t>(wire::Stage::MAX) + 1> stages_;
};

[[nodiscard]] std::uint64_t count_of(const Distribution& distribution);

/// The largest value of the bucket that holds the wanted rank: at most 1/16 above what was counted.
/// `share` from 0 to 1. 0 if nothing was counted.
[[nodiscard]] std::uint64_t percentile_of(const Distribution& distribution, double share);

/// {"queue_ms":{"count":..,"p50":..,"p90":..,"p99":..,"max":..},...,"chunk_bytes":{"count":..,
/// "p50":..,"p90":..,"p99":..,"buckets":[{"from":..,"to":..,"count":..},...]}}. Times are at most
/// 1/16 above what was counted, sizes at most 1/16 below. A stage that was never counted is null.
[[nodiscard]] Json stages_json(const StageCounts& counts);

/// Lines for people: the stages with their percentiles, then how full the chunks are, by powers of
/// two. Empty if nothing was counted.
[[nodiscard]] std::string stages_table(const StageCounts& counts);

}  // namespace sluice::tools
