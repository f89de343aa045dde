#include "tests/sim/checks.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/shard/identity.h"
#include "segments/chunk_check.h"
#include "segments/names.h"
#include "segments/segment_log.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kStepsPerBoundsCheck = 32;

std::string number(auto id) { return std::to_string(id.value()); }

}  // namespace

Checks::Checks(World& world, ShadowLog& shadow, Options options)
    : world_(world), shadow_(shadow), options_(options), newest_(options.groups) {}

void Checks::violated(const Node& node, GroupId group, const std::string& what) {
  world_.report(node.name() + " group " + number(group) + ": " + what);
}

Checks::Seen& Checks::seen(const Node& node, GroupId group) {
  return seen_[{node.number(), group.value()}];
}

Checks::ShardSeen& Checks::shard_seen(const Node& node, ShardId shard) {
  return shard_seen_[{node.number(), shard.value()}];
}

ShardId Checks::shard_of(GroupId group, std::size_t shards) {
  return ShardId(group.value() % static_cast<std::uint32_t>(shards));
}

std::string Checks::file_of(const Node& node, ShardId shard, Epoch epoch) const {
  return shard::shard_directory(node.config().data_dir, shard) + "/" +
         segments::SegmentLog::segment_name(epoch);
}

// --- from inside -----------------------------------------------------------------------------

void Checks::on_recovered(Node& node, shard::Shard& shard) {
  for (const auto& group : shard.groups().all()) {
    Seen& was = seen(node, group->id);
    const Term term = group->raft.term();
    const auto vote = was.votes.find(term.value());
    const bool term_lost = term < std::max(was.spoken_term, was.durable_term);
    const bool vote_lost = vote != was.votes.end() && group->raft.hard_state().vote != vote->second;
    const auto* kept = group->index.find(was.promise_index);
    const bool entries_lost =
        group->index.last_index() < was.promise_index ||
        (kept != nullptr && kept->header_checksum != was.promise_checksum);
    // On an empty disk nothing is left of what it promised. The others know, and refuse it.
    if (!node.replaced && (term_lost || vote_lost || entries_lost)) {
      // What a durable mark covers must be missed when it is damaged, and is never cut (S28); but
      // the mark may be damaged as well, or was misread with what it covers.
      const ShardId id = shard_of(group->id, node.shards().size());
      const bool marked = entries_lost && !node.has_misread() &&
                          was.promise_seq <= shard_seen(node, id).marked &&
                          has_mark_on_disk(node, shard, id, was.promise_seq);
      if (node.machine().disk->has_lied() && marked) {
        violated(node, group->id, "cut its log at " + number(group->index.last_index()) +
                                      " though a durable mark covers " +
                                      number(was.promise_index) + " (S28)");
      }
      if (node.machine().disk->has_lied()) {
        // Nobody could tell: to let it speak on would be more than one failure.
        node.final = true;
        world_.trace(node.name(), "lost what it promised, because its disk lied: stays down");
        world_.after(0, [&node] { node.kill(); });
        return;
      }
      if (term_lost) {
        violated(node, group->id, "came back in term " + number(term) + " but has spoken in term " +
                                      number(was.spoken_term) + ", and term " +
                                      number(was.durable_term) + " was durable (S3)");
      }
      if (vote_lost) {
        violated(node, group->id, "came back without its vote for node " + number(vote->second) +
                                      " in term " + number(term) + " (S3)");
      }
      if (entries_lost) {
        violated(node, group->id, "came back with a log up to " + number(group->index.last_index()) +
                                      " but has acknowledged " + number(was.promise_index) +
                                      " (S31)");
      }
    }
    was.term = was.durable_term = term;
    was.commit = Index{};
    was.last_checksum = 0;
    was.last_index = Index{};
    was.led = false;
    was.state_seq = ChunkSeq{};
    check_new_batches(node, *group, was);
  }
}

void Checks::on_step(Node& node, shard::Shard& shard) {
  check_durable(node, shard);
  for (const auto& group : shard.groups().all()) check_group(node, shard, *group);
  const ShardId id(shard.groups().all().empty()
                       ? 0
                       : shard.groups().all().front()->id.value() %
                             static_cast<std::uint32_t>(node.shards().size()));
  if (++shard_seen(node, id).steps % kStepsPerBoundsCheck == 0) check_bounds(node, shard);
}

void Checks::set_back(const Node& node) {
  for (auto& [key, was] : seen_) {
    if (key.first == node.number()) was = {};
  }
  for (auto& [key, was] : shard_seen_) {
    if (key.first == node.number()) was = {};
  }
  std::erase_if(met_, [&](const auto& met) { return std::get<0>(met) == node.number(); });
}

void Checks::on_gone(Node& node) {
  for (auto& [key, was] : shard_seen_) {
    if (key.first == node.number()) was.verified = ChunkSeq{};  // numbers go on, marks stay true
  }
}

bool Checks::is_known_to_all(const Node& node, std::uint32_t shards) const {
  for (const Node* other : nodes_) {
    for (std::uint32_t shard = 0; shard < shards && other != &node; ++shard) {
      if (!met_.contains({other->number(), node.number(), shard})) return false;
    }
  }
  return true;
}

void Checks::check_group(Node& node, shard::Shard& shard, const shard::Group& group) {
  Seen& was = seen(node, group.id);
  check_terms(node, group, was);
  const auto& state = group.raft.hard_state();
  if (!group.hard_state_due && (was.state != state || was.state_seq == ChunkSeq{})) {
    was.state = state;
    was.state_seq = group.hard_state_at.seq;
  }
  if (group.index.last_checksum() != was.last_checksum ||
      group.index.last_index() != was.last_index) {
    check_new_batches(node, group, was);
  }
  check_leader(node, shard, group, was);
  if (group.raft.commit_index() != was.commit) check_commit(node, group, was);
  check_first(node, group);
}

void Checks::check_terms(Node& node, const shard::Group& group, Seen& was) {
  const Term term = group.raft.term();
  if (term < was.term) {
    violated(node, group.id,
             "term went back from " + number(was.term) + " to " + number(term));
  }
  was.term = term;
  was.durable_term = group.raft.durable_hard_state().term;
}

void Checks::check_new_batches(Node& node, const shard::Group& group, Seen& was) {
  const auto& index = group.index;
  if (index.last_index() != group.raft.log().last_index()) {
    violated(node, group.id, "Raft's view ends at " + number(group.raft.log().last_index()) +
                                 ", the index at " + number(index.last_index()));
  }
  // By the chain of checksums: from the end back to a batch that was seen before.
  for (std::size_t i = index.batch_count(); i > 0; --i) {
    const auto& entry = index.batch(i - 1);
    const auto [at, fresh] = batches_.try_emplace(
        {group.id.value(), entry.first_index.value(), entry.term.value()}, entry.header_checksum);
    if (at->second != entry.header_checksum) {
      violated(node, group.id, "two batches at index " + number(entry.first_index) + " of term " +
                                   number(entry.term) + " differ (log matching)");
    }
    if (!fresh) break;
  }
  if (!node.replaced) take_back_promise(node, group, was);
  was.last_checksum = index.last_checksum();
  was.last_index = index.last_index();
}

/// Entries are given up only by a request that went through the log, and only committed ones.
void Checks::check_first(Node& node, const shard::Group& group) {
  const Index first = group.index.first_index();
  if (first <= shadow_.first_allowed(group.id)) return;
  violated(node, group.id, "gave up its log below " + number(first) +
                               "; the committed trims allow " +
                               number(shadow_.first_allowed(group.id)));
}

/// What a newer leader made it truncate is no longer promised; what is committed always is.
void Checks::take_back_promise(Node& node, const shard::Group& group, Seen& was) {
  const auto* here = group.index.find(was.promise_index);
  if (was.promise_index == Index{} || was.promise_index < group.index.first_index()) return;
  if (here != nullptr && here->header_checksum == was.promise_checksum) return;
  const auto* promised = shadow_.find(group.id, was.promise_index);
  // A node that is in an older term than the one it was committed in may lose it: its leader was
  // elected before, without it, and the leader that committed it counted others, in its own term
  // (Raft §5.4.2).
  if (promised != nullptr && promised->checksum == was.promise_checksum &&
      group.raft.term() >= promised->committed_in) {
    violated(node, group.id, "dropped index " + number(was.promise_index) +
                                 ", which it has acknowledged and which is committed (S5)");
  }
  // From here on what is committed and has stayed. (What is committed where it held other entries
  // is promised when it has acknowledged that.)
  Index kept = std::min(group.index.last_index(), shadow_.last_index(group.id));
  kept = std::min(kept, was.promise_index);
  const ChunkSeq promised_by = was.promise_seq;
  was.promise_index = Index{};
  while (kept >= group.index.first_index()) {
    const auto* held = group.index.find(kept);
    const auto* committed = shadow_.find(group.id, kept);
    if (held == nullptr || committed == nullptr) return;
    // In a later chunk it came with this very change, and may be on its way to the disk yet.
    if (held->header_checksum == committed->checksum && held->location.seq <= promised_by) {
      was.promise_index = held->last_index();
      was.promise_checksum = held->header_checksum;
      was.promise_seq = held->location.seq;
      return;
    }
    kept = std::min(held->first_index, committed->first).prev();
  }
}

void Checks::promise(Seen& was, Index index, Term term, const segments::GroupIndex::Entry& entry) {
  was.promise_term = std::max(was.promise_term, term);
  if (index <= was.promise_index) return;
  was.promise_index = index;
  was.promise_checksum = entry.header_checksum;
  was.promise_seq = entry.location.seq;
}

void Checks::check_leader(Node& node, shard::Shard& shard, const shard::Group& group, Seen& was) {
  const bool leads = group.raft.role() == raft::Role::kLeader;
  if (!leads) {
    was.led = false;
    return;
  }
  const Term term = group.raft.term();
  Leadership& newest = newest_[group.id.value()];
  if (was.led && newest.node == &node && newest.term == term) return;
  if (!was.led) {
    was.uncommitted_when_elected = group.raft.uncommitted_bytes();
    const auto [at, fresh] =
        leaders_.try_emplace({group.id.value(), term.value()}, node.number());
    if (fresh) {
      ++elections_;
      if (on_election) on_election(group.id, node);
      world_.trace(node.name(), "leads group " + number(group.id) + " in term " + number(term));
    }
    if (at->second != node.number()) {
      violated(node, group.id, "is the second leader of term " + number(term) + " (S2)");
    }
    record_vote(node, group.id, term, node.id());
    check_votes(node, group.id, term);
    was.spoken_term = std::max(was.spoken_term, term);
    const bool durable = was.state == group.raft.hard_state() &&
                         was.state_seq <= shard.commit().log().durable_seq();
    if (options_.nodes > 1 && !durable) {
      violated(node, group.id, "leads term " + number(term) + " before its own vote is durable");
    }
    // Leader completeness (Raft §5.4.3).
    if (const auto* committed = shadow_.last(group.id)) {
      const auto* here = group.index.find(committed->last());
      const bool trimmed = group.index.first_index() > committed->last();
      if (!trimmed && (here == nullptr || here->header_checksum != committed->checksum) &&
          term >= committed->term) {
        violated(node, group.id, "leads term " + number(term) + " without the committed entry " +
                                     number(committed->last()) + " (S4)");
      }
    }
  }
  was.led = true;
  if (term > newest.term) newest = {term, &node};
}

/// Everybody who gave it a vote said so on the wire.
void Checks::check_votes(Node& node, GroupId group, Term term) {
  std::size_t votes = 0;
  for (const Node* voter : nodes_) {
    const auto& given = seen(*voter, group).votes;
    const auto vote = given.find(term.value());
    if (vote != given.end() && vote->second == node.id()) ++votes;
  }
  if (votes <= options_.nodes / 2) {
    violated(node, group, "leads term " + number(term) + " by " + std::to_string(votes) + " of " +
                              std::to_string(options_.nodes) + " votes (S2)");
  }
}

void Checks::check_commit(Node& node, const shard::Group& group, Seen& was) {
  const Index commit = group.raft.commit_index();
  if (commit < was.commit) {
    violated(node, group.id, "commit index went back from " + number(was.commit) + " to " +
                                 number(commit));
    return;
  }
  if (commit > group.index.last_index()) {
    violated(node, group.id, "commit index " + number(commit) + " is beyond its log (S8)");
    return;
  }
  // Raft §5.4.2: by counting copies a leader commits only what is of its own term.
  if (was.led && group.raft.role() == raft::Role::kLeader &&
      group.raft.log().term_at(commit) != group.raft.term()) {
    violated(node, group.id, "leads term " + number(group.raft.term()) + " and committed up to " +
                                 number(commit) + ", an entry of an older term (S1)");
  }
  const Index from = std::max(was.commit.next(), group.index.first_index());
  const auto position = group.index.position_of(from);
  for (std::size_t i = position.value_or(group.index.batch_count());
       i < group.index.batch_count() && group.index.batch(i).first_index <= commit; ++i) {
    const auto* const entry = &group.index.batch(i);
    const auto* known = shadow_.find(group.id, entry->first_index);
    if (known != nullptr) {
      if (known->first != entry->first_index || known->checksum != entry->header_checksum) {
        violated(node, group.id, "committed another entry at " + number(entry->first_index) +
                                     " than was committed before");
      }
      continue;
    }
    if (entry->first_index != shadow_.last_index(group.id).next()) {
      violated(node, group.id, "committed " + number(entry->first_index) +
                                   ", and the entries before it nobody committed");
      return;
    }
    if (options_.fsync_always) check_quorum(node, group.id, *entry);
    const auto bytes = bytes_of(group.id, *entry);
    if (bytes.empty()) {
      violated(node, group.id, "committed " + number(entry->first_index) +
                                   ", whose bytes no node has in memory or on disk");
      return;
    }
    shadow_.append(group.id, BatchView::trusted(bytes), group.raft.term(), node.name());
  }
  was.commit = commit;
  const auto* last = group.index.find(commit);
  const ShardId own = shard_of(group.id, node.shards().size());
  if (last != nullptr && last->location.seq <= shard_seen(node, own).verified) {
    promise(was, commit, group.raft.term(), *last);
  }
}

/// The bytes of a batch, from whoever has them: in memory (a quorum without the leader may commit
/// before the leader's own write has begun) or on a disk, if that tells the truth.
std::vector<std::byte> Checks::bytes_of(GroupId group, const segments::GroupIndex::Entry& entry) {
  for (Node* node : nodes_) {
    if (node->shards().empty()) continue;
    shard::Shard* shard = node->shards()[group.value() % node->shards().size()];
    if (shard == nullptr) continue;
    for (const auto& other : shard->groups().all()) {
      if (other->id != group) continue;
      const auto* here = other->index.find(entry.first_index);
      if (here == nullptr || here->header_checksum != entry.header_checksum) continue;
      const auto in_memory = shard->commit().tail().find(here->location);
      if (!in_memory.empty()) return {in_memory.begin(), in_memory.end()};
      const ShardId id = shard_of(group, node->shards().size());
      auto bytes = node->machine().disk->peek(file_of(*node, id, here->location.epoch),
                                              here->location.offset, here->location.size_bytes);
      const auto batch = BatchView::parse_sealed(bytes, node->config().batch_bytes_max);
      if (batch && batch->header_checksum() == entry.header_checksum) return bytes;
    }
  }
  return {};
}

/// Every batch and hard state of chunks that the node believes durable is so in the disk model.
void Checks::check_durable(Node& node, shard::Shard& shard) {
  const auto groups = shard.groups().all();
  if (groups.empty()) return;
  const ShardId id = shard_of(groups.front()->id, node.shards().size());
  ShardSeen& was = shard_seen(node, id);
  const ChunkSeq durable = shard.commit().log().durable_seq();
  if (durable <= was.verified) return;
  const Disk& disk = *node.machine().disk;
  if (!disk.has_lied()) {
    const auto check = [&](const segments::Location& at, GroupId group, const char* what) {
      if (at.seq <= was.verified || at.seq > durable) return;
      if (disk.is_durable(file_of(node, id, at.epoch), at.offset, at.size_bytes)) return;
      violated(node, group, std::string("counts a ") + what + " in chunk " + number(at.seq) +
                                " as durable that a power failure would take");
    };
    for (const auto& group : groups) {
      for (std::size_t i = group->index.batch_count(); i > 0; --i) {
        const auto& at = group->index.batch(i - 1).location;
        if (at.seq <= was.verified) break;
        check(at, group->id, "batch");
      }
      if (group->hard_state_at.seq != ChunkSeq{}) check(group->hard_state_at, group->id, "vote");
    }
  }
  was.verified = durable;
  const auto& log = shard.commit().log();
  if (durable == log.last_seq()) was.marked = std::max(was.marked, log.marked_seq());
}

/// Does a chunk that an earlier start wrote, and that is where it belongs, say that chunk `seq` was
/// durable? (Every start begins a segment of its own.)
bool Checks::has_mark_on_disk(Node& node, shard::Shard& shard, ShardId id, ChunkSeq seq) const {
  const Disk& disk = *node.machine().disk;
  std::vector<std::string> names;
  for (Epoch epoch(1); epoch <= newest_epoch(node, id); epoch = epoch.next()) {
    if (disk.size(file_of(node, id, epoch))) names.push_back(file_of(node, id, epoch));
  }
  if (!names.empty()) names.pop_back();
  return std::ranges::any_of(names, [&](const std::string& path) {
    const std::size_t size = *disk.size(path);
    const auto bytes = disk.peek(path, 0, size);
    std::vector<std::uint64_t> aligned((size + 7) / 8);
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    const auto epoch = segments::parse_segment_name(path.substr(path.rfind('/') + 1));
    const segments::SegmentBytes segment{*epoch, std::as_bytes(std::span(aligned)).first(size)};
    // Not as recovery reads it: at every place where a chunk may begin.
    for (std::uint64_t at = segments::kBlockBytes; at < size; at += segments::kBlockBytes) {
      const auto chunk = segments::find_chunk(shard.commit().log().options(), segment, at);
      if (chunk && chunk->durable_seq >= seq) return true;
    }
    return false;
  });
}

/// Of the names in the shard's directory.
Epoch Checks::newest_epoch(Node& node, ShardId id) {
  Epoch newest;
  const std::string directory = shard::shard_directory(node.config().data_dir, id);
  for (const std::string& name : node.machine().disk->list(directory).value_or(std::vector<std::string>{})) {
    if (const auto epoch = segments::parse_segment_name(name)) newest = std::max(newest, *epoch);
  }
  return newest;
}

bool Checks::has_marks(const Node& node) const {
  // Without syncs nothing is known to be durable, so nothing can be marked.
  if (node.config().fsync.kind == FsyncPolicy::Kind::kNever) return true;
  for (shard::Shard* shard : node.shards()) {
    if (shard == nullptr) continue;
    ChunkSeq last;
    for (const auto& group : shard->groups().all()) {
      if (group->index.batch_count() == 0) continue;
      last = std::max(last, group->index.batch(group->index.batch_count() - 1).location.seq);
    }
    if (shard->commit().log().marked_seq() < last) return false;
  }
  return true;
}

bool Checks::holds_durably(Node& node, GroupId group, const segments::GroupIndex::Entry& entry) {
  const Seen& was = seen(node, group);
  const bool promised = was.promise_index >= entry.last_index() && was.promise_term >= entry.term;
  if (promised || node.shards().empty()) return promised;
  shard::Shard* shard = node.shards()[group.value() % node.shards().size()];
  if (shard == nullptr) return false;
  for (const auto& other : shard->groups().all()) {
    if (other->id != group) continue;
    const auto* here = other->index.find(entry.first_index);
    return here != nullptr && here->header_checksum == entry.header_checksum &&
           here->location.seq <=
               shard_seen(node, shard_of(group, node.shards().size())).verified;
  }
  return false;
}

void Checks::check_quorum(Node& node, GroupId group, const segments::GroupIndex::Entry& entry) {
  std::size_t holders = 0;
  for (Node* other : nodes_) {
    if (holds_durably(*other, group, entry)) ++holders;
  }
  if (holders <= options_.nodes / 2) {
    violated(node, group, "committed " + number(entry.first_index) + ", which is durable on " +
                              std::to_string(holders) + " of " + std::to_string(options_.nodes) +
                              " nodes (S7)");
  }
}

void Checks::check_bounds(Node& node, shard::Shard& shard) {
  const Config& config = node.config();
  const std::size_t chunk = config.batch_bytes_max + std::size_t{4} * segments::kBlockBytes;
  const std::size_t tail_max = std::max<std::size_t>(config.tail_bytes, 9 * chunk);
  if (shard.commit().tail().bytes_used() > tail_max) {
    world_.report(node.name() + ": " + std::to_string(shard.commit().tail().bytes_used()) +
                  " bytes of chunks in memory (S43)");
  }
  for (const auto& group : shard.groups().all()) {
    // One batch may exceed it, and each new leader adds its no-op.
    const Seen& was = seen(node, group->id);
    const std::uint64_t uncommitted_max =
        std::max(config.uncommitted_bytes_max, was.uncommitted_when_elected) +
        config.batch_bytes_max + 4096;
    if (was.led && group->raft.uncommitted_bytes() > uncommitted_max) {
      violated(node, group->id, std::to_string(group->raft.uncommitted_bytes()) +
                                    " uncommitted bytes (S52)");
    }
  }
  // What is queued for one connection: the bound, and what one more reply or frame may add to it.
  const std::size_t frame = config.batch_bytes_max + (std::size_t{2} << 20);
  const std::size_t queue_max = 4 * std::max<std::size_t>(config.send_queue_bytes_max, 2 * frame) +
                                2 * frame;
  for (const auto& inbound : shard.inbounds()) {
    if (inbound && inbound->queued_bytes() > queue_max) {
      world_.report(node.name() + ": " + std::to_string(inbound->queued_bytes()) +
                    " bytes queued for one connection (S43)");
    }
  }
}

// --- what nodes say --------------------------------------------------------------------------

void Checks::on_sent(Node& node, const Socket& socket, std::span<const std::byte> bytes) {
  if (socket.to_machine >= nodes_.size()) return;  // to a client: judged by what it understands
  FrameTap& tap = taps_[socket.number];
  tap.take(bytes, [&](const FrameView& frame) {
    if (frame.kind != FrameKind::kPeerMessages) return;
    const auto messages = envelope_as<wire::PeerMessages>(frame);
    if (messages) on_peer_messages(node, socket, **messages);
  });
  if (tap.broken()) world_.report(node.name() + " sent bytes that are no frames");
}

void Checks::on_peer_messages(Node& node, const Socket& socket,
                              const wire::PeerMessages& messages) {
  const auto note = [&](const auto* items) {
    if (items == nullptr || items->size() == 0 || node.shards().empty()) return;
    const auto shards = static_cast<std::uint32_t>(node.shards().size());
    met_.insert({node.number(), socket.to_machine, items->Get(0)->group() % shards});
  };
  note(messages.vote_requests());
  note(messages.append_requests());
  if (const auto* replies = messages.vote_replies()) {
    for (const auto* reply : *replies) on_vote(node, socket.to_machine, *reply);
  }
  if (const auto* replies = messages.append_replies()) {
    for (const auto* reply : *replies) on_append_reply(node, *reply);
  }
}

void Checks::record_vote(Node& node, GroupId group, Term term, NodeId candidate) {
  const auto [at, fresh] = seen(node, group).votes.try_emplace(term.value(), candidate);
  if (!fresh && at->second != candidate) {
    violated(node, group, "voted for nodes " + number(at->second) + " and " + number(candidate) +
                              " in term " + number(term) + " (S3)");
  }
}

void Checks::on_vote(Node& node, std::size_t to, const wire::VoteReply& reply) {
  if (reply.pre_vote() != 0) return;  // promises nothing
  const GroupId group(reply.group());
  // A refusal only tells of a term that it heard of; who forgets that has voted for nobody in it.
  if (reply.granted() == 0) return;
  Seen& was = seen(node, group);
  was.spoken_term = std::max(was.spoken_term, Term(reply.term()));
  record_vote(node, group, Term(reply.term()), nodes_[to]->id());
}

void Checks::on_append_reply(Node& node, const wire::AppendReply& reply) {
  const GroupId group(reply.group());
  Seen& was = seen(node, group);
  const Term term(reply.term());
  if (reply.rejected() != 0) return;
  was.spoken_term = std::max(was.spoken_term, term);
  if (node.shards().empty()) return;
  shard::Shard* shard = node.shards()[group.value() % node.shards().size()];
  if (shard == nullptr) return;
  const Index match(reply.match_index());
  for (const auto& here : shard->groups().all()) {
    if (here->id != group || here->raft.term() != term) continue;
    if (match > here->index.last_index()) {
      violated(node, group, "acknowledged " + number(match) + " and has only " +
                                number(here->index.last_index()));
      return;
    }
    const auto* entry = here->index.find(match);
    const ChunkSeq verified =
        shard_seen(node, shard_of(group, node.shards().size())).verified;
    if (options_.fsync_always && entry != nullptr && entry->location.seq > verified) {
      violated(node, group, "acknowledged " + number(match) + " before it was durable (S31)");
    }
    if (entry != nullptr) promise(was, match, term, *entry);
  }
}

}  // namespace sluice::sim
