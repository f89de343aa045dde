// BenchRun: the way to the first recycled segment.
//
// A node's first segments are made while it writes, and each byte of them is written twice (zeros,
// then chunks): that is not how it lives later, when it writes into segments that it had before. So
// a cluster of the benchmark's own is first filled with entries of another load, which are read
// back, compared and then trimmed, and filled again until a segment is used for the second time.
// From there on the load itself is trimmed behind (bench_retention.h).
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
/// Two full ones, the one being written, and the one that is prepared.
constexpr std::size_t kSegmentsToFill = 4;
constexpr std::uint64_t kFillEntryBytes = 16u << 10;
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
  const auto filled = [&watch] {
    watch.look();
    return watch.all_hold(kSegmentsToFill);
  };
  const auto recycled = [&watch] {
    watch.look();
    return watch.all_recycled();
  };
  const bool reached =
      fill(loop, until_ns, filled, /*trim=*/true) && fill(loop, until_ns, recycled, /*trim=*/false);
  report_.recycled = reached;
  report_.warm_up = fmt::format(
      "{:.1f} s, {}; then {:.1f} s of load", static_cast<double>(monotonic_ns() - began_ns) / 1e9,
      reached ? "past the first recycled segment"
              : fmt::format("no segment was recycled within {} s", kRecycleNsMax / kSecondNs),
      settings_.warm_up_s);
}

/// Appends until `enough` says so, and compares what was acknowledged. False: the time was over
/// before, or something is wrong (report_.problem).
bool BenchRun::fill(ClientLoop& loop, std::uint64_t until_ns, const std::function<bool()>& enough,
                    bool trim) {
  const std::uint64_t run_id = loop.io().random();
  const std::uint64_t entry_bytes = std::min(kFillEntryBytes, report_.batch_bytes_max - 128);
  BenchPayload payload(run_id, entry_bytes);
  BenchLoad load({.groups = report_.groups,
                  .outstanding = static_cast<std::uint32_t>(kFillBytesInFlight / entry_bytes),
                  .timeout_ms = settings_.target.timeout_ms,
                  .run_id = run_id},
                 payload);
  load_ = &load;
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
  if (trim && report_.problem.empty()) trim_all(loop, load.acked());
  return done && report_.problem.empty();
}

void BenchRun::trim_all(ClientLoop& loop, const std::vector<AckedIndex>& acked) {
  for (std::size_t group = 0; group < acked.size(); ++group) {
    if (acked[group].count() == 0) continue;
    trim(loop, group, acked[group].last().next());
  }
  // One that fails leaves its segments: they are then not recycled in time, and the report says so.
  while (trims_ > 0) turn(loop);
}

void BenchRun::trim(ClientLoop& loop, std::size_t group, Index first) {
  ++trims_;
  loop.client().trim(group, GroupId(static_cast<std::uint32_t>(group)), first,
                     settings_.target.timeout_ms);
}

}  // namespace sluice::tools
