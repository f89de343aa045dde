// A node that stands still, with its socket open: what waits for it goes on without its answers.
//
// What was sent there with a producer is unknown and is sent again, in order, to whoever leads
// then: where both transmissions arrive it lands once. Without a producer it stays where it is
// until its time-out; what follows it goes elsewhere.
#include "engine/client/append_queue.h"

namespace sluice::client {

/// Takes a lane off a connection that has fallen silent.
void AppendQueue::leave_silent(Lane& lane, std::uint64_t now_ns) {
  if (lane.directed() || lane.left_behind || !lane.connection) return;
  if (!lane.connection->silent(now_ns)) return;
  const bool queued = port_of(*lane.connection).lanes.contains(lane);
  if (queued) unplace(lane);
  if (lane.inflight_batches > 0 && lane.has_producer()) {
    drain(lane);
    land_unanswered(lane);
  } else if (lane.inflight_batches > 0 && lane.next_unsent && !lane.draining) {
    leave_behind(lane);
  } else if (!queued) {
    return;
  }
  tidy(lane);
}

/// Takes back what is in flight. A positive answer to it still counts.
void AppendQueue::land_unanswered(Lane& lane) {
  for (AppendBatch* batch = lane.batches.front(); batch;) {
    AppendBatch* const following = Lane::Batches::after(*batch);
    if (batch->state == AppendBatch::State::kInFlight) {
      for (PendingEntry& entry : batch->entries) entry.ever_unknown |= !entry.answered;
      land(*batch);
    }
    batch = following;
  }
}

/// An answer to a transmission that was taken back. What is in the log is there, whoever was asked
/// for it again; anything else may be overtaken by the answer to the present transmission.
void AppendQueue::on_late_result(AppendBatch& batch, const wire::AppendResult& result) {
  if (static_cast<Errc>(result.code()) != Errc::kOk) return;
  Lane& lane = *batch.lane;
  AppendOutcome outcome{.term = Term(result.term()), .leader = NodeId(result.leader_id())};
  for (std::size_t i = 0; i < result.count(); ++i) {
    outcome.index = Index(result.first_index()) + i;
    settle(lane, batch, result.offset() + i, Verdict::kDone, outcome);
  }
  if (batch.unresolved == 0) drop(batch);
  tidy(lane);
}

/// Nobody waits for the answer any more, so there is room for what queues at the connection.
void AppendQueue::end_transmission(AppendBatch& batch) {
  Connection& connection = *batch.lane->connection;
  Port& port = port_of(connection);
  port.inflight_bytes -= batch.size_bytes();
  --port.inflight_batches;
  if (batch.unanswered == 0) {
    // As TCP smooths its round-trip times (RFC 6298, section 2).
    const std::uint64_t answer_ns = io_.now_ns() - batch.sent_ns;
    port.answer_ns = port.answer_ns == 0 ? answer_ns : (7 * port.answer_ns + answer_ns) / 8;
  }
  connection.expect_no_more();
  --batch.lane->inflight_batches;
  want_pump(connection);
}

}  // namespace sluice::client
