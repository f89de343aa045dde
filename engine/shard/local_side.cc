#include "engine/shard/local_side.h"

#include <algorithm>
#include <utility>

#include "wire/batch.h"
#include "wire/check.h"

namespace sluice::shard {

using Taken = Connection::Taken;

namespace {

/// Of one port, at a time: the others wait meanwhile, and so do the sockets.
constexpr int kBatchesAtOnce = 256;

}  // namespace

void LocalSide::attach(LocalPort& port) {
  port.ref_ = {.slot = 0, .local = true, .generation = next_generation_++};
  port.turn_due_ = true;
  ports_.push_back(&port);
}

void LocalSide::close(LocalPort& port) {
  const auto at = std::ranges::find(ports_, &port);
  if (at == ports_.end()) return;
  // First: what becomes known from now on about its batches is for nobody.
  ports_.erase(at);
  end(port);
}

void LocalSide::close_all() {
  while (!ports_.empty()) close(*ports_.back());
}

void LocalSide::end(LocalPort& port) {
  for (LocalBatch& batch : port.batches_) {
    if (batch.unanswered == 0) continue;
    // In this node's log, and perhaps in others': it may commit yet (S48).
    answer_rest(batch, Errc::kConnectionLost);
    give_back(port, batch);
  }
  while (LocalBatch* batch = next(port)) {
    begin(*batch);
    answer_rest(*batch, Errc::kShuttingDown);
    give_back(port, *batch);
  }
  port.closed.store(true);
  port.home_.on_turn();
  port.home_.on_closed(port);
}

void LocalSide::answer_rest(LocalBatch& batch, Errc code) {
  std::ranges::sort(batch.results, {}, &wire::AppendResult::offset);
  const std::uint32_t count = BatchView::trusted(batch.bytes).entry_count();
  const std::size_t known = batch.results.size();
  std::uint32_t next = 0;
  const auto fill_to = [&](std::uint32_t end) {
    if (end == next) return;
    batch.results.emplace_back(0u, 0u, 0u, 0u, next, end - next, 0u,
                               static_cast<std::uint16_t>(code), std::uint16_t{0});
  };
  for (std::size_t i = 0; i < known; ++i) {
    const wire::AppendResult result = batch.results[i];
    fill_to(result.offset());
    next = result.offset() + result.count();
  }
  fill_to(count);
}

void LocalSide::give_back(LocalPort& port, LocalBatch& batch) {
  batch.unanswered = 0;
  port.turn_due_ = true;
  port.answered.push(&batch);
}

void LocalSide::take() {
  // In turn, or the first client would take all the room that there is.
  const std::size_t count = ports_.size();
  for (std::size_t i = 0; i < count; ++i) take(*ports_[(take_from_ + i) % count]);
  if (count > 0) take_from_ = (take_from_ + 1) % count;
}

LocalBatch* LocalSide::next(LocalPort& port) {
  if (port.waiting_ != nullptr) return std::exchange(port.waiting_, nullptr);
  if (port.submitted.empty()) return nullptr;
  LocalBatch* batch = port.submitted.front();
  port.submitted.pop();
  return batch;
}

void LocalSide::begin(LocalBatch& batch) {
  batch.results.clear();
  batch.unanswered = BatchView::trusted(batch.bytes).entry_count();
}

void LocalSide::take(LocalPort& port) {
  for (int i = 0; i < kBatchesAtOnce && !port.stalled_; ++i) {
    LocalBatch* batch = next(port);
    if (batch == nullptr) return;
    begin(*batch);
    const auto id = static_cast<std::uint64_t>(batch - port.batches_.data());
    if (client_side_.append(port.ref_, id, batch->bytes, batch->follows) != Taken::kLater) continue;
    SLUICE_CHECK(batch->results.empty());
    batch->unanswered = 0;
    port.waiting_ = batch;
    port.stalled_ = true;
  }
}

void LocalSide::resume() {
  for (LocalPort* port : ports_) port->stalled_ = false;
}

bool LocalSide::turn() {
  bool any = false;
  for (LocalPort* port : ports_) {
    const bool called = port->called.load(std::memory_order_relaxed) && port->called.exchange(false);
    if (!called && !port->turn_due_) continue;
    port->turn_due_ = false;
    any = true;
    port->home_.on_turn();
  }
  if (any) arm();
  return any;
}

void LocalSide::arm() {
  constexpr std::uint64_t kNever = ~std::uint64_t{0};
  std::uint64_t next_ns = kNever;
  for (const LocalPort* port : ports_) {
    if (port->turn_at_ns != 0) next_ns = std::min(next_ns, port->turn_at_ns);
  }
  if (next_ns == kNever || (timer_.pending() && timer_ns_ <= next_ns)) return;
  if (timer_.pending()) {
    io_.cancel(timer_);  // which ends in on_timer()
    return;
  }
  timer_ns_ = next_ns;
  io_.timer(timer_, next_ns);
}

void LocalSide::on_timer(std::int32_t) {
  for (LocalPort* port : ports_) {
    if (port->turn_at_ns == 0 || port->turn_at_ns > io_.now_ns()) continue;
    port->turn_at_ns = 0;
    port->turn_due_ = true;
  }
  arm();
}

void LocalSide::answer(const ClientRef& client, const wire::AppendResult& result) {
  const auto at = std::ranges::find(ports_, client.generation,
                                    [](const LocalPort* port) { return port->ref_.generation; });
  if (at == ports_.end()) return;  // closed: it was answered then
  LocalPort& port = **at;
  LocalBatch& batch = port.batches_[result.request_id()];
  SLUICE_CHECK(batch.unanswered >= result.count());
  batch.results.push_back(result);
  batch.unanswered -= result.count();
  if (batch.unanswered == 0) give_back(port, batch);
}

bool LocalSide::has_work() const {
  return std::ranges::any_of(ports_, [](const LocalPort* port) {
    return port->turn_due_ || port->called.load() ||
           (!port->stalled_ && (port->waiting_ != nullptr || !port->submitted.empty()));
  });
}

}  // namespace sluice::shard
