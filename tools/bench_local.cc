#include "tools/bench_local.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include "tools/client_loop.h"
#include "tools/errors.h"
#include "tools/usage.h"
#include "wire/batch.h"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kBatchBytes = 64u << 10;
constexpr std::uint64_t kBatchesMax = 4096;
constexpr std::chrono::seconds kTurnMax{30};

/// Looks to a BenchLoad like a client::Client.
struct Appender {
  LocalClient& client;
  std::vector<std::uint64_t>& refused;

  void append(std::uint64_t tag, const client::AppendOptions& options,
              std::span<const std::byte> data) {
    const LocalAppend where{
        .group = options.group, .producer = options.producer, .sequence = options.sequence};
    if (client.append(tag, where, data) != Errc::kOk) refused.push_back(tag);
  }
};

}  // namespace

BenchLocal::BenchLocal(Engine& engine, BenchLoad& load, std::uint64_t entry_bytes,
                       std::uint32_t outstanding, std::uint32_t groups,
                       std::uint64_t batch_bytes_max)
    : load_(load) {
  const std::uint64_t batch_bytes =
      std::min(batch_bytes_max, std::max(kBatchBytes, BatchBuilder::size_for(entry_bytes)));
  LocalOptions options;
  options.shard = ShardId(0);
  options.batch_bytes = static_cast<std::uint32_t>(batch_bytes / 8 * 8);
  options.batches = static_cast<std::uint32_t>(std::min<std::uint64_t>(outstanding, kBatchesMax)) +
                    std::min<std::uint32_t>(groups, 32'768);
  auto made = engine.local_client(options, *this);
  if (!made) throw Failure(made.error());
  client_ = std::move(*made);
}

BenchLocal::~BenchLocal() { client_->close(); }

void BenchLocal::run(const std::function<void()>& what) {
  std::unique_lock lock(mutex_);
  wanted_ = &what;
  client_->call();
  if (changed_.wait_for(lock, kTurnMax, [this] { return wanted_ == nullptr; })) return;
  wanted_ = nullptr;
  throw Failure("the node in this process has stopped");
}

void BenchLocal::on_append(std::uint64_t tag, const client::AppendOutcome& outcome) {
  if (turn_ns_ == 0) turn_ns_ = monotonic_ns();
  load_.on_append(tag, outcome, turn_ns_);
}

void BenchLocal::on_turn(LocalClient& client) {
  {
    const std::lock_guard lock(mutex_);
    if (wanted_ != nullptr) {
      (*wanted_)();
      wanted_ = nullptr;
      changed_.notify_all();
    }
  }
  if (turn_ns_ == 0) turn_ns_ = monotonic_ns();
  Appender appender{client, refused_};
  load_.submit(appender, turn_ns_);
  for (const std::uint64_t tag : refused_) {
    load_.on_append(tag, {.status = client::Status::kRefused, .code = Errc::kOverloaded}, turn_ns_);
  }
  refused_.clear();
  if (const std::uint64_t due_ns = load_.next_turn_ns(); due_ns != 0) client.turn_at(due_ns);
  turn_ns_ = 0;
}

}  // namespace sluice::tools
