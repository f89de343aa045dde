#include "tools/bench_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tools/answers.h"

namespace sluice::tools {
namespace {

/// A follower that is behind gets so long without any progress before the check gives up.
constexpr std::uint64_t kPatienceNs = 60'000'000'000;
constexpr std::uint64_t kRetryNs = 50'000'000;
constexpr std::uint32_t kWaitMs = 1000;
constexpr std::size_t kReadersPerNode = 8;

}  // namespace

BenchVerify::BenchVerify(const std::vector<AckedIndex>& acked, BenchPayload& payload,
                         std::vector<NodeId> nodes)
    : acked_(acked), payload_(payload) {
  const std::size_t lanes = std::min(kReadersPerNode, acked.size());
  for (const NodeId node : nodes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      Reader& reader = readers_.emplace_back();
      reader.node = node;
      reader.group = lane;
      reader.stride = lanes;
      skip_done_groups(reader);
    }
  }
  for (const AckedIndex& group : acked) total_ += group.count() * nodes.size();
}

bool BenchVerify::done() const {
  return !problem_.empty() ||
         std::ranges::all_of(readers_, [&](const Reader& r) { return is_done(r); });
}

void BenchVerify::skip_done_groups(Reader& reader) {
  while (!is_done(reader)) {
    const AckedIndex& acked = acked_[reader.group];
    if (acked.count() != 0 && reader.next <= acked.last()) {
      if (reader.next == Index(0)) reader.next = acked.first();
      return;
    }
    if (reader.checked != acked.count()) {
      return fail_at(reader, acked.last(),
                     fmt::format("{} of {} acknowledged entries are missing",
                                 acked.count() - reader.checked, acked.count()));
    }
    reader.group += reader.stride;
    reader.next = Index(0);
    reader.checked = 0;
  }
}

void BenchVerify::submit(client::Client& client, std::uint64_t now_ns) {
  for (std::size_t i = 0; i < readers_.size() && problem_.empty(); ++i) {
    Reader& reader = readers_[i];
    if (is_done(reader) || reader.asked || now_ns < reader.retry_ns) continue;
    if (reader.progress_ns == 0) reader.progress_ns = now_ns;
    client::ReadOptions options;
    options.group = GroupId(static_cast<std::uint32_t>(reader.group));
    options.from = reader.next;
    options.count_max = std::numeric_limits<std::uint32_t>::max();
    options.wait_ms = kWaitMs;
    options.node = reader.node;
    client.read(i, options);
    reader.asked = true;
  }
}

std::uint64_t BenchVerify::next_due_ns() const {
  std::uint64_t due = 0;
  for (const Reader& reader : readers_)
    if (!is_done(reader) && !reader.asked && (due == 0 || reader.retry_ns < due))
      due = reader.retry_ns;
  return due;
}

void BenchVerify::on_read(std::uint64_t tag, const client::ReadOutcome& outcome,
                          std::uint64_t now_ns) {
  Reader& reader = readers_[tag];
  reader.asked = false;
  if (!problem_.empty() || is_done(reader)) return;
  for (const client::Entry& entry : outcome.entries) check_entry(reader, entry);
  if (outcome.code == Errc::kOk && !outcome.entries.empty()) {
    reader.progress_ns = now_ns;
    if (problem_.empty()) skip_done_groups(reader);
    return;
  }
  // Behind, or away for a moment: ask again, but not for ever.
  reader.retry_ns = now_ns + kRetryNs;
  const bool hopeless = outcome.code == Errc::kTrimmed || outcome.code == Errc::kUnknownGroup;
  if (hopeless || now_ns - reader.progress_ns > kPatienceNs)
    fail_at(reader, reader.next,
            outcome.code == Errc::kOk
                ? fmt::format("the node knows entries up to {} as committed only",
                              outcome.commit_index.value())
                : explain(outcome.code));
}

void BenchVerify::check_entry(Reader& reader, const client::Entry& entry) {
  const AckedIndex& acked = acked_[reader.group];
  if (!problem_.empty() || entry.index < reader.next || entry.index > acked.last()) return;
  if (entry.index != reader.next) return fail_at(reader, reader.next, "the node left it out");
  reader.next = entry.index.next();
  std::uint64_t number = 0;
  if (!acked.find(entry.index, number)) return;  // somebody else's, or not acknowledged
  if (entry.internal || !payload_.matches(number, entry.data))
    return fail_at(reader, entry.index, "the bytes are not those that were acknowledged");
  ++reader.checked;
  ++checked_;
}

void BenchVerify::fail_at(const Reader& reader, Index index, const std::string& what) {
  if (problem_.empty())
    problem_ = fmt::format("node {} group {} index {}: {}", reader.node.value(), reader.group,
                           index.value(), what);
}

}  // namespace sluice::tools
