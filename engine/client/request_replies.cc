// Answers to reads, status and trims.
#include <algorithm>

#include "engine/client/requests.h"
#include "wire/batch.h"

namespace sluice::client {
namespace {

constexpr std::uint64_t kPauseNs = 20'000'000;

/// Another node, or the same one later, may say something else.
bool is_passing(Errc code) {
  switch (code) {
    case Errc::kOk:
    case Errc::kTooLarge:
    case Errc::kUnknownGroup:
    case Errc::kWrongCluster:
    case Errc::kInvalidRequest:
    case Errc::kTrimmed:
      return false;
    default:
      return true;
  }
}

GroupState to_state(const wire::GroupStatus& group) {
  return {.group = GroupId(group.group()),
          .role = group.role(),
          .term = Term(group.term()),
          .leader = NodeId(group.leader_id()),
          .first_index = Index(group.first_index()),
          .last_index = Index(group.last_index()),
          .durable_index = Index(group.durable_index()),
          .commit_index = Index(group.commit_index())};
}

void add_counters(wire::ShardCounters& sum, const wire::ShardCounters& shard) {
  sum = wire::ShardCounters(
      sum.chunks_written() + shard.chunks_written(), sum.flushes() + shard.flushes(),
      sum.bytes_written() + shard.bytes_written(),
      sum.batches_appended() + shard.batches_appended(),
      sum.entries_appended() + shard.entries_appended(), sum.memory_bytes() + shard.memory_bytes());
}

}  // namespace

bool Requests::on_frame(Connection& connection, const FrameView& frame) {
  switch (frame.kind) {
    case FrameKind::kClientReadReply:
      return on_read_reply(connection, frame);
    case FrameKind::kClientStatusReply:
      return on_status_reply(connection, frame);
    case FrameKind::kClientTrimReply:
      return on_trim_reply(connection, frame);
    default:
      return false;
  }
}

/// nullptr: nobody waits for this answer any more.
Request* Requests::find(const Connection& connection, std::uint64_t id, Request::Kind kind) const {
  Request* const request = ids_.find(id, connection.place().number);
  return request && request->kind == kind ? request : nullptr;
}

// --- reads ---------------------------------------------------------------------------------------

bool Requests::on_read_reply(Connection& connection, const FrameView& frame) {
  const Result<const wire::ClientReadReply*> parsed = envelope_as<wire::ClientReadReply>(frame);
  if (!parsed) return false;
  const wire::ClientReadReply& reply = **parsed;
  if (reply.batch_bytes() != frame.batches.size()) return false;
  Request* const request = find(connection, reply.request_id(), Request::Kind::kRead);
  if (!request) return true;

  ReadOutcome& outcome = read_outcome_;
  outcome.code = static_cast<Errc>(reply.code());
  outcome.commit_index = Index(reply.commit_index());
  outcome.first_index = Index(reply.first_index());
  outcome.node = router_.node_at(connection.place().address);
  outcome.entries.clear();
  if (!collect_entries(request->read, frame.batches, outcome)) return false;

  const bool untold = outcome.code == Errc::kOk && frame.batches.empty() &&
                      request->read.from <= outcome.commit_index;
  if (untold) {
    // It waited, and something came, but not from its memory: ask for it.
    ask_again(*request, request->asked++ == 0 ? 0 : kPauseNs);
    return true;
  }
  if (request->read.node == kNoNode) {
    if (is_passing(outcome.code)) {
      request->code = outcome.code;
      ++request->attempt;
      ask_again(*request, kPauseNs);
      return true;
    }
    const bool tells_commit = outcome.code == Errc::kOk || outcome.code == Errc::kTrimmed;
    if (tells_commit && outcome.commit_index < request->group->read_commit) {
      // This node is behind what was shown before: reads never go back (S50).
      request->code = Errc::kTimeout;
      ++request->attempt;
      ask_again(*request, kPauseNs);
      return true;
    }
    if (tells_commit) request->group->read_commit = outcome.commit_index;
  }
  const std::uint64_t tag = request->tag;
  take_out(*request);
  free_.push_back(request);
  --calls_open_;
  events_.on_read(tag, outcome);
  return true;
}

/// Cuts the entries that were asked for out of whole batches. False: they are not what they claim.
bool Requests::collect_entries(const ReadOptions& read, std::span<const std::byte> batches,
                               ReadOutcome& outcome) const {
  Index expected(0);  // of the next batch; 0: this is the first
  while (!batches.empty()) {
    const Result<BatchView> batch = BatchView::parse_sealed(batches, batches.size());
    if (!batch || batch->group() != read.group || batch->cluster() != router_.cluster()) {
      return false;
    }
    const bool follows =
        expected == Index(0) ? batch->first_index() <= read.from : batch->first_index() == expected;
    if (!follows) return false;
    expected = batch->last_index().next();
    batches = batches.subspan(batch->size_bytes());

    Index index = batch->first_index();
    for (const std::span<const std::byte> data : *batch) {
      const Index at = index;
      index = index.next();
      if (at < read.from) continue;
      const bool enough = read.count_max != 0 && outcome.entries.size() >= read.count_max;
      if (at > outcome.commit_index || enough) break;
      const bool internal = batch->kind() != BatchKind::kData;
      outcome.entries.push_back({.index = at,
                                 .term = batch->term(),
                                 .internal = internal,
                                 .data = internal ? std::span<const std::byte>() : data});
    }
  }
  return true;
}

// --- status --------------------------------------------------------------------------------------

bool Requests::on_status_reply(Connection& connection, const FrameView& frame) {
  const Result<const wire::ClientStatusReply*> parsed = envelope_as<wire::ClientStatusReply>(frame);
  if (!parsed) return false;
  const wire::ClientStatusReply& reply = **parsed;
  Request* const request = find(connection, reply.request_id(), Request::Kind::kStatusPart);
  if (!request) return true;

  StatusJob& job = *request->job;
  job.node = router_.node_at(connection.place().address);
  if (reply.fsync_policy()) job.status.fsync_policy = reply.fsync_policy()->str();
  if (reply.counters()) add_counters(job.status.counters, *reply.counters());
  if (reply.stages()) {
    for (const wire::StageBucket* bucket : *reply.stages()) job.status.stages.push_back(*bucket);
  }
  if (reply.groups()) {
    for (const wire::GroupStatus* group : *reply.groups()) {
      job.status.groups.push_back(to_state(*group));
    }
  }
  take_out(*request);
  free_.push_back(request);
  if (--job.parts_open == 0) end_job(job, Errc::kOk);
  return true;
}

// --- trims ---------------------------------------------------------------------------------------

bool Requests::on_trim_reply(Connection& connection, const FrameView& frame) {
  const Result<const wire::ClientTrimReply*> parsed = envelope_as<wire::ClientTrimReply>(frame);
  if (!parsed) return false;
  const wire::ClientTrimReply& reply = **parsed;
  Request* const request = find(connection, reply.request_id(), Request::Kind::kTrim);
  if (!request) return true;

  const auto code = static_cast<Errc>(reply.code());
  if (!is_passing(code)) {
    end(*request, code);
    ended_.back().first_index = Index(reply.first_index());
    return true;
  }
  request->code = code == Errc::kNotLeader ? Errc::kUnreachable : code;
  bool named = false;
  if (code == Errc::kNotLeader || code == Errc::kLeadershipLost) {
    named = router_.on_not_leader(*request->group, connection, NodeId(reply.leader_id()));
  }
  ask_again(*request, named && request->asked++ == 0 ? 0 : kPauseNs);
  return true;
}

}  // namespace sluice::client
