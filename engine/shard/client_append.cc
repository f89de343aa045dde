// ClientSide: appends.
#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/shard/client_side.h"
#include "engine/shard/frames.h"

namespace sluice::shard {

namespace {
constexpr std::size_t kRetryWaitersMax = 65'536;
}

using Taken = Connection::Taken;

Taken ClientSide::on_append(Inbound& from, const FrameView& frame) {
  const auto envelope = envelope_as<wire::ClientAppend>(frame);
  if (!envelope || (*envelope)->items() == nullptr) return Taken::kClose;
  // A client that does not take its answers gets nothing done: its requests stay in its socket.
  if (from.queued_bytes() > options_.send_queue_bytes_max / 2) return Taken::kLater;
  const auto& items = *(*envelope)->items();
  auto& cursor = from.connection->cursor;
  Lookahead lookahead;
  for (; cursor.item < items.size(); ++cursor.item) {
    lookahead.at(cursor.item, items.size(), [&](std::size_t at) {
      return groups_.find(GroupId(items.Get(static_cast<flatbuffers::uoffset_t>(at))->group()));
    });
    const wire::AppendItem& item = *items.Get(cursor.item);
    const bool fits = item.batch_bytes() <= frame.batches.size() - cursor.offset;
    if (!fits || item.batch_bytes() % 8 != 0) return Taken::kClose;
    const auto bytes = frame.batches.subspan(cursor.offset, item.batch_bytes());
    const Taken taken = take_batch(from, item, from.connection->writable(bytes));
    if (taken != Taken::kYes) return taken;
    cursor.offset += item.batch_bytes();
  }
  return cursor.offset == frame.batches.size() ? Taken::kYes : Taken::kClose;
}

Taken ClientSide::take_batch(Inbound& from, const wire::AppendItem& item,
                             std::span<std::byte> bytes) {
  const auto parsed = BatchView::parse(bytes, options_.batch_bytes_max);
  const std::uint64_t id = item.request_id();
  if (!parsed) {
    // Too large is a mistake that is answered; anything else is no batch at all.
    // What the header says counts only if it agrees with what came.
    if (parsed.error() != Errc::kTooLarge || bytes.size() < kBatchHeaderBytes) {
      return Taken::kClose;
    }
    wire::BatchHeader header;
    std::memcpy(static_cast<void*>(&header), bytes.data(), sizeof header);
    if (header.size_bytes() != bytes.size()) return Taken::kClose;
    refuse(from.ref, id, 0, header.entry_count(), Errc::kTooLarge);
    return Taken::kYes;
  }
  const BatchView batch = *parsed;
  const std::uint32_t count = batch.entry_count();
  if (batch.size_bytes() != bytes.size()) return Taken::kClose;

  const bool numbered = batch.producer() != kNoProducer;
  if (batch.cluster() != options_.cluster) {
    refuse(from.ref, id, 0, count, Errc::kWrongCluster);
    return Taken::kYes;
  }
  if (batch.kind() != BatchKind::kData || batch.group() != GroupId(item.group()) ||
      (numbered && batch.first_sequence() == Sequence{})) {
    refuse(from.ref, id, 0, count, Errc::kInvalidRequest);
    return Taken::kYes;
  }
  return place(from.ref, id, bytes, /*follows=*/false);
}

Taken ClientSide::append(const ClientRef& from, std::uint64_t request_id,
                         std::span<std::byte> batch_bytes, bool follows) {
  // Not verified: the bytes were hashed as they were copied from the caller and have not left this
  // process's memory since. What changes them from there on, here or in the chunk, is what a second
  // look would miss as well an instant later; it is caught where the batch is read: followers do not
  // take it, so that it is not acknowledged, and no reader is served it.
  return place(from, request_id, batch_bytes, follows);
}

Taken ClientSide::place(const ClientRef& from, std::uint64_t id, std::span<std::byte> bytes,
                        bool follows) {
  const BatchView batch = BatchView::trusted(bytes);
  const std::uint32_t count = batch.entry_count();
  Group* group = groups_.find(batch.group());
  if (group == nullptr) {
    refuse(from, id, 0, count, Errc::kUnknownGroup);
    return Taken::kYes;
  }
  if (stopping_) {
    refuse(from, id, 0, count, Errc::kShuttingDown);
    return Taken::kYes;
  }
  if (group->raft.role() != raft::Role::kLeader) {
    refuse(from, id, 0, count, Errc::kNotLeader, group->raft.leader());
    return Taken::kYes;
  }
  if (batch.producer() == kNoProducer) return append_new(from, *group, id, 0, bytes);

  // A producer that is not known may begin anywhere. So what follows a batch that was refused, or
  // truncated, must not be taken for its beginning: the entries before it would be lost between the
  // two, and their retry would come too late (S47).
  if (follows && !group->sessions.knows(batch.producer())) {
    refuse(from, id, 0, count, Errc::kSequenceGap);
    return Taken::kYes;
  }
  const auto check = group->sessions.check(batch.producer(), batch.first_sequence(), count);
  switch (check.answer) {
    case Sessions::Answer::kNew:
      return append_new(from, *group, id, 0, bytes);
    case Sessions::Answer::kGap:
      refuse(from, id, 0, count, Errc::kSequenceGap, kNoNode, check.expected);
      return Taken::kYes;
    case Sessions::Answer::kTooOld:
      refuse(from, id, 0, count, Errc::kSequenceTooOld, kNoNode, check.expected);
      return Taken::kYes;
    case Sessions::Answer::kKnown:
      break;
  }
  // Before the rest is appended, which may make the table forget what is old.
  collect_known(from, *group, id, batch, check.known);
  if (check.known < count) {
    const Taken taken = append_rest(from, *group, id, batch, check.known);
    if (taken != Taken::kYes) return taken;
  }
  answer_known(*group);
  return Taken::kYes;
}

Taken ClientSide::append_new(const ClientRef& from, Group& group, std::uint64_t request_id,
                             std::uint32_t offset, std::span<std::byte> batch_bytes) {
  const BatchView batch = BatchView::trusted(batch_bytes);
  const std::uint32_t count = batch.entry_count();
  switch (commit_.make_room(batch_bytes.size())) {
    case GroupCommit::Room::kYes:
      break;
    case GroupCommit::Room::kLater:
      return Taken::kLater;
    case GroupCommit::Room::kNoSpace:
      refuse(from, request_id, offset, count, Errc::kNoSpace);
      return Taken::kYes;
  }
  const auto proposal = group.raft.propose(count, batch_bytes.size());
  if (!proposal) {
    refuse(from, request_id, offset, count, proposal.error(), group.raft.leader());
    return Taken::kYes;
  }
  seal_batch(batch_bytes,
             {proposal->term, proposal->first_index, group.index.last_checksum(), io_.wall_ns()});
  groups_.append(group, batch);

  Waiter waiter;
  waiter.client = from;
  waiter.request_id = request_id;
  waiter.first = proposal->first_index;
  waiter.last = batch.last_index();
  waiter.term = proposal->term;
  waiter.offset = offset;
  waiter.has_producer = batch.producer() != kNoProducer;
  waiter.taken_ns = io_.now_ns();
  group.waiters.push_back(waiter);
  return Taken::kYes;
}

Taken ClientSide::append_rest(const ClientRef& from, Group& group, std::uint64_t request_id,
                              BatchView batch, std::uint32_t known) {
  // A client that cut its batches anew for the retry. The entries that are not in the log yet make
  // a batch of their own.
  scratch_.resize(batch.size_bytes() / sizeof(std::uint64_t));
  BatchBuilder builder(std::as_writable_bytes(std::span(scratch_)),
                       {.cluster = batch.cluster(),
                        .group = batch.group(),
                        .producer = batch.producer(),
                        .first_sequence = batch.first_sequence() + known});
  std::uint32_t position = 0;
  for (const auto entry : batch) {
    if (position++ < known) continue;
    SLUICE_CHECK(builder.append(entry));
  }
  const BatchView rest = builder.finish();
  return append_new(from, group, request_id, known,
                    std::as_writable_bytes(std::span(scratch_)).first(rest.size_bytes()));
}

void ClientSide::collect_known(const ClientRef& from, Group& group, std::uint64_t request_id,
                               BatchView batch, std::uint32_t known) {
  known_.clear();
  group.sessions.for_known(batch.producer(), batch.first_sequence(), known,
                           [&](std::uint32_t offset, const Sessions::Run& run) {
                             Waiter waiter;
                             waiter.client = from;
                             waiter.request_id = request_id;
                             waiter.first = run.first_index;
                             waiter.last = run.first_index + (run.count - 1);
                             waiter.term = run.term;
                             waiter.offset = offset;
                             waiter.has_producer = true;
                             known_.push_back(waiter);
                           });
}

void ClientSide::answer_known(Group& group) {
  for (const Waiter& waiter : known_) {
    // In the log is not committed yet: an index is named only when it will stay (S49).
    if (waiter.last <= group.raft.commit_index()) {
      answer(waiter, Errc::kOk, kNoNode);
    } else if (group.retry_waiters.size() < kRetryWaitersMax) {
      group.retry_waiters.push_back(waiter);
    } else {
      // Never "refused": the entry is in the log and may commit.
      answer(waiter, Errc::kTimeout, kNoNode);
    }
  }
}

void ClientSide::refuse(const ClientRef& from, std::uint64_t request_id, std::uint32_t offset,
                        std::uint32_t count, Errc code, NodeId leader, Sequence expected) {
  reply(from, {request_id, 0u, 0u, expected.value(), offset, count, leader.value(),
               static_cast<std::uint16_t>(code), std::uint16_t{0}});
}

void ClientSide::answer(const Waiter& waiter, Errc code, NodeId leader) {
  const auto count = static_cast<std::uint32_t>(waiter.last - waiter.first + 1);
  reply(waiter.client,
        {waiter.request_id, waiter.first.value(), waiter.term.value(), 0u, waiter.offset, count,
         leader.value(), static_cast<std::uint16_t>(code), std::uint16_t{0}});
}

void ClientSide::reply(const ClientRef& to, const wire::AppendResult& result) {
  if (to.local) return events_.on_local_result(to, result);
  Inbound* inbound = events_.find(to);
  if (inbound == nullptr) return;
  if (inbound->answers_ns == 0) inbound->answers_ns = io_.now_ns();
  inbound->append_results.push_back(result);
}

void ClientSide::on_truncated(Group& group, Index from) {
  const NodeId leader = group.raft.leader();
  while (!group.waiters.empty() && group.waiters.back().last >= from) {
    answer(group.waiters.back(), Errc::kLeadershipLost, leader);
    group.waiters.pop_back();
  }
  std::erase_if(group.retry_waiters, [&](const Waiter& waiter) {
    if (waiter.last < from) return false;
    answer(waiter, Errc::kLeadershipLost, leader);
    return true;
  });
  std::erase_if(group.trim_waiters, [&](const TrimWaiter& waiter) {
    if (waiter.index < from) return false;
    if (Inbound* to = events_.find(waiter.client)) {
      reply_trim(*to, waiter.request_id, Errc::kLeadershipLost, Index{}, leader);
    }
    return true;
  });
}

void ClientSide::on_progress(Group& group) {
  const Index commit = group.raft.commit_index();
  // Who waits, waits for what was not committed when he came.
  if (commit == group.commit_seen && group.raft.role() == group.role_seen) return;
  while (!group.waiters.empty() && group.waiters.front().last <= commit) {
    commit_.stages().commit_ns.record(io_.now_ns() - group.waiters.front().taken_ns);
    answer(group.waiters.front(), Errc::kOk, kNoNode);
    group.waiters.pop_front();
  }
  std::erase_if(group.retry_waiters, [&](const Waiter& waiter) {
    if (waiter.last > commit) return false;
    answer(waiter, Errc::kOk, kNoNode);
    return true;
  });
  while (!group.pending_trims.empty() && group.pending_trims.front().index <= commit) {
    const PendingTrim trim = group.pending_trims.front();
    group.pending_trims.erase(group.pending_trims.begin());
    groups_.trim(group, trim.first);
  }
  std::erase_if(group.trim_waiters, [&](const TrimWaiter& waiter) {
    if (waiter.index > commit) return false;
    if (Inbound* to = events_.find(waiter.client)) {
      reply_trim(*to, waiter.request_id, Errc::kOk, group.index.first_index(), kNoNode);
    }
    return true;
  });
  if (commit != group.commit_seen) {
    group.commit_seen = commit;
    wake_parked(group);
  }

  const raft::Role role = group.raft.role();
  const bool stepped_down = group.role_seen == raft::Role::kLeader && role != raft::Role::kLeader;
  group.role_seen = role;
  if (!stepped_down) return;
  // Those who can retry without harm are told to go to the next leader. The others wait: most of
  // their entries will be committed by that leader, and we shall hear of it. But a client in this
  // process has no time-out, and this node may never hear of it.
  Ring<Waiter> staying;
  for (std::size_t i = 0; i < group.waiters.size(); ++i) {
    const Waiter& waiter = group.waiters[i];
    if (waiter.has_producer || waiter.client.local) {
      answer(waiter, Errc::kLeadershipLost, group.raft.leader());
    } else {
      staying.push_back(waiter);
    }
  }
  group.waiters = std::move(staying);
  for (const Waiter& waiter : group.retry_waiters) {
    answer(waiter, Errc::kLeadershipLost, group.raft.leader());
  }
  group.retry_waiters.clear();
}

void ClientSide::flush(Inbound& to) {
  if (to.append_results.empty() || to.connection->closing()) return;
  if (!to.connection->out().idle()) return;
  envelope_.Clear();
  const std::size_t count = std::min<std::size_t>(to.append_results.size(), 16384);
  const auto results = envelope_.CreateVectorOfStructs(to.append_results.data(), count);
  envelope_.Finish(wire::CreateClientAppendReply(envelope_, results));
  stage_frame(to.connection->out(), FrameKind::kClientAppendReply, envelope_, 0);
  to.sending_ns = std::exchange(to.answers_ns, 0);
  to.append_results.erase(to.append_results.begin(),
                          to.append_results.begin() + static_cast<std::ptrdiff_t>(count));
  to.connection->pump();
}

}  // namespace sluice::shard
