#include "engine/raft/progress.h"

#include <algorithm>

#include "wire/check.h"

namespace sluice::raft {

namespace {
// A probe may be refused and everything in it sent for nothing, so it stays small.
constexpr std::uint64_t kProbeBytesMax = 64u << 10;
/// So many heartbeats in a row, without a word from the follower, entries may stand for.
constexpr std::uint64_t kHeartbeatsByEntriesMax = 2;
}  // namespace

bool Progress::may_send_entries() const {
  if (!link_up_) return false;
  if (state_ == State::kProbe) return !probe_outstanding_ && !ask_only_;
  if (window_.empty()) return true;
  return window_.size() < limits_.requests_max && inflight_bytes_ < limits_.bytes_max;
}

std::uint64_t Progress::bytes_room() const {
  if (state_ == State::kProbe) return std::min(kProbeBytesMax, limits_.bytes_max);
  return limits_.bytes_max - std::min(limits_.bytes_max, inflight_bytes_);
}

void Progress::start_term(Index last_index) {
  clear_window();
  state_ = State::kProbe;
  regressed_ = false;
  probe_outstanding_ = false;
  ask_only_ = false;
  heartbeat_due_ = true;  // Raft §5.2: a new leader makes itself known at once
  commit_due_ = false;
  match_index_ = held_index_ = sent_index_ = commit_sent_ = Index{};
  next_index_ = last_index.next();
  ticks_since_contact_ = heartbeats_since_contact_ = 0;
}

void Progress::on_link_up() {
  link_up_ = true;
  // What was in flight on the old connection is gone, and so are the entries that next_index_ was
  // raised over. A probe that got no answer is simply made again.
  if (state_ == State::kReplicate) next_index_ = held_index_.next();
  state_ = State::kProbe;
  probe_outstanding_ = false;
  heartbeat_due_ = true;
  clear_window();
}

void Progress::on_link_down() { link_up_ = false; }

void Progress::on_entries_sent(Index last_sent, std::uint64_t size_bytes, Index commit_index) {
  SLUICE_CHECK(may_send_entries());
  SLUICE_CHECK(last_sent >= next_index_);
  push({last_sent, size_bytes});
  sent_index_ = std::max(sent_index_, last_sent);
  commit_sent_ = std::max(commit_sent_, commit_index);
  // Entries are a heartbeat too, to a follower that answers. One that has no room for them says nothing
  // (Raft::hear), and while entries came one by one until the window is full the leader would take it
  // for gone, and with it perhaps its majority: so the heartbeat goes by itself then.
  if (heartbeats_since_contact_ < kHeartbeatsByEntriesMax) heartbeat_due_ = false;
  commit_due_ = false;
  if (state_ == State::kProbe) {
    probe_outstanding_ = true;
  } else {
    next_index_ = last_sent.next();
  }
}

void Progress::on_empty_sent(Index prev_index, Index commit_index) {
  sent_index_ = std::max(sent_index_, prev_index);
  commit_sent_ = std::max(commit_sent_, commit_index);
  heartbeat_due_ = commit_due_ = false;
  if (state_ == State::kProbe) probe_outstanding_ = true;
}

bool Progress::on_accepted(Index match) {
  const Index counted_before = counted_index();
  // It can have verified nothing that it was not asked about; what goes beyond is a reply from
  // before it regressed.
  held_index_ = std::max(held_index_, std::min(match, sent_index_));
  if (held_index_ >= match_index_) {
    match_index_ = held_index_;
    regressed_ = false;
  }
  if (state_ == State::kProbe) {
    state_ = State::kReplicate;
    probe_outstanding_ = false;
    if (ask_only_) {
      // An answer to something older; what is held ends with a batch, next_index_ might not.
      ask_only_ = false;
      next_index_ = held_index_.next();
    } else if (!window_.empty()) {
      // The entries of the probe are on their way already. Should they be lost, the next heartbeat
      // asks about the last of them and is rejected.
      next_index_ = std::max(next_index_, window_.front().last_index.next());
    }
  }
  next_index_ = std::max(next_index_, held_index_.next());
  pop_acknowledged();
  return counted_index() > counted_before;
}

bool Progress::rejection_fits(Index rejected) const {
  if (rejected == Index{}) return false;  // nothing stands before the first entry: always a match
  if (state_ == State::kProbe) return probe_outstanding_ && rejected == next_index_.prev();
  return rejected > held_index_ && rejected < next_index_;
}

// A rejection below what was acknowledged (S57), why it is handled as it is:
//   - match_index_ is not lowered. It is the record of a promise; entries may be committed because
//     of it, and the commit index never falls.
//   - The follower counts for nothing (counted_index) until it holds again all that it had ever
//     acknowledged. Were the old match_index_ still counted, an entry above the commit index could
//     commit by a copy that is gone, and be lost with the next leader. Were each new
//     acknowledgement counted at once, a node that lost its disk would at once decide about
//     commits again; after full repair it is as good as the model asks: everything counted is on
//     its disk.
//   - It is probed from where it says it ends and so repaired, even in an idle cluster, because
//     heartbeats ask about next_index - 1 (S24). Sending entries is always safe: the follower
//     checks them (Raft §5.3), and next_index is a guess that needs no proof.
//   - held_index_, not match_index_, says what may be trimmed, so that its repair finds the
//   entries.
// A late rejection may look the same. Then the follower has everything and accepts the re-sent
// entries without writing: it counts again after one round. Being too careful costs only time.
void Progress::on_rejected(Index may_match, bool known_differ) {
  if (may_match < held_index_) {
    regressed_ = true;
    held_index_ = Index{};
    sent_index_ = may_match;
  }
  const Index next = may_match.next();
  // At the front of a trimmed log there is nowhere left to go: wait for the heartbeat instead of
  // asking the same again at once, for ever.
  const bool moved = state_ == State::kReplicate || next != next_index_;
  state_ = State::kProbe;
  next_index_ = next;
  probe_outstanding_ = !moved;
  ask_only_ = known_differ;
  clear_window();
}

void Progress::push(Request request) {
  SLUICE_CHECK(window_.size() < limits_.requests_max);
  window_.push_back(request);
  inflight_bytes_ += request.size_bytes;
}

void Progress::pop_acknowledged() {
  while (!window_.empty() && window_.front().last_index <= held_index_) {
    inflight_bytes_ -= window_.front().size_bytes;
    window_.pop_front();
  }
}

void Progress::clear_window() {
  window_.clear();
  inflight_bytes_ = 0;
}

}  // namespace sluice::raft
