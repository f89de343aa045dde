#include "engine/shard/peer_link.h"

#include <algorithm>
#include <utility>

#include "engine/shard/frames.h"
#include "wire/checksum.h"

namespace sluice::shard {
namespace {

constexpr std::uint64_t kBackoffNsMin = 20'000'000;
constexpr std::uint64_t kBackoffNsMax = 500'000'000;
constexpr std::uint64_t kHandshakeNsMax = 2'000'000'000;
constexpr std::size_t kRequestsPerFrameMax = 8192;
constexpr std::size_t kProbesMax = 64;
constexpr std::uint64_t kProbeNsMax = 10'000'000'000;  // it was sent again since, or to another term
constexpr std::size_t kReadWindowBytes = 1u << 20;
constexpr std::uint64_t kTurnEvery = 8;
constexpr std::size_t kWaitingLookedAtMax = 256;  // groups, for each read

}  // namespace

PeerLink::PeerLink(io::Io& io, Options options, Groups& groups, GroupCommit& commit,
                   PeerDirectories& directories, Events& events)
    : io_(io),
      options_(std::move(options)),
      groups_(groups),
      commit_(commit),
      directories_(directories),
      events_(events),
      windows_{{{io, commit.files(), kReadWindowBytes, *this},
                {io, commit.files(), kReadWindowBytes, *this}}},
      pace_(options_.catch_up) {
  for (std::size_t i = 0; i < kProbesMax; ++i) probes_.push_back({});  // so that it never grows
  probes_.clear();
}

// Its completions refuse to go with an operation in flight.
PeerLink::~PeerLink() = default;

// --- connecting ------------------------------------------------------------------------------

void PeerLink::tick() {
  if (stopping_) return;
  heartbeats_may_be_due_ = true;
  const std::uint64_t now = io_.now_ns();
  if (connection_ && connection_->gone()) connection_.reset();
  if (!connection_) {
    if (!connected_.pending() && now >= next_dial_ns_) dial();
    // A connect whose packets are dropped would wait for the kernel's ever longer repeats, long
    // after the network is well again.
    if (connected_.pending() && now - dialled_ns_ > kHandshakeNsMax) io_.cancel(connected_);
    return;
  }
  const bool silent =
      unanswered_since_ns_ != 0 && now - unanswered_since_ns_ > options_.silence_ns_max;
  const bool no_hello = !up_ && now - dialled_ns_ > kHandshakeNsMax;
  if (silent || no_hello) connection_->close();
}

void PeerLink::dial() {
  dialled_ns_ = io_.now_ns();
  io_.connect(connected_, options_.endpoint);
}

void PeerLink::back_off() {
  backoff_ns_ = std::clamp(backoff_ns_ * 2, kBackoffNsMin, kBackoffNsMax);
  next_dial_ns_ = io_.now_ns() + backoff_ns_ / 2 + io_.random() % (backoff_ns_ / 2);
}

void PeerLink::on_connected(std::int32_t result) {
  if (result < 0) {
    back_off();
    return;
  }
  const auto socket = static_cast<io::Handle>(result);
  if (stopping_) {
    io_.close(socket);
    return;
  }
  Connection::Owner& owner = *this;
  connection_ = std::make_unique<Connection>(
      io_, socket,
      Connection::Options{.frame_bytes_max = frame_bytes_max(options_.batch_bytes_max)}, owner);
  say_hello();
  connection_->start();
  connection_->pump();
}

void PeerLink::say_hello() {
  const auto& self = options_.self;
  envelope_.Clear();
  const auto name = envelope_.CreateString(self.cluster_name);
  const wire::DirectoryIdBytes directory(self.directory.high, self.directory.low);
  envelope_.Finish(wire::CreateHello(envelope_, wire::Role::Peer, name,
                                     cluster_id_of(self.cluster_name).value(), self.node.value(),
                                     options_.peer.value(), &directory, self.shard.value(),
                                     self.shards, self.groups));
  stage_frame(connection_->out(), FrameKind::kHello, envelope_, 0);
}

Connection::Taken PeerLink::refuse(const std::string& why) {
  events_.on_link_refused(options_.peer, why);
  return Connection::Taken::kClose;
}

Connection::Taken PeerLink::on_hello_reply(const FrameView& frame) {
  const auto reply = envelope_as<wire::HelloReply>(frame);
  if (!reply) return Connection::Taken::kClose;
  const auto& r = **reply;
  const auto code = static_cast<Errc>(r.code());
  if (code != Errc::kOk) {
    return refuse(r.message() != nullptr ? r.message()->str() : code_name(code).data());
  }
  if (r.cluster() != cluster_id_of(options_.self.cluster_name).value()) {
    return refuse("a node of another cluster answers there");
  }
  if (r.node_id() != options_.peer.value()) return refuse("another node answers at its address");
  if (r.batch_bytes_max() < options_.batch_bytes_max) {
    return refuse("it takes batches of " + std::to_string(r.batch_bytes_max()) +
                  " bytes only; start all nodes with the same --batch-bytes-max");
  }
  if (r.directory_id() == nullptr) return Connection::Taken::kClose;
  const DirectoryId directory{r.directory_id()->high(), r.directory_id()->low()};
  switch (directories_.meet(options_.peer, directory)) {
    case PeerDirectories::Answer::kOther:
      return refuse(directories_.refusal(options_.self.node, options_.peer, directory));
    case PeerDirectories::Answer::kLater:
      return Connection::Taken::kLater;  // until tick() finds that the handshake took too long
    case PeerDirectories::Answer::kSame:
      break;
  }
  up_ = true;
  backoff_ns_ = 0;
  unanswered_since_ns_ = 0;
  vote_requests_.clear();
  events_.on_link_up(options_.peer);
  return Connection::Taken::kYes;
}

void PeerLink::on_closing(Connection&) {
  unanswered_since_ns_ = 0;
  while (!probes_.empty()) probes_.pop_front();
  vote_requests_.clear();
  read_for_ = nullptr;
  if (Group* group = std::exchange(passed_over_, nullptr)) group->links_wanted &= ~options_.bit;
  back_off();
  if (std::exchange(up_, false)) events_.on_link_down(options_.peer);
}

void PeerLink::stop() {
  stopping_ = true;
  if (connected_.pending()) io_.cancel(connected_);
  if (read_due_.pending()) io_.cancel(read_due_);
  if (connection_ && !connection_->closing()) connection_->close();
}

bool PeerLink::gone() const {
  return !connected_.pending() && !read_due_.pending() && !reading() && (!connection_ || connection_->gone());
}

// --- receiving -------------------------------------------------------------------------------

Connection::Taken PeerLink::on_frame(Connection&, const FrameView& frame) {
  unanswered_since_ns_ = 0;
  if (!up_) {
    return frame.kind == FrameKind::kHelloReply ? on_hello_reply(frame) : Connection::Taken::kClose;
  }
  if (frame.kind != FrameKind::kPeerMessages || !frame.batches.empty()) {
    return Connection::Taken::kClose;
  }
  const auto messages = envelope_as<wire::PeerMessages>(frame);
  if (!messages || !events_.on_replies(options_.peer, **messages)) {
    return Connection::Taken::kClose;
  }
  note_acknowledged();
  return Connection::Taken::kYes;
}

void PeerLink::note_acknowledged() {
  while (!probes_.empty()) {
    const Probe& probe = probes_.front();
    const std::uint64_t passed_ns = io_.now_ns() - probe.queued_ns;
    const raft::Progress* progress = probe.group->raft.progress(options_.peer);
    const bool leads = probe.group->raft.role() == raft::Role::kLeader && progress != nullptr;
    const bool acknowledged = leads && progress->match_index() >= probe.last_index;
    if (leads && !acknowledged && passed_ns < kProbeNsMax) return;
    if (acknowledged) commit_.stages().follower_ns.record(passed_ns);
    probes_.pop_front();
  }
}

// --- sending ---------------------------------------------------------------------------------

void PeerLink::want(Group& group) {
  if (!up_ || (group.links_wanted & options_.bit) != 0) return;
  group.links_wanted |= options_.bit;
  wanted_.push_back(&group);
}

void PeerLink::queue_vote_request(GroupId group, const raft::VoteRequest& request) {
  if (!up_ || vote_requests_.size() >= kRequestsPerFrameMax) return;  // asked again
  vote_requests_.emplace_back(
      request.term.value(), request.last_index.value(), request.last_term.value(), group.value(),
      request.pre_vote ? std::uint8_t{1} : std::uint8_t{0}, std::uint8_t{0}, std::uint16_t{0});
}

void PeerLink::on_sent(Connection&) { pump(); }

void PeerLink::pump() {
  if (!up_ || connection_->closing() || !connection_->can_gather()) return;
  gather_requests();
  if (up_) send_gathered();  // the node may have found its log damaged, and is stopping
}

void PeerLink::gather_requests() {
  append_requests_.clear();
  slices_.clear();
  frame_batch_bytes_ = 0;
  frame_last_ = {};
  // Three kinds of groups want the frame, and none may keep it from another for ever (S25). No read
  // begins before the second is served: it would take the window before its bytes were sent.
  may_read_ = false;
  // First one whose batch did not fit into the last frame: behind those that are read for, it might
  // never fit.
  if (Group* group = std::exchange(passed_over_, nullptr)) {
    group->links_wanted &= ~options_.bit;
    if (gather(*group) != Gathered::kDone) want(*group);
  }
  // Then one that was read for. Its own next read waits for its turn among the others.
  if (Group* group = std::exchange(read_for_, nullptr)) {
    if (gather(*group) != Gathered::kDone) want(*group);
  }
  may_read_ = true;
  Lookahead lookahead;
  const std::size_t count = wanted_.size();
  for (std::size_t i = 0; i < count; ++i) {
    lookahead.at(i, count, [&](std::size_t at) { return wanted_[at - i]; });
    Group& group = *wanted_.front();
    wanted_.pop_front();
    group.links_wanted &= ~options_.bit;
    const Gathered gathered = gather(group);
    if (gathered == Gathered::kDone) continue;
    if (gathered == Gathered::kFull) {
      add_heartbeats();
      passed_over_ = &group;
      group.links_wanted |= options_.bit;
      break;
    }
    // To the end of the queue: a group with much to send must not starve the others.
    want(group);
  }
}

PeerLink::Gathered PeerLink::gather(Group& group) {
  while (const auto plan = group.raft.plan_append(options_.peer)) {
    if (append_requests_.size() >= kRequestsPerFrameMax) return Gathered::kFull;
    if (plan->last_index < plan->next_index) {
      add_empty(group, *plan);
      continue;
    }
    const Gathered gathered = gather_batches(group, *plan);
    if (gathered == Gathered::kMore) continue;
    // The batches have to be read first, which may take its time.
    if (gathered != Gathered::kFull && up_) {
      if (const auto heartbeat = group.raft.plan_heartbeat(options_.peer)) add_empty(group, *heartbeat);
    }
    return gathered;
  }
  return Gathered::kDone;
}

void PeerLink::add_empty(Group& group, const raft::AppendPlan& plan) {
  const auto& request = plan.request;
  append_requests_.emplace_back(request.term.value(), request.prev_index.value(),
                                request.prev_term.value(), request.commit_index.value(),
                                group.id.value(), 0u);
  group.raft.on_append_sent(options_.peer, request.prev_index, 0);
}

/// The frame is full, and those behind in the queue may wait for longer than an election time-out, where
/// the network is slow. Once a tick; more often nothing is due.
void PeerLink::add_heartbeats() {
  if (!std::exchange(heartbeats_may_be_due_, false)) return;
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    if (append_requests_.size() >= kRequestsPerFrameMax) return;
    Group& group = *wanted_[i];
    if (const auto heartbeat = group.raft.plan_heartbeat(options_.peer)) add_empty(group, *heartbeat);
  }
}

PeerLink::Gathered PeerLink::gather_batches(Group& group, const raft::AppendPlan& plan) {
  const auto position = group.index.position_of(plan.next_index);
  if (!position) return Gathered::kDone;
  // Raft resumes at the ends of batches only: hints that fall into one are asked about, not sent.
  SLUICE_CHECK(group.index.batch(*position).first_index == plan.next_index);
  std::size_t bytes = 0;
  Index last;
  bool full = false;
  for (std::size_t i = *position; i < group.index.batch_count(); ++i) {
    const auto& entry = group.index.batch(i);
    const std::size_t size = entry.location.size_bytes;
    if (bytes > 0 && bytes + size > plan.bytes_max) break;
    full = frame_batch_bytes_ > 0 && frame_batch_bytes_ + size > options_.batch_bytes_max;
    if (full) break;
    const Slice slice = slice_of(group, i);
    if (slice.bytes.empty()) break;
    slices_.push_back(slice);
    frame_batch_bytes_ += size;
    bytes += size;
    last = entry.last_index();
  }
  // Damage was found on the way: the node stops, and this link is down already.
  if (!up_) return Gathered::kDone;
  if (bytes == 0) {
    if (full) return Gathered::kFull;
    return reading_for_ == &group ? Gathered::kDone : Gathered::kBlocked;
  }
  const auto& request = plan.request;
  append_requests_.emplace_back(request.term.value(), request.prev_index.value(),
                                request.prev_term.value(), request.commit_index.value(),
                                group.id.value(), static_cast<std::uint32_t>(bytes));
  group.raft.on_append_sent(options_.peer, last, bytes);
  frame_last_ = {&group, last, 0};
  return full ? Gathered::kFull : Gathered::kMore;
}

PeerLink::Slice PeerLink::slice_of(Group& group, std::size_t position) {
  const auto& entry = group.index.batch(position);
  if (const auto bytes = commit_.tail().find(entry.location); !bytes.empty()) {
    return {bytes, entry.location.seq, nullptr};
  }
  for (ReadWindow& window : windows_) {
    const auto bytes = window.find(entry.location);
    if (bytes.empty()) continue;
    // Never a byte that is not what was written (S28): checked against the index, which is older
    // than the bytes.
    const auto batch = BatchView::parse_sealed(bytes, options_.batch_bytes_max);
    if (batch && batch->header_checksum() == entry.header_checksum) return {bytes, {}, &window};
    events_.on_log_damaged("group " + std::to_string(group.id.value()) + ", index " +
                           std::to_string(entry.first_index.value()) + ": the batch in segment " +
                           segments::SegmentLog::segment_name(entry.location.epoch) +
                           " at offset " + std::to_string(entry.location.offset) +
                           " does not match its checksum");
    return {};
  }
  read_from(group, position);
  return {};
}

/// One read at a time; another group that needs one asks again when this one is done and sent.
void PeerLink::read_from(Group& group, std::size_t position) {
  if (!may_read_ || reading()) return;
  // What keeps this one from reading keeps the others that ask for the same frame, too: thousands may.
  may_read_ = false;
  if (!pace_.may_read(load())) {
    if (!read_due_.pending() && !stopping_) io_.timer(read_due_, pace_.due_ns());
    return;
  }
  const ToRead read = choose_read(group, position);
  const auto window = std::ranges::find_if(windows_, [&](const ReadWindow& w) {
    return is_free(w) && !read.needed[static_cast<std::size_t>(&w - windows_.data())];
  });
  if (window == windows_.end()) return;
  ++reads_;
  Group* const chosen = read.group;
  const std::size_t first = read.position;
  const segments::Location& location = chosen->index.batch(first).location;
  if (std::ranges::any_of(windows_, [&](const ReadWindow& w) { return w.tried(location); })) {
    events_.on_log_damaged("segment " + segments::SegmentLog::segment_name(location.epoch) +
                           " ends before a batch that it should hold");
    return;
  }
  reading_for_ = chosen;
  // One group may be behind, or all of them: then what they need lies side by side.
  window->plan(location, commit_.log().written_seq());
  window->add_what_follows();
  for (std::size_t i = first + 1; i < chosen->index.batch_count(); ++i) {
    if (!window->complete(chosen->index.batch(i).location)) break;
  }
  // What was in the last read, too, is not paid for again: it brings the follower no further.
  const std::uint64_t begin = location.offset;
  const Range range{location.epoch, begin, begin + window->planned_bytes()};
  const bool overlaps = range.epoch == last_read_.epoch && range.begin >= last_read_.begin;
  const std::uint64_t known_to = overlaps ? std::max(range.begin, last_read_.end) : range.begin;
  pace_.on_read(load(), range.end - std::min(range.end, known_to));
  last_read_ = range;
  window->start();
}

/// Whose batches to read when `asking` needs some: most times those of the group that is furthest behind.
/// With each in its turn, two groups that are a window apart stay so: each read serves one of them, and
/// together they gain no more than the log grows. Every kTurnEvery-th read is for the one that asks, so
/// that it does not wait until the others have come to where it is (S25). And a window that holds what a
/// group waits for is not taken: it would have to be read again.
PeerLink::ToRead PeerLink::choose_read(Group& asking, std::size_t position) {
  ToRead chosen{&asking, position, {}};
  const bool in_turn = reads_ % kTurnEvery == kTurnEvery - 1;
  segments::Location first = asking.index.batch(position).location;
  const std::size_t count = std::min(wanted_.size(), kWaitingLookedAtMax);
  for (std::size_t i = 0; i < count; ++i) {
    Group& other = *wanted_[i];
    const auto plan = other.raft.plan_append(options_.peer);
    if (!plan || plan->last_index < plan->next_index) continue;
    const auto next = other.index.position_of(plan->next_index);
    if (!next) continue;
    const segments::Location& location = other.index.batch(*next).location;
    if (!commit_.tail().find(location).empty()) continue;
    const auto holds = [&](const ReadWindow& w) { return !w.find(location).empty(); };
    if (const auto held = std::ranges::find_if(windows_, holds); held != windows_.end()) {
      chosen.needed[static_cast<std::size_t>(held - windows_.begin())] = true;
      continue;
    }
    if (std::pair(location.epoch, location.offset) >= std::pair(first.epoch, first.offset)) continue;
    first = location;
    if (in_turn) continue;
    chosen.group = &other;
    chosen.position = *next;
  }
  return chosen;
}

void PeerLink::on_read_due(std::int32_t) {
  if (!stopping_) pump();
}

CatchUpPace::Load PeerLink::load() const {
  return {.now_ns = io_.now_ns(),
          .committed_bytes = commit_.counters().bytes_written,
          .resting = commit_.resting()};
}

bool PeerLink::reading() const { return std::ranges::any_of(windows_, &ReadWindow::reading); }

bool PeerLink::is_free(const ReadWindow& window) const {
  return window.idle() && std::ranges::find(slices_, &window, &Slice::window) == slices_.end();
}

void PeerLink::on_read(ReadWindow&, int error) {
  // Out of descriptors or memory (S51): the leader's next tick asks again. A retired segment
  // (ENOENT) means that the group was trimmed meanwhile: look again.
  if (is_passing(error)) {
    reading_for_ = nullptr;
    return;
  }
  if (error != 0 && error != ENOENT) {
    events_.on_log_damaged("reading a segment failed with error " + std::to_string(error));
    return;
  }
  Group* group = std::exchange(reading_for_, nullptr);
  if (error == 0) {
    read_for_ = group;
  } else if (group != nullptr) {
    want(*group);
  }
  pump();
}

void PeerLink::send_gathered() {
  if (append_requests_.empty() && vote_requests_.empty()) return;
  envelope_.Clear();
  flatbuffers::Offset<flatbuffers::Vector<const wire::VoteRequest*>> votes = 0;
  flatbuffers::Offset<flatbuffers::Vector<const wire::AppendRequest*>> appends = 0;
  if (!vote_requests_.empty()) votes = envelope_.CreateVectorOfStructs(vote_requests_);
  if (!append_requests_.empty()) appends = envelope_.CreateVectorOfStructs(append_requests_);
  envelope_.Finish(wire::CreatePeerMessages(envelope_, votes, 0, appends, 0));
  SendQueue& out = connection_->out();
  stage_frame(out, FrameKind::kPeerMessages, envelope_, frame_batch_bytes_);
  for (const Slice& slice : slices_) {
    if (slice.window == nullptr) {
      out.append_pinned(slice.bytes, commit_.tail(), slice.tail_seq);
    } else {
      out.append_counted(slice.bytes, slice.window->references);
    }
  }
  vote_requests_.clear();
  slices_.clear();
  append_requests_.clear();
  if (unanswered_since_ns_ == 0) unanswered_since_ns_ = io_.now_ns();
  if (frame_last_.group != nullptr && probes_.size() < kProbesMax) {
    frame_last_.queued_ns = io_.now_ns();
    probes_.push_back(frame_last_);
  }
  connection_->pump();
}

}  // namespace sluice::shard
