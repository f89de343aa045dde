#include "engine/client/append_queue.h"

#include <algorithm>
#include <bit>

#include "wire/check.h"

namespace sluice::client {
namespace {

/// Accounted for an entry besides its bytes: its bookkeeping and its length.
constexpr std::uint64_t kEntryCostBytes = sizeof(PendingEntry) + 8;
/// Sent before each entry: its length.
constexpr std::uint64_t kEntryLengthBytes = sizeof(std::uint32_t);
/// And for a batch: its object and the smallest buffer, however little is in it.
constexpr std::uint64_t kBatchCostBytes = BufferPool::kSmallestBytes + sizeof(AppendBatch);
/// A batch begins with no more memory than this, whatever its predecessor needed: what a batch
/// costs and what is accounted for it stay close.
constexpr std::size_t kHintBytesMax = 16u << 10;
/// Sent without an answer, per connection: some times what a node commits in a round trip, and less
/// than the uncommitted bytes that it allows a group.
constexpr std::uint64_t kWindowBytes = 16u << 20;
/// With so many batches of a lane in flight a further one waits for an answer, or until it is large:
/// so large, or half of what a node takes.
constexpr std::uint32_t kSmallBatchesInflightMax = 4;
constexpr std::size_t kLargeBatchBytes = 32u << 10;
/// With so many batches of a connection in flight, of whatever lanes, further lanes wait until they are
/// fewer, or for so many times what an answer takes at present.
constexpr std::uint32_t kBatchesInflightMax = 128;
constexpr std::uint64_t kAnswerTimesMax = 3;
/// An answer that takes longer than this, and than so many times the usual, may be one that nobody
/// will give (a leader that was deposed): what the node says of a further batch tells.
constexpr std::uint64_t kLateNs = 50'000'000;
constexpr std::size_t kSendBytesMax = 4u << 20;
constexpr std::size_t kSendPiecesMax = 1000;
constexpr std::size_t kLanesKept = 4096;  // above it, lanes that rest for kLaneRestNs are forgotten
constexpr std::size_t kPlainLanesMax = 65'536;
constexpr std::uint64_t kLoadRestNs = 1'000'000'000;  // after it a lane's load is a new one
constexpr std::uint64_t kLaneRestNs = 10'000'000'000;
constexpr std::uint64_t kSweepNs = 1'000'000'000;

}  // namespace

AppendQueue::AppendQueue(const Options& options, io::Io& io, Router& router, Outbox& outbox,
                         std::vector<Connection*>& to_pump)
    : inflight_bytes_max_(options.inflight_bytes_max),
      io_(io),
      router_(router),
      outbox_(outbox),
      to_pump_(to_pump),
      batches_(std::min<std::uint64_t>(options.inflight_bytes_max, 64u << 20)) {}

// --- gathering -----------------------------------------------------------------------------------

Errc AppendQueue::obstacle(const AppendOptions& options, std::size_t data_bytes) const {
  if (closed_) return Errc::kShuttingDown;
  if (router_.fault() != Errc::kOk) return router_.fault();
  if (options.producer != kNoProducer) {
    // 0 is before the first, and the one after the last would be 0.
    const std::uint64_t sequence = options.sequence.value();
    if (sequence == 0 || ~sequence == 0) return Errc::kInvalidRequest;
  }
  if (BatchBuilder::size_for(data_bytes) > router_.batch_bytes_max()) return Errc::kTooLarge;
  const std::uint64_t cost_bytes = data_bytes + kEntryCostBytes + kBatchCostBytes;
  if (cost_bytes_ + cost_bytes > inflight_bytes_max_) return Errc::kOverloaded;
  return Errc::kOk;
}

void AppendQueue::append(std::uint64_t tag, const AppendOptions& options,
                         std::span<const std::byte> data) {
  if (const Errc code = obstacle(options, data.size()); code != Errc::kOk) {
    return refuse_at_once(tag, options, code);
  }
  const std::uint64_t now_ns = io_.now_ns();
  Lane& lane = lane_of({options.group, options.producer, options.node});
  if (lane.batches.empty() && lane.used_ns + kLoadRestNs < now_ns) lane.split = {};
  if (lane.missing != Sequence(0) && is_behind_gap(lane, options.sequence)) {
    return refuse_at_once(tag, options, Errc::kSequenceGap);
  }
  gather(lane, options.sequence, data,
         {.tag = tag,
          .deadline_ns = now_ns + std::uint64_t{options.timeout_ms} * 1'000'000,
          .timeout_ms = options.timeout_ms});
  lane.used_ns = now_ns;
  ++lane.unreported;
  ++unreported_;
  if (!active_.contains(lane)) active_.push_back(lane);
  if (!lane.placed()) fresh_.push_back(lane);
}

void AppendQueue::refuse_at_once(std::uint64_t tag, const AppendOptions& options, Errc code) {
  AppendOutcome outcome{.status = Status::kRefused, .code = code};
  const bool leaves_gap =
      code == Errc::kTooLarge || code == Errc::kOverloaded || code == Errc::kSequenceGap;
  if (options.producer == kNoProducer || !leaves_gap) return outbox_.add(tag, outcome);
  Lane& lane = lane_of({options.group, options.producer, options.node});
  lane.used_ns = io_.now_ns();
  if (code == Errc::kSequenceGap) outcome.expected = lane.missing;
  outbox_.add(tag, outcome);
  note_missing(lane, options.sequence);
}

Lane& AppendQueue::lane_of(const LaneKey& key) {
  if (last_lane_ && last_lane_->key == key) return *last_lane_;
  Lane** const plain = plain_lane(key);
  if (plain != nullptr && *plain != nullptr) return *(last_lane_ = *plain);
  auto& lane = lanes_[key];
  if (!lane) {
    lane = std::make_unique<Lane>();
    lane->key = key;
    lane->group = &router_.group(key.group);
  }
  if (plain != nullptr) *plain = lane.get();
  last_lane_ = lane.get();
  return *lane;
}

/// Where the lane of a group's entries without a producer is noted; nullptr for other lanes, and for
/// groups of so high a number that a table of them would be too large.
Lane** AppendQueue::plain_lane(const LaneKey& key) {
  const std::size_t group = key.group.value();
  if (key.producer != kNoProducer || key.node != kNoNode || group >= kPlainLanesMax) return nullptr;
  if (group >= plain_lanes_.size()) plain_lanes_.resize(std::bit_ceil(group + 1));
  return &plain_lanes_[group];
}

void AppendQueue::forget_idle_lanes(std::uint64_t now_ns) {
  std::erase_if(left_behind_, [](const auto& lane) { return lane->batches.empty(); });
  if (now_ns < next_sweep_ns_) return;
  next_sweep_ns_ = now_ns + kSweepNs;
  if (lanes_.size() <= kLanesKept) return;
  last_lane_ = nullptr;
  std::erase_if(lanes_, [&](const auto& item) {
    const Lane& lane = *item.second;
    const bool idle =
        lane.batches.empty() && !lane.placed() && lane.used_ns + kLaneRestNs < now_ns;
    if (Lane** const plain = idle ? plain_lane(lane.key) : nullptr) *plain = nullptr;
    return idle;
  });
}

/// A new open batch in front of `before` (nullptr: at the end).
AppendBatch& AppendQueue::open_batch(Lane& lane, Sequence first, AppendBatch* before,
                                     std::size_t hint_bytes) {
  AppendBatch& batch = batches_.acquire();
  const BatchBuilder::Options options{.cluster = router_.cluster(),
                                      .group = lane.key.group,
                                      .producer = lane.key.producer,
                                      .first_sequence = first};
  batch.lane = &lane;
  batch.opened_ns = io_.now_ns();
  cost_bytes_ += kBatchCostBytes;
  batch.open(batches_.buffers(), options, hint_bytes, router_.batch_bytes_max());
  lane.batches.insert_before(before, batch);
  return batch;
}

/// Adds an entry to an unsent batch. False: no room.
bool AppendQueue::add(Lane& lane, AppendBatch& batch, std::span<const std::byte> data,
                      const PendingEntry& entry) {
  if (!batch.append(batches_.buffers(), data, entry)) return false;
  batch.load_bytes += data.size() + kEntryLengthBytes;
  lane.load_bytes += data.size() + kEntryLengthBytes;
  cost_bytes_ += data.size() + kEntryCostBytes;
  return true;
}

BatchSplit::Place AppendQueue::place_of(const Lane& lane) const {
  const std::uint32_t inflight = lane.port ? lane.port->inflight_batches : 0;
  return {.batch_bytes_max = router_.batch_bytes_max(), .others = inflight - lane.inflight_batches};
}

/// Whether the batch is to get no further entries.
bool AppendQueue::full(const Lane& lane, const AppendBatch& batch) const {
  if (batch.load_bytes < std::min<std::size_t>(BatchSplit::kSmallestBytes, router_.batch_bytes_max() / 2)) {
    return false;
  }
  const BatchSplit::Place place = place_of(lane);
  return BatchSplit::is_split(lane.load_bytes, place) &&
         batch.load_bytes >= lane.split.full_bytes(lane.load_bytes, place);
}

/// Adds an entry to the lane's open batch, or to a new one.
void AppendQueue::gather(Lane& lane, Sequence sequence, std::span<const std::byte> data,
                         const PendingEntry& entry) {
  if (!lane.has_producer()) sequence = Sequence(0);
  AppendBatch* batch = lane.batches.back();
  const bool follows = batch && (!lane.has_producer() || batch->next_sequence() == sequence);
  if (!follows || full(lane, *batch) || !add(lane, *batch, data, entry)) {
    const std::size_t hint_bytes =
        std::max(lane.size_hint_bytes, BatchBuilder::size_for(data.size()));
    batch = &open_batch(lane, sequence, nullptr, hint_bytes);
    SLUICE_CHECK(add(lane, *batch, data, entry));
    if (!lane.next_unsent) lane.next_unsent = batch;
  }
}

// --- finding a way -------------------------------------------------------------------------------

AppendQueue::Port& AppendQueue::port_of(const Connection& connection) {
  const std::size_t number = connection.place().number;
  while (ports_.size() <= number) ports_.push_back(std::make_unique<Port>());
  return *ports_[number];
}

void AppendQueue::want_pump(Connection& connection) {
  if (connection.pump_wanted) return;
  connection.pump_wanted = true;
  to_pump_.push_back(&connection);
}

void AppendQueue::flush() {
  while (Lane* lane = fresh_.pop_front()) dispatch(*lane);
}

void AppendQueue::retry_waiting() {
  for (std::size_t count = waiting_.size(); count > 0 && !waiting_.empty(); --count) {
    dispatch(*waiting_.pop_front());
  }
}

bool AppendQueue::may_send(const Lane& lane) const {
  if (lane.draining) return false;
  if (lane.inflight_batches == 0) return true;
  if (lane.has_producer() && !lane.established) return false;
  // A batch costs each node about the same whatever is in it. Sent as fast as the socket takes them,
  // small ones would keep the nodes busy with themselves; so, as with the writes of a group commit,
  // the answers set the pace, and what comes meanwhile makes the next batch larger.
  const AppendBatch& batch = *lane.next_unsent;
  if (Lane::Batches::after(batch) != nullptr) return true;
  const std::size_t large_bytes =
      std::min<std::size_t>(kLargeBatchBytes, router_.batch_bytes_max() / 2);
  const bool small = batch.size_bytes() < large_bytes;
  const bool in_pace = lane.inflight_batches < kSmallBatchesInflightMax || !small;
  return (in_pace && !may_grow(lane, batch)) || answers_late(lane);
}

/// Whether a batch, with others of its lane in flight, waits for what the caller appends on an answer. In a
/// closed loop that comes with the next answer. Entries that come one by one should not wait for it.
bool AppendQueue::may_grow(const Lane& lane, const AppendBatch& batch) const {
  const BatchSplit::Place place = place_of(lane);
  if (!lane.split.waits(batch.load_bytes, lane.load_bytes, lane.inflight_batches, place)) return false;
  const std::uint64_t between_answers_ns = lane.port->answer_ns / lane.split.batches(lane.load_bytes, place);
  return io_.now_ns() < batch.opened_ns + between_answers_ns / 2;
}

/// The oldest batch in flight has no answer though one should have come.
bool AppendQueue::answers_late(const Lane& lane) const {
  const std::uint64_t usual_ns = kAnswerTimesMax * lane.port->answer_ns;
  return io_.now_ns() >= lane.batches.front()->sent_ns + std::max(usual_ns, kLateNs);
}

/// Puts a lane that is nowhere to where it belongs now.
void AppendQueue::dispatch(Lane& lane) {
  SLUICE_CHECK(!lane.placed());
  if (!lane.next_unsent || !may_send(lane)) return;
  if (lane.inflight_batches > 0 && lane.connection->silent(io_.now_ns()) && !lane.directed() &&
      !lane.left_behind) {
    return leave_silent(lane, io_.now_ns());
  }
  if (lane.inflight_batches == 0) {
    if (io_.now_ns() < lane.retry_at_ns) {
      waiting_.push_back(lane);
      return;
    }
    const Route route = lane.directed() ? router_.to_node(lane.key.node, lane.key.group)
                                        : router_.to_leader(*lane.group);
    if (route.kind == Route::Kind::kNever) {
      refuse_unsent(lane, route.code);
      return;
    }
    lane.connection = route.connection;
    if (route.kind == Route::Kind::kWait) {
      waiting_.push_back(lane);
      return;
    }
  }
  queue(lane, port_of(*lane.connection));
  want_pump(*lane.connection);
}

void AppendQueue::queue(Lane& lane, Port& port) {
  lane.queued_ns = io_.now_ns();
  port.lanes.push_back(lane);
}

void AppendQueue::unplace(Lane& lane) {
  if (!lane.placed()) return;
  if (fresh_.contains(lane)) {
    fresh_.remove(lane);
  } else if (waiting_.contains(lane)) {
    waiting_.remove(lane);
  } else {
    port_of(*lane.connection).lanes.remove(lane);
  }
}

void AppendQueue::refuse_unsent(Lane& lane, Errc code) {
  for (AppendBatch* batch = lane.next_unsent; batch; batch = Lane::Batches::after(*batch)) {
    for (PendingEntry& entry : batch->entries) {
      if (!entry.reported) {
        report(lane, *batch, entry, {.status = Status::kRefused, .code = code});
      }
      resolve(*batch, entry);
    }
  }
  while (lane.next_unsent) drop(*lane.next_unsent);
  tidy(lane);
}

// --- sending -------------------------------------------------------------------------------------

void AppendQueue::fill(Connection& connection, SendBuffer& out) {
  Port& port = port_of(connection);
  const auto has_room = [&] {
    return out.size_bytes() < kSendBytesMax && out.piece_count() < kSendPiecesMax &&
           port.inflight_bytes < kWindowBytes;
  };
  // Thousands of lanes would have an entry on its way each, and all nodes nothing but small batches;
  // but nobody waits much longer than answers take, however many they are. The first waits longest.
  const auto in_pace = [&](const Lane& lane) {
    return port.inflight_batches < kBatchesInflightMax ||
           io_.now_ns() >= lane.queued_ns + kAnswerTimesMax * port.answer_ns;
  };
  while (!port.lanes.empty() && has_room()) {
    const std::size_t first = port.sending.size();
    std::size_t frame_bytes = 0;
    items_.clear();
    // The batches of one frame are together no larger than one batch may be, which every node takes. And
    // a node takes a frame up when all of it is there: what is to be worked on side by side goes alone.
    while (Lane* lane = port.lanes.front()) {
      if (!in_pace(*lane)) break;  // before its batch is sealed: it may grow yet
      AppendBatch* const batch = next_to_send(*lane);
      if (!batch) {
        unplace(*lane);
        tidy(*lane);
        continue;
      }
      const bool alone = batch->size_bytes() >= BatchSplit::kSmallestBytes;
      const bool fits = frame_bytes + batch->size_bytes() <= router_.batch_bytes_max();
      if (frame_bytes > 0 && (alone || !fits)) break;
      if (out.piece_count() + items_.size() >= kSendPiecesMax) break;
      frame_bytes += batch->size_bytes();
      port.lanes.remove(*lane);
      launch(*lane, *batch, connection);
      if (lane->next_unsent && may_send(*lane)) queue(*lane, port);
      if (alone || port.inflight_bytes >= kWindowBytes) break;
    }
    if (items_.empty()) return;
    auto& envelope = out.envelope();
    const auto items = envelope.CreateVectorOfStructs(items_);
    envelope.Finish(wire::CreateClientAppend(envelope, items));
    out.add_frame(FrameKind::kClientAppend, frame_bytes);
    for (std::size_t i = first; i < port.sending.size(); ++i) {
      out.add_batch(port.sending[i]->bytes());
    }
  }
}

/// The lane's next batch, sealed and whole; nullptr if nothing of it may be sent now.
AppendBatch* AppendQueue::next_to_send(Lane& lane) {
  while (AppendBatch* batch = lane.next_unsent) {
    const bool whole = batch->unresolved == batch->entries.size();
    if (whole && batch->size_bytes() <= router_.batch_bytes_max()) {
      if (!may_send(lane)) return nullptr;
      absorb_rest(lane, *batch);
      batch->seal(router_.cluster());
      lane.size_hint_bytes = std::min(batch->size_bytes(), kHintBytesMax);
      return batch;
    }
    rebuild(lane, *batch);
  }
  return nullptr;
}

/// Adds what is left over behind a batch to it, if that is little. What was sent before stays as it was:
/// as a batch that is already in the log a node knows it again at once.
void AppendQueue::absorb_rest(Lane& lane, AppendBatch& batch) {
  AppendBatch* const rest = Lane::Batches::after(batch);
  if (!rest || Lane::Batches::after(*rest) || batch.sealed() || rest->sealed()) return;
  if (!lane.split.is_rest(rest->load_bytes, lane.load_bytes, place_of(lane))) return;
  if (batch.size_bytes() + rest->size_bytes() > router_.batch_bytes_max()) return;
  if (rest->unresolved < rest->entries.size()) return;
  if (lane.has_producer() && batch.next_sequence() != rest->sequence_of(0)) return;
  rest->for_each_entry([&](std::size_t i, std::span<const std::byte> data) {
    SLUICE_CHECK(add(lane, batch, data, rest->entries[i]));
  });
  drop(*rest);
}

/// Replaces an unsent batch by batches of what is still to be sent of it: some of its entries ended
/// meanwhile, or the node takes smaller batches than those that we began with.
void AppendQueue::rebuild(Lane& lane, AppendBatch& batch) {
  AppendBatch* first = nullptr;
  AppendBatch* part = nullptr;
  std::optional<Sequence> refused;
  batch.for_each_entry([&](std::size_t i, std::span<const std::byte> data) {
    PendingEntry& entry = batch.entries[i];
    if (entry.resolved) return;
    if (BatchBuilder::size_for(data.size()) > router_.batch_bytes_max()) {
      if (!entry.reported) {
        report(lane, batch, entry, {.status = Status::kRefused, .code = Errc::kTooLarge});
      }
      resolve(batch, entry);
      if (!refused) refused = batch.sequence_of(i);
      return;
    }
    const Sequence sequence = lane.has_producer() ? batch.sequence_of(i) : Sequence(0);
    const bool follows = part && (!lane.has_producer() || part->next_sequence() == sequence);
    if (!follows || !add(lane, *part, data, entry)) {
      part = &open_batch(lane, sequence, &batch, batch.size_bytes());
      SLUICE_CHECK(add(lane, *part, data, entry));
      if (!first) first = part;
    }
  });
  if (first) lane.next_unsent = first;
  drop(batch);
  if (refused && lane.has_producer()) forgo(lane, *refused);
}

/// Counts a batch as sent: from here on nobody can say that it is certainly in no log.
void AppendQueue::launch(Lane& lane, AppendBatch& batch, Connection& connection) {
  Port& port = port_of(connection);
  batch.state = AppendBatch::State::kInFlight;
  batch.unanswered = static_cast<std::uint32_t>(batch.entries.size());
  batch.request_id = transmissions_.add(batch, connection.place().number);
  ++batch.sends;
  connection.expect();
  ++lane.inflight_batches;
  lane.connection = &connection;
  lane.next_unsent = Lane::Batches::after(batch);
  port.inflight_bytes += batch.size_bytes();
  ++port.inflight_batches;
  lane.port = &port;
  lane.split.note_load(lane.load_bytes);
  batch.sent_ns = io_.now_ns();
  port.sending.push_back(&batch);
  items_.emplace_back(batch.request_id, lane.key.group.value(),
                      static_cast<std::uint32_t>(batch.size_bytes()));
}

void AppendQueue::on_send_over(Connection& connection) {
  Port& port = port_of(connection);
  for (AppendBatch* batch : port.sending) {
    --batch->sends;
    if (!batch->lane) recycle_unread(*batch);
  }
  port.sending.clear();
}

// --- the end of a batch --------------------------------------------------------------------------

/// Takes a batch out of its lane. Its memory comes back once no send reads it any more.
void AppendQueue::drop(AppendBatch& batch) {
  Lane& lane = *batch.lane;
  if (batch.state == AppendBatch::State::kInFlight) {
    transmissions_.remove(batch.request_id);
    end_transmission(batch);
  }
  if (batch.former_id != 0) transmissions_.remove(batch.former_id);
  if (lane.next_unsent == &batch) lane.next_unsent = Lane::Batches::after(batch);
  lane.batches.remove(batch);
  lane.load_bytes -= batch.load_bytes;
  batch.lane = nullptr;
  recycle_unread(batch);
}

void AppendQueue::recycle_unread(AppendBatch& batch) {
  if (batch.sends > 0) return;
  cost_bytes_ -= kBatchCostBytes + batch.load_bytes +
                 batch.entries.size() * (kEntryCostBytes - kEntryLengthBytes);
  batches_.release(batch);
}

void AppendQueue::close() {
  closed_ = true;
  for (Lane* lane = active_.front(); lane;) {
    Lane* const next = IntrusiveList<Lane, &Lane::active>::after(*lane);
    for (AppendBatch* batch = lane->batches.front(); batch; batch = Lane::Batches::after(*batch)) {
      for (PendingEntry& entry : batch->entries) {
        if (entry.reported) continue;
        const bool sent = batch->state == AppendBatch::State::kInFlight && !entry.answered;
        entry.ever_unknown |= sent;
        report(*lane, *batch, entry,
               {.status = Status::kRefused,
                .code = entry.ever_unknown ? Errc::kConnectionLost : Errc::kShuttingDown});
      }
    }
    tidy(*lane);
    lane = next;
  }
}

}  // namespace sluice::client
