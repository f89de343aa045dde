// What becomes of appends: answers, lost connections, time-outs.
#include <algorithm>
#include <utility>

#include "engine/client/append_queue.h"
#include "wire/check.h"
#include "wire/prefetch.h"

namespace sluice::client {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kRetryMinNs = 20 * kMillisecond;
constexpr std::uint64_t kRetrySpreadNs = 30 * kMillisecond;
/// So long a lane waits for answers before it sends again without them.
constexpr std::uint64_t kDrainNs = 100 * kMillisecond;
/// A connection is not suspected for less silence than this, however short the time-out was.
constexpr std::uint64_t kSilenceMinNs = 1000 * kMillisecond;

/// Passes by itself, here or on another node.
bool is_passing(Errc code) {
  return code == Errc::kOverloaded || code == Errc::kNoSpace || code == Errc::kUnreachable ||
         code == Errc::kShuttingDown || code == Errc::kNotLeader;
}

}  // namespace

// --- answers -------------------------------------------------------------------------------------

bool AppendQueue::on_reply(Connection& connection, const wire::ClientAppendReply& reply) {
  if (!reply.results()) return true;
  // Each result is about another batch, and thousands of them are in no cache.
  const auto& results = *reply.results();
  const std::size_t number = connection.place().number;
  const auto batch_at = [&](flatbuffers::uoffset_t at) -> const AppendBatch* {
    if (at >= results.size()) return nullptr;
    return transmissions_.find(results.Get(at)->request_id(), number);
  };
  constexpr flatbuffers::uoffset_t kFar = 6, kNear = 3;
  for (flatbuffers::uoffset_t i = 0; i < results.size(); ++i) {
    if (const AppendBatch* const batch = batch_at(i + kFar)) prefetch_object(*batch);
    if (const AppendBatch* const batch = batch_at(i + kNear)) {
      prefetch_object(*batch->lane);
      __builtin_prefetch(batch->entries.data());
    }
    if (!on_result(connection, *results.Get(i))) return false;
  }
  return true;
}

bool AppendQueue::on_result(Connection& connection, const wire::AppendResult& result) {
  AppendBatch* const batch = transmissions_.find(result.request_id(), connection.place().number);
  if (!batch) return true;  // everybody it concerned has an outcome already
  const std::size_t offset = result.offset();
  const std::size_t count = result.count();
  if (count == 0 || offset + count > batch->entries.size()) return false;

  if (result.request_id() == batch->former_id) {
    on_late_result(*batch, result);
    return true;
  }
  Lane& lane = *batch->lane;
  const auto code = static_cast<Errc>(result.code());
  const NodeId leader(result.leader_id());
  const Verdict verdict = judge(lane, *batch, offset, code);
  AppendOutcome outcome{.code = code, .leader = leader};
  if (code == Errc::kSequenceGap) outcome.expected = Sequence(result.expected_sequence());
  if (code == Errc::kOk) outcome.term = Term(result.term());

  for (std::size_t i = 0; i < count; ++i) {
    PendingEntry& entry = batch->entries[offset + i];
    if (entry.answered) continue;
    entry.answered = true;
    --batch->unanswered;
    if (code == Errc::kOk) outcome.index = Index(result.first_index()) + i;
    settle(lane, *batch, offset + i, verdict, outcome);
  }
  if (verdict == Verdict::kDone) {
    lane.established = true;  // a drain ends in rewind(), which takes it back
    lane.redirects = 0;
    if (lane.group->leader == kNoNode && !lane.directed()) {
      router_.on_leader(*lane.group, connection);
    }
  } else if (verdict == Verdict::kAgain || verdict == Verdict::kAgainUnknown) {
    plan_retry(lane, connection, code, leader);
  } else {
    lane.established = false;
    // One that is too old is in the log, or was.
    const bool leaves_gap =
        verdict == Verdict::kFinal && code != Errc::kSequenceGap && code != Errc::kSequenceTooOld;
    if (lane.has_producer() && leaves_gap) forgo(lane, batch->sequence_of(offset));
  }
  if (batch->unanswered == 0) land(*batch);
  tidy(lane);
  return true;
}

/// `entry` is the first of the entries that the result is about.
AppendQueue::Verdict AppendQueue::judge(const Lane& lane, const AppendBatch& batch,
                                        std::size_t entry, Errc code) const {
  if (code == Errc::kOk) return Verdict::kDone;
  const bool certain = is_refused(code) || code == Errc::kNotLeader;
  if (lane.directed()) return certain ? Verdict::kFinal : Verdict::kFinalUnknown;
  if (!certain) return lane.has_producer() ? Verdict::kAgainUnknown : Verdict::kFinalUnknown;
  // It would come after what followed it and went on without it.
  if (lane.left_behind) return Verdict::kFinal;
  if (is_passing(code)) return Verdict::kAgain;
  if (code != Errc::kSequenceGap) return Verdict::kFinal;
  // A gap behind something that is still to come closes by itself; else it is the caller's.
  const bool is_oldest =
      &batch == lane.batches.front() &&
      std::all_of(batch.entries.begin(), batch.entries.begin() + static_cast<std::ptrdiff_t>(entry),
                  [](const PendingEntry& earlier) { return earlier.resolved; });
  return is_oldest ? Verdict::kFinal : Verdict::kAgain;
}

void AppendQueue::settle(Lane& lane, AppendBatch& batch, std::size_t at, Verdict verdict,
                         const AppendOutcome& outcome) {
  PendingEntry& entry = batch.entries[at];
  if (entry.resolved) return;
  switch (verdict) {
    case Verdict::kDone:
      if (!entry.reported) {
        AppendOutcome ok = outcome;
        ok.status = Status::kOk;
        report(lane, batch, entry, ok);
      }
      resolve(batch, entry);
      return;
    case Verdict::kFinal:
      if (!entry.reported) {
        AppendOutcome refused = outcome;
        refused.status = Status::kRefused;
        if (outcome.code == Errc::kNotLeader) {
          if (lane.directed()) refused.status = Status::kNotLeader;
          if (!lane.directed()) refused.code = Errc::kUnreachable;
        }
        report(lane, batch, entry, refused);
      }
      resolve(batch, entry);
      return;
    case Verdict::kFinalUnknown:
      entry.ever_unknown = true;
      if (!entry.reported) report(lane, batch, entry, outcome);
      resolve(batch, entry);
      return;
    case Verdict::kAgainUnknown:
      entry.ever_unknown = true;
      return;
    case Verdict::kAgain:
      if (outcome.code != Errc::kSequenceGap) entry.code = outcome.code;
      return;
  }
}

/// Stops the lane until everything in flight has its answer, and says when it goes on.
void AppendQueue::plan_retry(Lane& lane, Connection& connection, Errc code, NodeId hint) {
  const bool is_first = !lane.draining;
  drain(lane);
  if (code == Errc::kSequenceGap) return;
  bool at_once = false;
  if (code == Errc::kNotLeader || code == Errc::kLeadershipLost || code == Errc::kShuttingDown) {
    const bool named = router_.on_not_leader(*lane.group, connection, hint);
    // Two nodes that name each other are asked at a walking pace.
    at_once = named && lane.redirects == 0;
    if (!is_first) return;
    ++lane.redirects;
  }
  if (at_once) return;
  lane.retry_at_ns =
      std::max(lane.retry_at_ns, io_.now_ns() + kRetryMinNs + io_.random() % kRetrySpreadNs);
}

/// The present transmission of a batch is over.
void AppendQueue::land(AppendBatch& batch) {
  if (batch.unresolved == 0) {
    drop(batch);
    return;
  }
  if (batch.unanswered == 0) {
    transmissions_.remove(batch.request_id);
  } else {
    if (batch.former_id != 0) transmissions_.remove(batch.former_id);
    batch.former_id = batch.request_id;
  }
  end_transmission(batch);
  batch.state = AppendBatch::State::kHeld;
}

void AppendQueue::drain(Lane& lane) {
  lane.established = false;
  if (lane.draining) return;
  lane.draining = true;
  lane.draining_since_ns = io_.now_ns();
}

/// Everything that is left in the lane is unsent again, in order.
void AppendQueue::rewind(Lane& lane) {
  unplace(lane);
  for (AppendBatch* batch = lane.batches.front(); batch; batch = Lane::Batches::after(*batch)) {
    batch->state = AppendBatch::State::kUnsent;
    for (PendingEntry& entry : batch->entries) entry.answered = false;
  }
  lane.next_unsent = lane.batches.front();
  lane.connection = nullptr;
  lane.draining = false;
  lane.established = false;
}

/// Goes on without the answers that a lane has waited for long enough.
void AppendQueue::stop_draining(Lane& lane) {
  if (!lane.has_producer()) {
    leave_behind(lane);
  } else {
    land_unanswered(lane);
  }
  tidy(lane);
}

/// Moves what is in flight to a lane of its own. Without a producer none of it will be sent again,
/// so what follows it need not wait.
void AppendQueue::leave_behind(Lane& lane) {
  left_behind_.push_back(std::make_unique<Lane>());
  Lane& behind = *left_behind_.back();
  behind.key = lane.key;
  behind.group = lane.group;
  behind.connection = lane.connection;
  behind.port = lane.port;
  behind.left_behind = true;
  drain(behind);
  for (AppendBatch* batch = lane.batches.front(); batch;) {
    AppendBatch* const following = Lane::Batches::after(*batch);
    if (batch->state == AppendBatch::State::kInFlight) {
      lane.batches.remove(*batch);
      behind.batches.push_back(*batch);
      batch->lane = &behind;
      lane.load_bytes -= batch->load_bytes;
      behind.load_bytes += batch->load_bytes;
      behind.unreported += batch->unreported;
      lane.unreported -= batch->unreported;
    }
    batch = following;
  }
  behind.inflight_batches = std::exchange(lane.inflight_batches, 0u);
  active_.push_back(behind);
}

/// Brings a lane on after something of it ended: drops what nobody waits for, rewinds it once it
/// has drained, sends it where it can go on.
void AppendQueue::tidy(Lane& lane) {
  if (lane.unreported == 0) {
    while (AppendBatch* batch = lane.batches.front()) drop(*batch);
  }
  if (lane.batches.empty()) {
    SLUICE_CHECK(lane.load_bytes == 0);
    unplace(lane);
    lane.connection = nullptr;
    lane.draining = false;
    lane.retry_at_ns = 0;
    if (active_.contains(lane)) active_.remove(lane);
    return;
  }
  if (lane.draining && lane.inflight_batches == 0) rewind(lane);
  if (!lane.placed()) dispatch(lane);
}

// --- the ends of entries -------------------------------------------------------------------------

/// Gives the caller the outcome. What was unknown once is never called refused: an earlier
/// transmission may still enter a log.
void AppendQueue::report(Lane& lane, AppendBatch& batch, PendingEntry& entry,
                         AppendOutcome outcome) {
  SLUICE_CHECK(!entry.reported);
  if (entry.ever_unknown && outcome.status != Status::kOk) outcome.status = Status::kUnknown;
  entry.reported = true;
  --batch.unreported;
  --lane.unreported;
  --unreported_;
  outbox_.add(entry.tag, outcome);
}

void AppendQueue::resolve(AppendBatch& batch, PendingEntry& entry) {
  if (entry.resolved) return;
  entry.resolved = true;
  --batch.unresolved;
}

// --- losses --------------------------------------------------------------------------------------

void AppendQueue::on_lost(Connection& connection) {
  for (Lane* lane = active_.front(); lane;) {
    Lane* const next = IntrusiveList<Lane, &Lane::active>::after(*lane);
    if (lane->connection == &connection) {
      const bool again = lane->has_producer() && !lane->directed();
      const Verdict verdict = again ? Verdict::kAgainUnknown : Verdict::kFinalUnknown;
      if (port_of(connection).lanes.contains(*lane)) unplace(*lane);
      if (lane->inflight_batches > 0) drain(*lane);
      for (AppendBatch* batch = lane->batches.front(); batch;) {
        AppendBatch* const following = Lane::Batches::after(*batch);
        if (batch->state == AppendBatch::State::kInFlight) {
          for (std::size_t i = 0; i < batch->entries.size(); ++i) {
            if (batch->entries[i].answered) continue;
            settle(*lane, *batch, i, verdict, {.code = Errc::kConnectionLost});
          }
          land(*batch);
        }
        batch = following;
      }
      tidy(*lane);
    }
    lane = next;
  }
}

// --- time-outs -----------------------------------------------------------------------------------

void AppendQueue::expire(std::uint64_t now_ns, std::vector<Connection*>& suspects) {
  for (Lane* lane = active_.front(); lane;) {
    Lane* const next = IntrusiveList<Lane, &Lane::active>::after(*lane);
    expire_lane(*lane, now_ns, suspects);
    if (lane->draining && !lane->left_behind && lane->inflight_batches > 0 &&
        now_ns >= lane->draining_since_ns + kDrainNs) {
      stop_draining(*lane);
    }
    leave_silent(*lane, now_ns);
    if (!lane->placed()) dispatch(*lane);  // its answers may be late by now
    lane = next;
  }
  for (const auto& port : ports_) {
    if (Lane* lane = port->lanes.front()) want_pump(*lane->connection);  // it has waited, perhaps
  }
  forget_idle_lanes(now_ns);
}

void AppendQueue::expire_lane(Lane& lane, std::uint64_t now_ns,
                              std::vector<Connection*>& suspects) {
  bool any = false;
  std::optional<Sequence> refused;
  for (AppendBatch* batch = lane.batches.front(); batch; batch = Lane::Batches::after(*batch)) {
    if (now_ns < batch->deadline_min_ns || batch->unreported == 0) continue;
    any |= expire_batch(lane, *batch, now_ns, refused, suspects);
  }
  if (!any) return;
  if (lane.has_producer() && refused) forgo(lane, *refused);
  for (AppendBatch* batch = lane.batches.front(); batch;) {
    AppendBatch* const following = Lane::Batches::after(*batch);
    if (batch->unresolved == 0) drop(*batch);
    batch = following;
  }
  tidy(lane);
}

/// True if an entry timed out. `refused` becomes the sequence of the first that was refused.
bool AppendQueue::expire_batch(Lane& lane, AppendBatch& batch, std::uint64_t now_ns,
                               std::optional<Sequence>& refused,
                               std::vector<Connection*>& suspects) {
  const bool again = lane.has_producer() && !lane.directed();
  bool any = false;
  std::uint64_t deadline_min_ns = ~std::uint64_t{0};
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    PendingEntry& entry = batch.entries[i];
    if (entry.reported) continue;
    if (now_ns < entry.deadline_ns) {
      deadline_min_ns = std::min(deadline_min_ns, entry.deadline_ns);
      continue;
    }
    any = true;
    if (batch.state == AppendBatch::State::kInFlight && !entry.answered) {
      entry.ever_unknown = true;
      const std::uint64_t silence_ns = now_ns - lane.connection->quiet_since_ns();
      if (silence_ns >= std::max(entry.timeout_ms * kMillisecond, kSilenceMinNs) &&
          std::ranges::find(suspects, lane.connection) == suspects.end()) {
        suspects.push_back(lane.connection);
      }
    }
    if (entry.ever_unknown) {
      lane.established = false;
      report(lane, batch, entry, {.status = Status::kUnknown, .code = Errc::kTimeout});
      // With a producer it keeps its place, so that what follows it finds no gap.
      if (!again) resolve(batch, entry);
      continue;
    }
    AppendOutcome outcome{.status = Status::kRefused, .code = entry.code};
    if (entry.code == Errc::kNotLeader) {
      // Who leads is known, perhaps, but is not in the list or cannot be reached.
      outcome.code = Errc::kUnreachable;
      outcome.leader = lane.group->named;
    } else if (entry.code == Errc::kOk) {
      outcome.code = lane.connection ? Errc::kOverloaded : Errc::kUnreachable;
    }
    report(lane, batch, entry, outcome);
    resolve(batch, entry);
    if (!refused) refused = batch.sequence_of(i);
  }
  batch.deadline_min_ns = deadline_min_ns;
  return any;
}

}  // namespace sluice::client
