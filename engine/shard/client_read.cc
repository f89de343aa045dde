// ClientSide: reads, trims, status.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "engine/shard/client_side.h"
#include "engine/shard/frames.h"

namespace sluice::shard {
namespace {

constexpr std::size_t kReadWindows = 4;
constexpr std::size_t kReadWindowBytes = 1u << 20;
constexpr std::size_t kParkedMax = 4096;
constexpr std::uint32_t kWaitMsMax = 60'000;

}  // namespace

using Taken = Connection::Taken;

ClientSide::ClientSide(io::Io& io, Options options, Groups& groups, GroupCommit& commit,
                       Events& events)
    : io_(io), options_(std::move(options)), groups_(groups), commit_(commit), events_(events) {
  ReadWindow::Events& read_events = *this;
  for (std::size_t i = 0; i < kReadWindows; ++i) {
    windows_.push_back(
        std::make_unique<ReadWindow>(io_, commit_.files(), kReadWindowBytes, read_events));
  }
}

bool ClientSide::gone() const {
  return std::ranges::none_of(windows_, [](const auto& w) { return w->reading(); });
}

Taken ClientSide::on_frame(Inbound& from, const FrameView& frame) {
  if (frame.kind == FrameKind::kClientAppend) return on_append(from, frame);
  if (!frame.batches.empty()) return Taken::kClose;
  if (from.queued_bytes() > options_.send_queue_bytes_max / 2) return Taken::kLater;
  switch (frame.kind) {
    case FrameKind::kClientRead: {
      const Taken taken = on_read(from, frame);
      // Whatever the answer was: a window that the read was waiting for is free again. The bytes
      // that are sent from it stay referred to until they left.
      if (taken != Taken::kLater) give_window_back(from);
      return taken;
    }
    case FrameKind::kClientStatus:
      return on_status(from, frame);
    case FrameKind::kClientTrim:
      return on_trim(from, frame);
    default:
      return Taken::kClose;
  }
}

// --- reads -----------------------------------------------------------------------------------

Taken ClientSide::on_read(Inbound& from, const FrameView& frame) {
  const auto envelope = envelope_as<wire::ClientRead>(frame);
  if (!envelope) return Taken::kClose;
  const wire::ClientRead& request = **envelope;
  Group* group = groups_.find(GroupId(request.group()));
  if (group == nullptr) {
    reply_read(from, request.request_id(), nullptr, Errc::kUnknownGroup, 0);
    return Taken::kYes;
  }
  const Index first(request.from_index());
  if (first < group->index.first_index()) {
    reply_read(from, request.request_id(), group, Errc::kTrimmed, 0);
    return Taken::kYes;
  }
  if (first > group->raft.commit_index()) {
    if (request.wait_ms() == 0 || parked_.size() >= kParkedMax) {
      reply_read(from, request.request_id(), group, Errc::kOk, 0);
      return Taken::kYes;
    }
    const std::uint64_t wait_ms = std::min(request.wait_ms(), kWaitMsMax);
    ++group->parked_reads;
    parked_.push_back({from.ref, request.request_id(), group, first, request.count_max(),
                       request.bytes_max(), io_.now_ns() + wait_ms * 1'000'000});
    return Taken::kYes;
  }
  return serve_read(from, *group, request);
}

Taken ClientSide::serve_read(Inbound& from, Group& group, const wire::ClientRead& request) {
  const Index commit = group.raft.commit_index();
  const std::size_t bytes_max = request.bytes_max() == 0
                                    ? options_.batch_bytes_max
                                    : std::min(request.bytes_max(), options_.batch_bytes_max);
  const auto position = group.index.position_of(Index(request.from_index()));
  SLUICE_CHECK(position.has_value());
  const auto& first = group.index.batch(*position);

  if (bytes_of(group, from.window, first).empty()) {
    if (from.window != nullptr && from.window->reading()) return Taken::kLater;
    if (from.window == nullptr) {
      const auto idle = std::ranges::find_if(windows_, [&](const auto& w) { return w->idle(); });
      if (idle == windows_.end()) {
        windows_short = true;
        return Taken::kLater;
      }
      from.window = idle->get();
      ++from.window->references;  // ours until the reply is made
    }
    if (from.window->references > 1) return Taken::kLater;
    // A window that was taken just now may hold it already, from somebody else's read.
    if (bytes_of(group, from.window, first).empty()) {
      if (from.window->tried(first.location)) {
        events_.on_log_damaged("segment " +
                               segments::SegmentLog::segment_name(first.location.epoch) +
                               " ends before a batch that it should hold");
        return Taken::kClose;
      }
      --from.window->references;
      from.window->plan(first.location, commit_.log().written_seq());
      for (std::size_t i = *position + 1; i < group.index.batch_count(); ++i) {
        if (!from.window->add(group.index.batch(i).location)) break;
      }
      from.window->start();
      ++from.window->references;
      return Taken::kLater;
    }
  }

  struct Slice {
    std::span<const std::byte> bytes;
    ChunkSeq tail_seq;
  };
  std::vector<Slice> slices;
  std::size_t bytes = 0;
  for (std::size_t i = *position; i < group.index.batch_count(); ++i) {
    const auto& entry = group.index.batch(i);
    if (entry.first_index > commit) break;
    const std::size_t size = entry.location.size_bytes;
    if (bytes > 0 && bytes + size > bytes_max) break;
    if (request.count_max() != 0 &&
        entry.first_index >= Index(request.from_index()) + request.count_max()) {
      break;
    }
    const auto data = bytes_of(group, from.window, entry);
    if (data.empty()) break;
    const bool in_tail = !commit_.tail().find(entry.location).empty();
    slices.push_back({data, in_tail ? entry.location.seq : ChunkSeq{}});
    bytes += size;
  }
  reply_read(from, request.request_id(), &group, Errc::kOk, static_cast<std::uint32_t>(bytes));
  for (const Slice& slice : slices) {
    if (slice.tail_seq != ChunkSeq{}) {
      from.connection->out().append_pinned(slice.bytes, commit_.tail(), slice.tail_seq);
    } else {
      from.connection->out().append_counted(slice.bytes, from.window->references);
    }
  }
  return Taken::kYes;
}

void ClientSide::on_closing(Inbound& inbound) { give_window_back(inbound); }

void ClientSide::give_window_back(Inbound& inbound) {
  if (inbound.window == nullptr) return;
  --inbound.window->references;
  inbound.window = nullptr;
}

std::span<const std::byte> ClientSide::bytes_of(Group& group, ReadWindow* window,
                                                const segments::GroupIndex::Entry& entry) {
  if (const auto bytes = commit_.tail().find(entry.location); !bytes.empty()) return bytes;
  if (window == nullptr) return {};
  const auto bytes = window->find(entry.location);
  if (bytes.empty()) return {};
  const auto batch = BatchView::parse_sealed(bytes, options_.batch_bytes_max);
  if (batch && batch->header_checksum() == entry.header_checksum) return bytes;
  events_.on_log_damaged("group " + std::to_string(group.id.value()) + ", index " +
                         std::to_string(entry.first_index.value()) + ": the batch in segment " +
                         segments::SegmentLog::segment_name(entry.location.epoch) + " at offset " +
                         std::to_string(entry.location.offset) + " does not match its checksum");
  return {};
}

void ClientSide::on_read(ReadWindow&, int error) {
  if (is_passing(error)) return;  // the next tick tries again (S51)
  if (error != 0 && error != ENOENT) {
    events_.on_log_damaged("reading a segment failed with error " + std::to_string(error));
    return;
  }
  events_.on_window_read();
}

void ClientSide::reply_read(Inbound& to, std::uint64_t request_id, Group* group, Errc code,
                            std::uint32_t batch_bytes) {
  envelope_.Clear();
  wire::ClientReadReplyBuilder builder(envelope_);
  builder.add_request_id(request_id);
  builder.add_code(static_cast<std::uint16_t>(code));
  if (group != nullptr) {
    builder.add_commit_index(group->raft.commit_index().value());
    builder.add_first_index(group->index.first_index().value());
    builder.add_leader_id(group->raft.leader().value());
  }
  builder.add_batch_bytes(batch_bytes);
  envelope_.Finish(builder.Finish());
  stage_frame(to.connection->out(), FrameKind::kClientReadReply, envelope_, batch_bytes);
}

void ClientSide::wake_parked(Group& group) {
  // The answer is empty but for the commit index: the client asks again and is served from the tail
  // or from disk in its turn.
  if (group.parked_reads == 0) return;
  std::erase_if(parked_, [&](const Parked& parked) {
    if (parked.group != &group || parked.from > group.raft.commit_index()) return false;
    --group.parked_reads;
    Inbound* to = events_.find(parked.client);
    if (to != nullptr && !to->connection->closing()) {
      flatbuffers::FlatBufferBuilder again;
      wire::ClientReadBuilder builder(again);
      builder.add_request_id(parked.request_id);
      builder.add_group(group.id.value());
      builder.add_from_index(parked.from.value());
      builder.add_count_max(parked.count_max);
      builder.add_bytes_max(parked.bytes_max);
      again.Finish(builder.Finish());
      const auto* request = flatbuffers::GetRoot<wire::ClientRead>(again.GetBufferPointer());
      const auto* entry = group.index.find(parked.from);
      if (entry != nullptr && !commit_.tail().find(entry->location).empty()) {
        (void)serve_read(*to, group, *request);
      } else {
        reply_read(*to, parked.request_id, &group, Errc::kOk, 0);
      }
    }
    return true;
  });
}

void ClientSide::tick() {
  std::erase_if(parked_, [&](const Parked& parked) {
    if (io_.now_ns() < parked.deadline_ns) return false;
    --parked.group->parked_reads;
    Inbound* to = events_.find(parked.client);
    if (to != nullptr && !to->connection->closing()) {
      reply_read(*to, parked.request_id, parked.group, Errc::kOk, 0);
    }
    return true;
  });
}

// --- trims -----------------------------------------------------------------------------------

Taken ClientSide::on_trim(Inbound& from, const FrameView& frame) {
  const auto envelope = envelope_as<wire::ClientTrim>(frame);
  if (!envelope) return Taken::kClose;
  const wire::ClientTrim& request = **envelope;
  const std::uint64_t id = request.request_id();
  const Index first(request.first_index());
  Group* group = groups_.find(GroupId(request.group()));
  if (group == nullptr) {
    reply_trim(from, id, Errc::kUnknownGroup, Index{}, kNoNode);
    return Taken::kYes;
  }
  if (group->raft.role() != raft::Role::kLeader) {
    reply_trim(from, id, Errc::kNotLeader, Index{}, group->raft.leader());
    return Taken::kYes;
  }
  if (first > group->raft.commit_index().next()) {
    reply_trim(from, id, Errc::kInvalidRequest, group->index.first_index(), kNoNode);
    return Taken::kYes;
  }
  if (first <= group->index.first_index()) {
    reply_trim(from, id, Errc::kOk, group->index.first_index(), kNoNode);
    return Taken::kYes;
  }
  // A node that still needs these entries could not get them from anybody any more: it would have
  // to be replaced. Wait until every member holds them.
  if (first > group->raft.match_index_min().next()) {
    reply_trim(from, id, Errc::kOverloaded, group->index.first_index(), kNoNode);
    return Taken::kYes;
  }

  alignas(8) std::array<std::byte, 128> buffer{};
  BatchBuilder builder(buffer,
                       {.cluster = options_.cluster, .group = group->id, .kind = BatchKind::kTrim});
  const std::uint64_t target = first.value();
  SLUICE_CHECK(builder.append(std::as_bytes(std::span(&target, 1))));
  const BatchView batch = builder.finish();
  switch (commit_.make_room(batch.size_bytes())) {
    case GroupCommit::Room::kYes:
      break;
    case GroupCommit::Room::kLater:
      return Taken::kLater;
    case GroupCommit::Room::kNoSpace:
      reply_trim(from, id, Errc::kNoSpace, group->index.first_index(), kNoNode);
      return Taken::kYes;
  }
  const auto proposal = group->raft.propose(1, batch.size_bytes());
  if (!proposal) {
    reply_trim(from, id, proposal.error(), Index{}, group->raft.leader());
    return Taken::kYes;
  }
  seal_batch(std::span(buffer).first(batch.size_bytes()),
             {proposal->term, proposal->first_index, group->index.last_checksum(), io_.wall_ns()});
  groups_.append(*group, batch);
  group->trim_waiters.push_back({from.ref, id, proposal->first_index, proposal->term});
  return Taken::kYes;
}

void ClientSide::reply_trim(Inbound& to, std::uint64_t request_id, Errc code, Index first,
                            NodeId leader) {
  if (to.connection->closing()) return;
  envelope_.Clear();
  envelope_.Finish(wire::CreateClientTrimReply(
      envelope_, request_id, static_cast<std::uint16_t>(code), first.value(), leader.value()));
  stage_frame(to.connection->out(), FrameKind::kClientTrimReply, envelope_, 0);
}

// --- status ----------------------------------------------------------------------------------

Taken ClientSide::on_status(Inbound& from, const FrameView& frame) {
  const auto envelope = envelope_as<wire::ClientStatus>(frame);
  if (!envelope) return Taken::kClose;
  std::vector<wire::GroupStatus> groups;
  groups.reserve(groups_.all().size());
  for (const auto& group : groups_.all()) {
    const auto& raft = group->raft;
    groups.emplace_back(raft.term().value(), group->index.first_index().value(),
                        raft.log().last_index().value(), raft.durable_index().value(),
                        raft.commit_index().value(), group->id.value(), raft.leader().value(),
                        static_cast<std::uint8_t>(raft.role()), std::uint8_t{0}, std::uint16_t{0},
                        0u);
  }
  const auto& commit = commit_.counters();
  const wire::ShardCounters counters(commit.chunks_written, commit.flushes, commit.bytes_written,
                                     groups_.counters().batches_appended,
                                     groups_.counters().entries_appended,
                                     commit_.tail().bytes_used() + connections_memory_bytes);
  envelope_.Clear();
  const auto policy = envelope_.CreateString(options_.fsync_policy);
  const auto list = envelope_.CreateVectorOfStructs(groups);
  const auto stages = envelope_.CreateVectorOfStructs(commit_.stages().buckets());
  envelope_.Finish(wire::CreateClientStatusReply(envelope_, (*envelope)->request_id(),
                                                 options_.node.value(), options_.shard.value(),
                                                 policy, list, &counters, stages));
  stage_frame(from.connection->out(), FrameKind::kClientStatusReply, envelope_, 0);
  return Taken::kYes;
}

}  // namespace sluice::shard
