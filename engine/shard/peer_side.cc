#include "engine/shard/peer_side.h"

#include <algorithm>
#include <utility>

#include "engine/shard/frames.h"

namespace sluice::shard {

namespace {
constexpr std::size_t kRepliesPerFrameMax = 8192;
}

using Taken = Connection::Taken;

PeerSide::PeerSide(ClusterId cluster, std::uint32_t batch_bytes_max, Groups& groups,
                   GroupCommit& commit, Events& events)
    : cluster_(cluster),
      batch_bytes_max_(batch_bytes_max),
      groups_(groups),
      commit_(commit),
      events_(events) {}

Taken PeerSide::on_requests(Inbound& from, const FrameView& frame) {
  const auto envelope = envelope_as<wire::PeerMessages>(frame);
  if (!envelope) return Taken::kClose;
  const wire::PeerMessages& messages = **envelope;
  if (messages.vote_replies() != nullptr && messages.vote_replies()->size() > 0) {
    return Taken::kClose;
  }
  if (!from.begun && messages.vote_requests() != nullptr) {
    for (const wire::VoteRequest* vote : *messages.vote_requests()) {
      Group* group = groups_.find(GroupId(vote->group()));
      if (group == nullptr) return Taken::kClose;
      group->raft.step(from.peer,
                       raft::VoteRequest{Term(vote->term()), Index(vote->last_index()),
                                         Term(vote->last_term()), vote->pre_vote() != 0});
      groups_.mark_dirty(*group);
    }
  }
  from.begun = true;
  auto& cursor = from.connection->cursor;
  if (messages.append_requests() != nullptr) {
    const auto& requests = *messages.append_requests();
    Lookahead lookahead;
    for (; cursor.item < requests.size(); ++cursor.item) {
      lookahead.at(cursor.item, requests.size(), [&](std::size_t at) {
        return groups_.find(GroupId(requests.Get(static_cast<flatbuffers::uoffset_t>(at))->group()));
      });
      const wire::AppendRequest& request = *requests.Get(cursor.item);
      const bool fits = request.batch_bytes() <= frame.batches.size() - cursor.offset;
      if (!fits || request.batch_bytes() % 8 != 0) return Taken::kClose;
      const auto batches = frame.batches.subspan(cursor.offset, request.batch_bytes());
      const Taken taken = take_append(from, request, batches);
      if (taken != Taken::kYes) return taken;
      cursor.offset += request.batch_bytes();
      cursor.item_offset = 0;
    }
  }
  if (cursor.offset != frame.batches.size()) return Taken::kClose;
  from.begun = false;
  return Taken::kYes;
}

Taken PeerSide::take_append(Inbound& from, const wire::AppendRequest& request,
                            std::span<const std::byte> batches) {
  Group* group = groups_.find(GroupId(request.group()));
  if (group == nullptr) return Taken::kClose;
  auto& cursor = from.connection->cursor;
  raft::AppendRequest step{Term(request.term()), Index(request.prev_index()),
                           Term(request.prev_term()), Index(request.commit_index())};
  if (cursor.item_offset > 0) {
    step.prev_index = cursor.prev_index;
    step.prev_term = cursor.prev_term;
  }
  if (batches.empty()) {
    (void)group->raft.step(from.peer, step, {});
    groups_.mark_dirty(*group);
    return Taken::kYes;
  }

  while (cursor.item_offset < batches.size()) {
    const auto batch =
        BatchView::parse_sealed(batches.subspan(cursor.item_offset), batch_bytes_max_);
    const bool sound = batch && batch->cluster() == cluster_ && batch->group() == group->id &&
                       batch->first_index() == step.prev_index.next() &&
                       batch->term() >= step.prev_term && batch->term() <= step.term;
    if (!sound) return Taken::kClose;
    const GroupCommit::Room room = commit_.make_room(batch->size_bytes());
    if (room != GroupCommit::Room::kYes) {
      // The leader must not pass for dead because this disk is slow or full.
      if (room == GroupCommit::Room::kNoSpace) {
        // The request is dropped. The leader asks again with its heartbeats, and goes on as soon as
        // there is space (S36).
        group->raft.hear(from.peer, step);
        groups_.mark_dirty(*group);
        return Taken::kYes;
      }
      // The request stays, and is heard without its entries. Once a tick: it is answered, and an
      // answer that was sent is a reason to look at the request again.
      if (!std::exchange(from.heard, true)) {
        (void)group->raft.step(from.peer, step, {});
        groups_.mark_dirty(*group);
      }
      return Taken::kLater;
    }
    if (!links(*group, step.prev_index, step.prev_term, *batch)) {
      events_.on_log_damaged(
          "group " + std::to_string(group->id.value()) + " contradicts its leader before index " +
          std::to_string(batch->first_index().value()) + ": same term, other content");
      return Taken::kClose;
    }
    const raft::BatchInfo info{batch->term(), batch->first_index(), batch->entry_count(),
                               batch->size_bytes()};
    const auto decision = group->raft.step(from.peer, step, std::span(&info, 1));
    groups_.mark_dirty(*group);
    if (!decision.accepted) return Taken::kYes;  // and what follows in this request would not fit
    if (decision.truncate_from) {
      groups_.truncate(*group, *decision.truncate_from);
      events_.on_truncated(*group, *decision.truncate_from);
    }
    if (decision.first_new == 0) groups_.append(*group, *batch);
    cursor.item_offset += batch->size_bytes();
    cursor.prev_index = step.prev_index = batch->last_index();
    cursor.prev_term = step.prev_term = batch->term();
  }
  return Taken::kYes;
}

bool PeerSide::links(const Group& group, Index prev_index, Term prev_term, BatchView batch) const {
  // Two replicas that hold the same term at an index must hold the same bytes up to it (Raft §5.3,
  // Log Matching). The chain of checksums sees it if they do not: then one of them has lost or
  // changed what it acknowledged, and going on would make that permanent.
  const auto& index = group.index;
  if (!group.raft.log().has(prev_index, prev_term)) return true;  // Raft will reject it
  if (prev_index == index.last_index()) return index.last_checksum() == batch.previous_checksum();
  if (prev_index == index.start().prev_index) {
    return index.start().prev_checksum == batch.previous_checksum();
  }
  const auto* before = index.find(prev_index);
  return before == nullptr || (before->last_index() == prev_index &&
                               before->header_checksum == batch.previous_checksum());
}

bool PeerSide::on_replies(NodeId from, const wire::PeerMessages& messages) {
  if (messages.vote_replies() != nullptr) {
    for (const wire::VoteReply* reply : *messages.vote_replies()) {
      Group* group = groups_.find(GroupId(reply->group()));
      if (group == nullptr) return false;
      group->raft.step(from, raft::VoteReply{Term(reply->term()), reply->granted() != 0,
                                             reply->pre_vote() != 0});
      groups_.mark_dirty(*group);
    }
  }
  if (messages.append_replies() != nullptr) {
    const auto& replies = *messages.append_replies();
    Lookahead lookahead;
    for (flatbuffers::uoffset_t i = 0; i < replies.size(); ++i) {
      const auto group_of = [&](std::size_t at) {
        return groups_.find(GroupId(replies.Get(static_cast<flatbuffers::uoffset_t>(at))->group()));
      };
      lookahead.at(i, replies.size(), group_of);
      const wire::AppendReply* const reply = replies.Get(i);
      Group* group = group_of(i);
      if (group == nullptr) return false;
      group->raft.step(
          from, raft::AppendReply{Term(reply->term()), reply->rejected() != 0,
                                  Index(reply->match_index()), Index(reply->rejected_index()),
                                  Index(reply->hint_index()), Term(reply->hint_term())});
      groups_.mark_dirty(*group);
    }
  }
  return true;
}

void PeerSide::flush(Inbound& to) {
  if (to.append_replies.empty() && to.vote_replies.empty()) return;
  if (to.connection->closing() || !to.connection->can_gather()) return;
  envelope_.Clear();
  const std::size_t vote_count = std::min(to.vote_replies.size(), kRepliesPerFrameMax);
  const std::size_t append_count = std::min(to.append_replies.size(), kRepliesPerFrameMax);
  flatbuffers::Offset<flatbuffers::Vector<const wire::VoteReply*>> votes = 0;
  flatbuffers::Offset<flatbuffers::Vector<const wire::AppendReply*>> appends = 0;
  if (vote_count > 0) {
    votes = envelope_.CreateVectorOfStructs(to.vote_replies.data(), vote_count);
  }
  if (append_count > 0) {
    appends = envelope_.CreateVectorOfStructs(to.append_replies.data(), append_count);
  }
  envelope_.Finish(wire::CreatePeerMessages(envelope_, 0, votes, 0, appends));
  stage_frame(to.connection->out(), FrameKind::kPeerMessages, envelope_, 0);
  to.vote_replies.erase(to.vote_replies.begin(),
                        to.vote_replies.begin() + static_cast<std::ptrdiff_t>(vote_count));
  to.append_replies.erase(to.append_replies.begin(),
                          to.append_replies.begin() + static_cast<std::ptrdiff_t>(append_count));
  to.connection->pump();
}

}  // namespace sluice::shard
