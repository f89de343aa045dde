#include "tools/stage_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <string_view>

#include "tools/json.h"
#include "tools/sizes.h"

namespace sluice::tools {
namespace {

struct StageName {
  wire::Stage stage;
  std::string_view key;
  std::string_view words;
};
constexpr StageName kTimes[] = {
    {wire::Stage::Queue, "queue_ms", "queue: taken until its chunk is written"},
    {wire::Stage::Disk, "disk_ms", "leader disk: until that write is done"},
    {wire::Stage::Follower, "follower_ms", "wire and follower disk: until it answers"},
    {wire::Stage::Commit, "commit_ms", "commit: taken until committed (all of these)"},
    {wire::Stage::Reply, "reply_ms", "reply: committed until the answer is sent"},
};

double ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

/// Counts by powers of two: 2^k to 2^(k+1) - 1 at key 2^k.
std::map<std::uint64_t, std::uint64_t> by_powers_of_two(const Distribution& distribution) {
  std::map<std::uint64_t, std::uint64_t> powers;
  for (std::size_t bucket = 0; bucket < Distribution::kBuckets; ++bucket)
    if (const auto count = distribution.count_in(bucket); count > 0)
      powers[std::bit_floor(Distribution::lowest_in(bucket))] += count;
  return powers;
}

Json times_json(const Distribution& distribution) {
  const std::uint64_t count = count_of(distribution);
  if (count == 0) return {};
  const auto at = [&](double share) { return ms(percentile_of(distribution, share)); };
  return {{"count", count}, {"p50", at(0.5)}, {"p90", at(0.9)}, {"p99", at(0.99)}, {"max", at(1)}};
}

Json sizes_json(const Distribution& distribution) {
  const std::uint64_t count = count_of(distribution);
  if (count == 0) return {};
  const auto at = [&](double share) {
    return Distribution::lowest_in(Distribution::bucket_of(percentile_of(distribution, share)));
  };
  Json json = {{"count", count}, {"p50", at(0.5)}, {"p90", at(0.9)}, {"p99", at(0.99)}};
  Json& buckets = json["buckets"] = Json::array();
  for (const auto& [from, hits] : by_powers_of_two(distribution))
    buckets.push_back({{"from", from}, {"to", from == 0 ? 0 : 2 * from - 1}, {"count", hits}});
  return json;
}

std::string sizes_table(std::string_view title, const Distribution& distribution, bool bytes) {
  const std::uint64_t total = count_of(distribution);
  if (total == 0) return {};
  std::string table = fmt::format("  {}\n", title);
  for (const auto& [from, count] : by_powers_of_two(distribution)) {
    const double share = static_cast<double>(count) / static_cast<double>(total);
    const std::string label = bytes ? size_text(from) : fmt::format("{}", from);
    table += fmt::format("    from {:>9}  {:5.1f} %  {}\n", label, share * 100,
                         std::string(static_cast<std::size_t>(share * 40 + 0.5), '#'));
  }
  return table;
}

}  // namespace

void StageCounts::add(std::span<const wire::StageBucket> buckets) {
  for (const wire::StageBucket& bucket : buckets) {
    const auto stage = static_cast<std::size_t>(bucket.stage());
    if (stage < stages_.size() && bucket.bucket() < Distribution::kBuckets)
      stages_[stage].add(bucket.bucket(), bucket.count());
  }
}

StageCounts StageCounts::since(const StageCounts& earlier) const {
  StageCounts difference;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
    for (std::size_t bucket = 0; bucket < Distribution::kBuckets; ++bucket) {
      const std::uint64_t now = stages_[stage].count_in(bucket);
      const std::uint64_t before = earlier.stages_[stage].count_in(bucket);
      if (now < before) return *this;
      difference.stages_[stage].add(bucket, now - before);
    }
  }
  return difference;
}

bool StageCounts::empty() const {
  return std::ranges::all_of(stages_, [](const Distribution& d) { return count_of(d) == 0; });
}

std::uint64_t count_of(const Distribution& distribution) {
  std::uint64_t count = 0;
  for (std::size_t bucket = 0; bucket < Distribution::kBuckets; ++bucket)
    count += distribution.count_in(bucket);
  return count;
}

std::uint64_t percentile_of(const Distribution& distribution, double share) {
  const std::uint64_t count = count_of(distribution);
  if (count == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count)));
  const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, count);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < Distribution::kBuckets; ++bucket) {
    seen += distribution.count_in(bucket);
    if (seen >= rank) return Distribution::highest_in(bucket);
  }
  return Distribution::kValueMax;
}

Json stages_json(const StageCounts& counts) {
  Json json;
  for (const StageName& name : kTimes) json[name.key] = times_json(counts.of(name.stage));
  json["chunk_entries"] = sizes_json(counts.of(wire::Stage::ChunkEntries));
  json["chunk_bytes"] = sizes_json(counts.of(wire::Stage::ChunkBytes));
  return json;
}

std::string stages_table(const StageCounts& counts) {
  if (counts.empty()) return {};
  std::string table = fmt::format("  {:<46}{:>9}{:>9}{:>9}\n",
                                  "where the time of a commit goes (ms)", "p50", "p90", "p99");
  for (const StageName& name : kTimes) {
    const Distribution& stage = counts.of(name.stage);
    if (count_of(stage) == 0) continue;
    table += fmt::format("    {:<44}{:>9.3f}{:>9.3f}{:>9.3f}\n", name.words,
                         ms(percentile_of(stage, 0.5)), ms(percentile_of(stage, 0.9)),
                         ms(percentile_of(stage, 0.99)));
  }
  table += sizes_table("entries of a group commit", counts.of(wire::Stage::ChunkEntries), false);
  table += sizes_table("bytes of a group commit", counts.of(wire::Stage::ChunkBytes), true);
  return table;
}

}  // namespace sluice::tools
