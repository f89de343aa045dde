// BenchRun: the way to the first recycled segment.
//
// A node's first segments are made while it writes, and each byte of them is written twice (zeros,
// then chunks): that is not how it lives later, when it writes into segments that it had before. So
// a cluster of the benchmark's own is first filled with entries of another load, which live under
// the same retention, until a segment is used for the second time: then the nodes have all the
// segments that this retention takes. What the filling leaves is read back and compared, and gives
// way to the load itself as that grows (bench_retention.h). If it were trimmed at once, the nodes
// would unlink what they have no use for, and make it anew in the middle of the measurement.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "tools/bench_run.h"
#include "tools/segment_watch.h"
#include "tools/usage.h"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kRecycleNsMax = 30 * kSecondNs;
/// Kept while filling, beyond what the load itself keeps: what is trimmed is given back a moment later.
constexpr std::uint64_t kSegmentsMore = 2;
/// Large entries fill fast, but each group keeps some dozens of them: with many groups smaller ones.
constexpr std::uint64_t kFillEntryBytesMin = 256, kFillEntryBytesMax = 16u << 10;
constexpr std::uint64_t kFillGroupsBytes = 4u << 20;  // entry bytes, summed over the groups
constexpr std::uint64_t kFillBytesInFlight = 16u << 20;

}  // namespace

void BenchRun::recycle_segments(ClientLoop& loop) {
  if (!settings_.quiet)
    fmt::print(stderr, "warming up until segments are recycled, for {} s at most\n",
               kRecycleNsMax / kSecondNs);
  std::vector<std::string> directories;
  for (std::uint32_t node = 1; node <= report_.nodes; ++node)
    directories.push_back(fmt::format("{}/node-{}/shard-0", cluster_->directory(), node));
  SegmentWatch watch(std::move(directories));
  const std::uint64_t began_ns = monotonic_ns();
  const std::uint64_t until_ns = began_ns + kRecycleNsMax;
  const bool reached = fill(loop, until_ns, [&watch] {
    watch.look();
    return watch.all_recycled();
  });
  report_.recycled = reached;
  report_.warm_up = fmt::format(
      "{:.1f} s, {}; then {:.1f} s of load", static_cast<double>(monotonic_ns() - began_ns) / 1e9,
      reached ? "past the first recycled segment"
              : fmt::format("no segment was recycled within {} s", kRecycleNsMax / kSecondNs),
      settings_.warm_up_s);
}

/// Appends until `enough` says so, and compares what was acknowledged and is still there. False: the
/// time was over before, or something is wrong (report_.problem).
bool BenchRun::fill(ClientLoop& loop, std::uint64_t until_ns, const std::function<bool()>& enough) {
  const std::uint64_t run_id = loop.io().random();
  const std::uint64_t entry_bytes =
      std::min(std::clamp(kFillGroupsBytes / report_.groups, kFillEntryBytesMin, kFillEntryBytesMax),
               report_.batch_bytes_max - 128);
  const auto outstanding = static_cast<std::uint32_t>(kFillBytesInFlight / entry_bytes);
  BenchPayload payload(run_id, entry_bytes);
  BenchLoad load({.groups = report_.groups,
                  .outstanding = outstanding,
                  .timeout_ms = settings_.target.timeout_ms,
                  .run_id = run_id},
                 payload);
  load_ = &load;
  retention_.emplace(BenchRetention::Options{
      .bytes = report_.retain_bytes + kSegmentsMore * report_.segment_bytes,
      .groups = report_.groups,
      .entry_bytes = entry_bytes,
      .outstanding = outstanding});
  shown_entry_bytes_ = entry_bytes;
  bool done = false;
  Histogram ignored;
  const std::uint64_t start_ns = monotonic_ns();
  load.start(start_ns);
  shown_from_ns_ = start_ns;
  shown_ns_ = until_ns - std::min(start_ns, until_ns);
  drive(loop, load, until_ns, ignored, "filling", [&] { return done = enough(); });
  load.stop();
  drain(loop, load);
  bar_.clear();
  report_.problem = verify(loop, load, payload);
  report_.trimmed = 0;  // of the load to come
  filled_.clear();
  for (const AckedIndex& acked : load.acked()) {
    filled_.push_back(acked.count() == 0 ? BenchRetention::Older{}
                                         : BenchRetention::Older{acked.first(), acked.last()});
  }
  filled_entry_bytes_ = entry_bytes;
  return done && report_.problem.empty();
}

void BenchRun::trim(ClientLoop& loop, std::size_t group, Index first) {
  ++trims_;
  loop.client().trim(group, GroupId(static_cast<std::uint32_t>(group)), first,
                     settings_.target.timeout_ms);
}

}  // namespace sluice::tools
