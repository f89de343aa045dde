#include "engine/raft/raft.h"

#include <algorithm>
#include <utility>

#include "engine/raft/quorum.h"
#include "wire/check.h"

namespace sluice::raft {

namespace {

// S60: a term is raised by one for each election, so a message far above ours is not an honest
// one, and believing it would use the numbers up. 2^32 elections take years.
constexpr std::uint64_t kTermJumpMax = std::uint64_t{1} << 32;
constexpr Term kTermMax{std::uint64_t{1} << 62};

// Bounds how long a node stays away from an office that it alone can hold, once what ailed it is over:
// less than eight times the shortest time-out.
constexpr std::uint32_t kFruitlessTermsMax = 2;

void check_options(const Options& options) {
  const auto& voters = options.voters;
  SLUICE_CHECK(!voters.empty() && voters.size() <= kVotersMax);
  SLUICE_CHECK(std::count(voters.begin(), voters.end(), options.self) == 1);
  for (const NodeId voter : voters) {
    SLUICE_CHECK(voter != kNoNode);
    SLUICE_CHECK(std::count(voters.begin(), voters.end(), voter) == 1);
  }
  SLUICE_CHECK(options.heartbeat_ticks >= 1);
  SLUICE_CHECK(2 * options.heartbeat_ticks < options.election_timeout_ticks_min);
  SLUICE_CHECK(options.inflight_requests_max >= 1);
}

}  // namespace

void Outbox::clear() {
  vote_requests.clear();
  vote_replies.clear();
  append_replies.clear();
  hard_state_changed = false;
}

Raft::Raft(Options options, HardState hard_state, LogView log)
    : options_(std::move(options)),
      hard_state_(hard_state),
      durable_hard_state_(hard_state),
      log_(std::move(log)),
      commit_index_(log_.first_index().prev()),
      durable_index_(log_.last_index()),
      // The same seed on all nodes must not make them time out together.
      random_(options_.random_seed ^ (0xD1B54A32D192ED03u * (options_.self.value() + 1u))) {
  check_options(options_);
  SLUICE_CHECK(hard_state_.term <= kTermMax);
  for (const NodeId voter : options_.voters) {
    if (voter == options_.self) continue;
    peers_.push_back(
        {voter, Progress({options_.inflight_requests_max, options_.inflight_bytes_max})});
  }
  // Entries of a term reached the disk and the record of the term did not. No vote of that term
  // left this node either, so it may still be given.
  if (log_.last_term() > hard_state_.term) enter_term(log_.last_term(), kNoNode);
  reset_election_timer();
}

void Raft::tick() {
  count_stalled_tick();
  if (role_ == Role::kLeader) {
    tick_leader();
  } else {
    tick_election();
  }
}

void Raft::on_durable(Index index, Term term) {
  if (!log_.has(index, term)) return;
  if (index <= durable_index_) return;
  SLUICE_CHECK(index <= log_.last_index());
  durable_index_ = index;
  stalled_ticks_ = 0;
  // Writes complete in order: if what replaced the dropped entries is there, so are those.
  if (unsettled_from_ && index >= *unsettled_from_) unsettled_from_.reset();
  if (role_ == Role::kLeader) {
    advance_commit();
  } else if (leader_ != kNoNode && acknowledged_index() > answered_index_) {
    answer_accepted();
  }
}

void Raft::on_hard_state_durable(const HardState& state) {
  SLUICE_CHECK(state.term <= hard_state_.term);
  const bool newer =
      state.term > durable_hard_state_.term ||
      (state.term == durable_hard_state_.term && durable_hard_state_.vote == kNoNode);
  if (!newer) return;
  durable_hard_state_ = state;
  stalled_ticks_ = 0;
  grant_if_durable();
  emit_pending_answers();
  if (role_ == Role::kCandidate && durable_hard_state_ == hard_state_) {
    for (const Peer& peer : peers_) outbox_.vote_requests.push_back({peer.id, vote_request()});
    count_vote(options_.self);
  }
}

void Raft::on_link_up(NodeId id) {
  Peer* peer = find_peer(id);
  if (peer == nullptr) return;
  peer->progress.on_link_up();
  // A request for a vote that went into the void need not wait for the next attempt.
  const bool asking = role_ == Role::kPreCandidate ||
                      (role_ == Role::kCandidate && durable_hard_state_ == hard_state_);
  if (asking) outbox_.vote_requests.push_back({id, vote_request()});
}

void Raft::on_link_down(NodeId id) {
  if (Peer* peer = find_peer(id)) peer->progress.on_link_down();
}

void Raft::trim_to(Index first) {
  SLUICE_CHECK(first <= commit_index_.next());
  log_.trim_to(first);
}

const Progress* Raft::progress(NodeId id) const {
  for (const Peer& peer : peers_) {
    if (peer.id == id) return &peer.progress;
  }
  return nullptr;
}

Raft::Peer* Raft::find_peer(NodeId id) {
  for (Peer& peer : peers_) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

bool Raft::is_peer(NodeId id) const { return progress(id) != nullptr; }

bool Raft::plausible(Term term) const {
  return term <= kTermMax && (term <= hard_state_.term || term - hard_state_.term <= kTermJumpMax);
}

/// Whatever waited to be said in the old term is not said any more.
void Raft::enter_term(Term term, NodeId vote) {
  SLUICE_CHECK(term > hard_state_.term);
  hard_state_ = {term, vote};
  outbox_.hard_state_changed = true;
  leader_ = term_leader_ = kNoNode;
  pending_grant_ = kNoNode;
  // What one leader's log was compared with says nothing about the next one's.
  verified_index_ = answered_index_ = Index{};
  pending_answer_.reset();
  pending_refusal_.reset();
}

/// A higher term was seen (Raft §5.1). The election timer goes on unless this node led: otherwise a
/// candidate that cannot win would keep those silent that can.
void Raft::become_follower(Term term) {
  SLUICE_CHECK(term > hard_state_.term);
  if (role_ == Role::kLeader) reset_election_timer();
  enter_term(term, kNoNode);
  role_ = Role::kFollower;
  votes_ = 0;
  noop_due_ = false;
}

/// Gives up the leadership within the term. The term's vote stays given.
///
/// If nothing was committed in it, the others get longer and longer to do better. A node whose links
/// are slow can win votes within the election time-out of a candidate and yet hear from its followers
/// too late to stay: it would be elected again as soon as they may forget it, and whoever is slow to
/// hear of its term would always come second (S19).
void Raft::step_down() {
  SLUICE_CHECK(role_ == Role::kLeader);
  role_ = Role::kFollower;
  leader_ = kNoNode;
  votes_ = 0;
  noop_due_ = false;
  reset_election_timer();
  if (!log_.has(commit_index_, hard_state_.term)) {
    fruitless_terms_ = std::min(fruitless_terms_ + 1, kFruitlessTermsMax);
    election_timeout_ <<= fruitless_terms_;
  }
}

/// Raft §5.2: drawn anew for each attempt, so that split votes are rare and resolve.
void Raft::reset_election_timer() {
  const std::uint64_t ticks_min = options_.election_timeout_ticks_min;
  election_elapsed_ = 0;
  election_timeout_ = ticks_min + random_.below(ticks_min);
  // A node alone has nobody to wait for.
  if (peers_.empty()) election_timeout_ = 1;
}

void Raft::count_stalled_tick() {
  // A full disk, or one that hangs with other groups' writes, makes no progress either, though
  // nothing of this group waits for it: what it has no room for was never appended (S36).
  const bool waiting = storage_blocked_ || log_.last_index() > durable_index_ ||
                       durable_hard_state_ != hard_state_;
  stalled_ticks_ = waiting ? stalled_ticks_ + 1 : 0;
}

bool Raft::disk_stalled() const {
  return stalled_ticks_ >= 2 * std::uint64_t{options_.election_timeout_ticks_min};
}

void Raft::commit_to(Index index) {
  SLUICE_CHECK(index > commit_index_);
  SLUICE_CHECK(index <= log_.last_index());
  commit_index_ = index;
  fruitless_terms_ = 0;
  uncommitted_.commit(index);
}

}  // namespace sluice::raft
