#include "engine/shard/shard.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/shard/recover.h"
#include "wire/checksum.h"

namespace sluice::shard {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kStopNsMax = 3'000'000'000;
/// After a long pause (a stopped process, a stalled machine) the clock is not made up for whole:
/// what arrived meanwhile is still unread in the sockets.
constexpr std::uint64_t kTicksAtOnceMax = 5;
constexpr std::size_t kNoopBytes = 104;  // header and one empty entry
static_assert(kNoopBytes % 8 == 0 && kNoopBytes >= kBatchHeaderBytes + 4);

}  // namespace

segments::Options Shard::segment_options(const Options& options) {
  segments::Options segments;
  segments.cluster = cluster_id_of(options.identity.cluster_name);
  segments.directory = options.identity.directory;
  segments.shard = options.shard;
  const std::uint64_t block = segments::kBlockBytes;
  const std::uint64_t batch = (options.config.batch_bytes_max + block - 1) / block * block;
  segments.chunk_bytes_max = static_cast<std::uint32_t>(batch + 2 * block);
  segments.segment_bytes =
      std::max(options.config.segment_bytes, std::uint64_t{4} * segments.chunk_bytes_max);
  return segments;
}

CatchUpPace::Options Shard::catch_up_options(const Options& options) {
  const Config& config = options.config;
  return {.bytes_per_s_min =
              std::max<std::uint64_t>(1, config.catch_up_bytes_per_s_min / options.identity.shards),
          .commit_bytes_max = std::uint64_t{segment_options(options).chunk_bytes_max} *
                              config.writes_inflight_max};
}

std::expected<std::unique_ptr<Shard>, std::string> Shard::open(io::Io& io, Options options) {
  const std::string directory = shard_directory(options.config.data_dir, options.shard);
  auto recovered = recover(io, directory, segment_options(options), options.config.producers_max);
  if (!recovered) return std::unexpected(recovered.error());
  for (const auto& [id, group] : recovered->groups) {
    const bool ours = id.value() % options.identity.shards == options.shard.value();
    if (!ours || id.value() >= options.config.groups) {
      return std::unexpected("the data directory holds group " + std::to_string(id.value()) +
                             "; start the node with --groups " + std::to_string(id.value() + 1) +
                             " or more");
    }
  }
  if (recovered->batch_bytes_max > options.config.batch_bytes_max) {
    return std::unexpected("the log in " + directory + " holds batches of " +
                           std::to_string(recovered->batch_bytes_max) +
                           " bytes; start the node with --batch-bytes-max of at least that");
  }
  if (recovered->torn_tail && options.on_notice) {
    options.on_notice("shard " + std::to_string(options.shard.value()) +
                      ": cut a torn tail (writes that were under way at the last end)");
  }
  std::unique_ptr<Shard> shard(new Shard(io, std::move(options), *recovered));
  shard->make_groups(std::move(*recovered));
  if (auto why = shard->write_first_chunk(); !why.empty()) {
    shard->stopped_ = true;
    shard->end();
    return std::unexpected(why);
  }
  shard->start();
  return shard;
}

Shard::Shard(io::Io& io, Options options, const Recovered& recovered)
    : io_(io),
      options_(std::move(options)),
      mailbox_(std::make_shared<Mailbox>(io.make_waker())),
      commit_(io,
              {.directory = shard_directory(options_.config.data_dir, options_.shard),
               .direct = recovered.direct,
               .segments = segment_options(options_),
               .fsync = options_.config.fsync,
               .writes_inflight_max = options_.config.writes_inflight_max,
               .tail_bytes = std::max<std::uint64_t>(
                   options_.config.tail_bytes,
                   std::uint64_t{8} * segment_options(options_).chunk_bytes_max)},
              recovered.end, *this),
      groups_(options_.shard, options_.identity.shards, commit_),
      peer_directories_(commit_, recovered.peers, options_.config.trusted_again),
      peer_side_(cluster_id_of(options_.identity.cluster_name), options_.config.batch_bytes_max,
                 groups_, commit_, *this),
      client_side_(io,
                   {.node = options_.identity.node,
                    .shard = options_.shard,
                    .cluster = cluster_id_of(options_.identity.cluster_name),
                    .groups = options_.config.groups,
                    .batch_bytes_max = options_.config.batch_bytes_max,
                    .send_queue_bytes_max = send_queue_bytes_max(),
                    .fsync_policy = options_.config.fsync.to_string()},
                   groups_, commit_, *this),
      local_side_(io, client_side_),
      tick_ns_(options_.config.tick_ms * kNsPerMs) {
  PeerLink::Events& link_events = *this;
  std::uint32_t bit = 1;
  for (const auto& [node, endpoint] : options_.peers) {
    links_.push_back(std::make_unique<PeerLink>(
        io_,
        PeerLink::Options{.peer = node,
                          .bit = bit,
                          .endpoint = endpoint,
                          .self = {.cluster_name = options_.identity.cluster_name,
                                   .node = options_.identity.node,
                                   .directory = options_.identity.directory,
                                   .shard = options_.shard,
                                   .shards = options_.identity.shards,
                                   .groups = options_.config.groups},
                          .batch_bytes_max = options_.config.batch_bytes_max,
                          .catch_up = catch_up_options(options_),
                          .silence_ns_max = 4 * options_.config.election_timeout_ms * kNsPerMs},
        groups_, commit_, peer_directories_, link_events));
    bit <<= 1;
  }
}

Shard::~Shard() = default;

raft::Options Shard::raft_options(GroupId group) const {
  const Config& config = options_.config;
  raft::Options raft;
  raft.self = options_.identity.node;
  for (const auto& peer : config.peers) raft.voters.push_back(peer.node);
  raft.election_timeout_ticks_min = std::max(4u, config.election_timeout_ms / config.tick_ms);
  raft.heartbeat_ticks =
      std::clamp(config.heartbeat_ms / config.tick_ms, 1u, raft.election_timeout_ticks_min / 2 - 1);
  raft.inflight_bytes_max = config.inflight_bytes_max;
  raft.uncommitted_bytes_max = config.uncommitted_bytes_max;
  raft.random_seed = io_.random() ^ group.value();
  return raft;
}

void Shard::make_groups(Recovered recovered) {
  for (std::uint32_t id = options_.shard.value(); id < options_.config.groups;
       id += options_.identity.shards) {
    const GroupId group_id(id);
    const auto found = recovered.groups.find(group_id);
    if (found == recovered.groups.end()) {
      groups_.add(std::make_unique<Group>(group_id, raft_options(group_id), raft::HardState{},
                                          raft::LogView{}, segments::GroupIndex{},
                                          Sessions(options_.config.producers_max)));
      continue;
    }
    RecoveredGroup& state = found->second;
    auto log = state.log_view();
    auto group =
        std::make_unique<Group>(group_id, raft_options(group_id), state.hard_state, std::move(log),
                                std::move(state.index), std::move(state.sessions));
    group->hard_state_at = state.hard_state_at;
    group->trim_at = state.trim_at;
    group->producers_at = state.producers_at;
    group->pending_trims = std::move(state.pending_trims);
    groups_.add(std::move(group));
  }
}

std::string Shard::write_first_chunk() {
  const ChunkSeq first = commit_.next_seq();
  commit_.write_mark();
  while (commit_.log().durable_seq() < first) {
    commit_.pump();
    if (failed_) return "the shard's first write failed";
    if (commit_.log().out_of_space()) {
      return "no space for a first segment in " +
             shard_directory(options_.config.data_dir, options_.shard) +
             "; free some space on that disk, or name a smaller --segment-bytes";
    }
    io_.run_once();
    // Whatever the policy: where the old stream ended must be decided for good.
    commit_.sync_now();
  }
  return {};
}

void Shard::start() {
  for (const auto& group : groups_.all()) groups_.mark_dirty(*group);
  last_tick_ns_ = io_.now_ns();
  io_.timer(tick_, last_tick_ns_ + tick_ns_);
  io_.wait_for_wake(wake_, mailbox_->waker());
  if (options_.listener != io::Handle::kNone) accept();
}

// --- the loop --------------------------------------------------------------------------------

void Shard::run() {
  while (!stopped_) step();
  end();
}

void Shard::end() {
  mailbox_->refuse_ports();
  const Mailbox::Mail mail = mailbox_->take();
  read_port_mail(mail);
  local_side_.close_all();
  local_side_.stop();
  for (const auto& moved : mail.moved) io_.close(moved.socket);
  // Nothing may be in flight when its owner goes: everything is cancelled and awaited.
  commit_.stop();
  io_.cancel(tick_);
  io_.cancel(wake_);
  io_.cancel(accept_);
  for (const auto& inbound : inbounds_) {
    if (inbound) inbound->connection->close();
  }
  for (const auto& link : links_) link->stop();
  const auto links_gone = [&] {
    return std::ranges::all_of(links_, [](const auto& link) { return link->gone(); });
  };
  while (tick_.pending() || wake_.pending() || accept_.pending() || inbound_count_ > 0 ||
         !links_gone() || !client_side_.gone() || !local_side_.gone() || !commit_.quiet()) {
    io_.run_once();
    sweep_connections();
  }
  for (auto& moved : mailbox_->take().moved) io_.close(moved.socket);
}

void Shard::step() {
  if (local_side_.has_ports()) {
    mailbox_->doze();
    // What came before we said so rang for nobody.
    if (local_side_.has_work()) mailbox_->ring();
  }
  io_.run_once();
  mailbox_->rouse();
  settle();
}

void Shard::settle() {
  resume_stalled();
  groups_.do_due_work();
  groups_.move_old_states();
  peer_directories_.move_old_records();
  // Looking after a group may make another one dirty or the same again (a commit that applies a
  // trim); the list takes what comes.
  local_side_.take();
  groups_.drain_dirty([this](Group& group) { look_after(group); });
  // The clients of this thread go on at once: what they append now leaves in this very loop. Once,
  // for a client that answers each refusal with another append would keep us here.
  if (local_side_.turn()) {
    local_side_.take();
    groups_.drain_dirty([this](Group& group) { look_after(group); });
  }
  for (const auto& link : links_) link->pump();
  if (stopping_ && !failed_) commit_.sync_now();
  commit_.pump();
  for (const auto& inbound : inbounds_) {
    if (!inbound || inbound->connection->closing()) continue;
    if (inbound->role == Inbound::Role::kPeer) peer_side_.flush(*inbound);
    if (inbound->role == Inbound::Role::kClient) client_side_.flush(*inbound);
    inbound->connection->pump();
  }
  sweep_connections();
  if (stopping_ && may_end()) stopped_ = true;
}

void Shard::look_after(Group& group) {
  raft::Raft& raft = group.raft;
  raft::Outbox& outbox = raft.outbox();
  if (outbox.hard_state_changed) {
    group.hard_state_due = true;
    outbox.hard_state_changed = false;
  }
  groups_.write_hard_state(group);
  if (raft.noop_due() && commit_.make_room(kNoopBytes) == GroupCommit::Room::kYes) {
    alignas(8) std::array<std::byte, kNoopBytes> buffer{};
    BatchBuilder builder(buffer, {.cluster = cluster_id_of(options_.identity.cluster_name),
                                  .group = group.id,
                                  .kind = BatchKind::kNoop});
    SLUICE_CHECK(builder.append({}));
    const BatchView batch = builder.finish();
    const auto proposal = raft.propose_noop(batch.size_bytes());
    seal_batch(std::span(buffer).first(batch.size_bytes()),
               {proposal.term, proposal.first_index, group.index.last_checksum(), io_.wall_ns()});
    groups_.append(group, batch);
  }

  for (const auto& vote : outbox.vote_requests) {
    for (const auto& link : links_) {
      if (link->peer() == vote.to) link->queue_vote_request(group.id, vote.request);
    }
  }
  for (const auto& vote : outbox.vote_replies) {
    if (Inbound* to = inbound_of(vote.to)) {
      to->vote_replies.emplace_back(vote.reply.term.value(), group.id.value(),
                                    std::uint8_t{vote.reply.granted},
                                    std::uint8_t{vote.reply.pre_vote}, std::uint16_t{0});
    }
  }
  for (const auto& append : outbox.append_replies) {
    if (Inbound* to = inbound_of(append.to)) {
      const auto& reply = append.reply;
      to->append_replies.emplace_back(
          reply.term.value(), reply.match_index.value(), reply.rejected_index.value(),
          reply.hint_index.value(), reply.hint_term.value(), group.id.value(),
          std::uint8_t{reply.rejected}, std::uint8_t{0}, std::uint16_t{0});
    }
  }
  outbox.clear();

  if (raft.role() == raft::Role::kLeader) {
    // A group is visited for many reasons (its write is done, a follower answered), few of which leave
    // something to send.
    for (const auto& link : links_) {
      if (raft.append_due(link->peer())) link->want(group);
    }
  }
  client_side_.on_progress(group);
}

void Shard::on_tick(std::int32_t) {
  if (stopped_) return;
  const std::uint64_t now = io_.now_ns();
  const std::uint64_t passed =
      std::clamp<std::uint64_t>((now - last_tick_ns_) / tick_ns_, 1, kTicksAtOnceMax);
  last_tick_ns_ = now;
  io_.timer(tick_, now + tick_ns_);
  for (const auto& group : groups_.all()) {
    group->raft.on_storage_blocked(commit_.blocked());
    if (!stopping_) {
      for (std::uint64_t i = 0; i < passed; ++i) group->raft.tick();
    }
    const auto& outbox = group->raft.outbox();
    const bool leads = group->raft.role() == raft::Role::kLeader;
    const bool speaks = outbox.hard_state_changed || !outbox.vote_requests.empty() ||
                        !outbox.vote_replies.empty() || !outbox.append_replies.empty();
    const bool stepped_down = group->role_seen == raft::Role::kLeader && !leads;
    if (leads || speaks || stepped_down) groups_.mark_dirty(*group);
  }
  commit_.tick();
  client_side_.tick();
  for (const auto& link : links_) link->tick();
  cut_off_slow_readers();
  if (accept_due_) accept();
  for (const auto& inbound : inbounds_) {
    if (inbound) inbound->heard = false;
  }
  resume_ = true;
}

/// A reader that takes no bytes keeps what they lie in. It is cut off when others need that: the
/// room of the oldest chunk in memory, or a window for reads from disk.
void Shard::cut_off_slow_readers() {
  if (std::exchange(client_side_.windows_short, false)) {
    for (const auto& inbound : inbounds_) {
      Connection* connection = inbound ? inbound->connection.get() : nullptr;
      if (connection != nullptr && !connection->closing() && connection->send_is_stuck() &&
          connection->out().refers_to_counted()) {
        connection->close();
      }
    }
  }
  if (!commit_.tail().oldest_is_pinned() || !commit_.tail().crowded()) return;
  const ChunkSeq oldest = commit_.tail().oldest();
  const auto look = [&](Connection* connection) {
    if (connection == nullptr || connection->closing()) return;
    if (connection->out().oldest_pinned() == oldest &&
        (connection->send_is_stuck() || connection->send_is_slow())) {
      connection->close();
    }
  };
  for (const auto& link : links_) look(link->connection());
  for (const auto& inbound : inbounds_) {
    if (inbound) look(inbound->connection.get());
  }
}

void Shard::resume_stalled() {
  if (!std::exchange(resume_, false)) return;
  local_side_.resume();
  for (const auto& link : links_) {
    Connection* connection = link->connection();
    if (connection != nullptr && connection->stalled()) connection->resume();
  }
  // Room comes in small portions: peers first, for their heartbeats are behind what stalls, then
  // everybody in turn, or the lowest slots would take it all. The clients of this process are one
  // more: before the sockets every other time, behind them (in settle()) otherwise.
  const std::size_t count = inbounds_.size();
  const auto resume = [&](bool peers) {
    for (std::size_t i = 0; i < count; ++i) {
      Inbound* inbound = inbounds_[(resume_from_ + i) % count].get();
      if (inbound == nullptr || (inbound->role == Inbound::Role::kPeer) != peers) continue;
      if (inbound->connection->stalled()) inbound->connection->resume();
    }
  };
  resume(true);
  if (std::exchange(local_first_, !local_first_)) local_side_.take();
  resume(false);
  if (count > 0) resume_from_ = (resume_from_ + 1) % count;
}

// --- events ----------------------------------------------------------------------------------

void Shard::on_chunks_stable(ChunkSeq seq) {
  groups_.on_chunks_stable(seq, commit_.log().durable_seq());
  resume_ = true;
}

void Shard::on_commit_failed(const std::string& why) { fail(why); }
void Shard::on_log_damaged(const std::string& what) { fail(what); }

void Shard::fail(const std::string& why) {
  // What this node said before stays true on the others; what it would say from now on might not.
  if (std::exchange(failed_, true)) return;
  if (options_.on_failure) options_.on_failure(why);
  begin_stop();
}

void Shard::on_link_up(NodeId peer) {
  for (const auto& group : groups_.all()) {
    group->raft.on_link_up(peer);
    groups_.mark_dirty(*group);
  }
}

void Shard::on_link_down(NodeId peer) {
  for (const auto& group : groups_.all()) group->raft.on_link_down(peer);
}

bool Shard::on_replies(NodeId peer, const wire::PeerMessages& messages) {
  return peer_side_.on_replies(peer, messages);
}

void Shard::on_link_refused(NodeId peer, const std::string& why) {
  if (options_.on_notice) {
    options_.on_notice("node " + std::to_string(peer.value()) + " is not usable: " + why);
  }
}

void Shard::on_truncated(Group& group, Index from) { client_side_.on_truncated(group, from); }

// --- ending ----------------------------------------------------------------------------------

void Shard::on_wake(std::int32_t) {
  if (stopped_) return;
  Mailbox::Mail mail = mailbox_->take();
  read_port_mail(mail);
  for (auto& moved : mail.moved) {
    if (stopping_ || inbound_count_ >= options_.config.connections_max) {
      io_.close(moved.socket);
      continue;
    }
    Inbound& inbound = add_inbound(moved.socket);
    inbound.connection->start(moved.received);
  }
  if (mail.stop) begin_stop();
  io_.wait_for_wake(wake_, mailbox_->waker());
}

void Shard::read_port_mail(const Mailbox::Mail& mail) {
  for (const Mailbox::PortMail& port : mail.ports) {
    if (port.attach) {
      local_side_.attach(*port.port);
    } else {
      local_side_.close(*port.port);
    }
  }
}

void Shard::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  stop_deadline_ns_ = io_.now_ns() + kStopNsMax;
  client_side_.stop();
  if (accept_.pending()) io_.cancel(accept_);
  // What is committed already is answered; the connections close behind it.
  for (const auto& link : links_) link->stop();
}

bool Shard::may_end() const {
  const bool answered = std::ranges::none_of(
      inbounds_, [](const auto& inbound) { return inbound && (inbound->queued_bytes() > 0); });
  return (failed_ || answered || io_.now_ns() >= stop_deadline_ns_) && commit_.idle();
}

}  // namespace sluice::shard
