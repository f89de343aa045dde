// What a leader knows of one follower (Raft §5.3, Figure 2: nextIndex and matchIndex), and what is
// on its way to it.
//
// A follower is probed until it accepts something (one request at a time, because the place where
// the logs part is not known yet), then replicated to: requests leave without waiting for the ones
// before, next_index is raised as they leave (dissertation §10.2.1), and a rejection falls back to
// probing. The link delivers in order or breaks; whatever it lost shows in a rejection of the next
// heartbeat, whose prev_index is always next_index - 1.
//
// Invariants:
// 1. held_index <= match_index; they differ only while regressed
// 2. held_index < next_index
// 3. match_index never falls during a term (S9)
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/ids.h"
#include "wire/ring.h"

namespace sluice::raft {

class Progress {
 public:
  enum class State : std::uint8_t { kProbe, kReplicate };

  /// Window: what may be sent and not yet acknowledged as durable.
  struct Limits {
    std::uint32_t requests_max = 0;
    std::uint64_t bytes_max = 0;
  };

  explicit Progress(Limits limits) : limits_(limits) {}

  // --- what is known -------------------------------------------------------------------------

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool link_up() const { return link_up_; }
  /// Highest position that the follower ever acknowledged as durable in this leader's term.
  [[nodiscard]] Index match_index() const { return match_index_; }
  [[nodiscard]] Index next_index() const { return next_index_; }
  /// What the follower is known to hold now. Below it, it needs no entry any more.
  [[nodiscard]] Index held_index() const { return held_index_; }
  /// What it counts for in a majority: nothing while it is regressed.
  [[nodiscard]] Index counted_index() const { return regressed_ ? Index{} : match_index_; }
  /// It denied holding what it had acknowledged (S57): a wiped disk or an old copy under its name.
  [[nodiscard]] bool regressed() const { return regressed_; }
  [[nodiscard]] std::uint64_t ticks_since_contact() const { return ticks_since_contact_; }
  [[nodiscard]] Index commit_sent() const { return commit_sent_; }
  [[nodiscard]] std::size_t inflight_requests() const { return window_.size(); }
  [[nodiscard]] std::uint64_t inflight_bytes() const { return inflight_bytes_; }

  /// Fetches what the next fact will touch outside of this object.
  void prefetch() const { window_.prefetch_ends(); }

  // --- what may be sent ----------------------------------------------------------------------

  [[nodiscard]] bool may_send_entries() const;
  /// How many bytes the next request should have at most. A single batch that is larger passes too
  /// (at least one batch is sent), so a window is exceeded by less than one batch.
  [[nodiscard]] std::uint64_t bytes_room() const;
  /// An empty request is due: a heartbeat, or news of the commit index.
  [[nodiscard]] bool empty_request_due() const {
    return heartbeat_due_ || commit_due_ || (ask_only_ && !probe_outstanding_);
  }
  [[nodiscard]] bool heartbeat_due() const { return heartbeat_due_; }

  // --- facts ---------------------------------------------------------------------------------

  /// The node became leader with a log that ends at `last_index`.
  void start_term(Index last_index);
  void on_tick() { ++ticks_since_contact_; }
  void mark_heartbeat_due() {
    heartbeat_due_ = true;
    ++heartbeats_since_contact_;
  }
  void mark_commit_due() { commit_due_ = true; }
  /// It answered, whatever it said.
  void on_contact() { ticks_since_contact_ = heartbeats_since_contact_ = 0; }
  void on_link_up();
  void on_link_down();

  /// A request with entries up to `last_sent` left. Precondition: may_send_entries().
  void on_entries_sent(Index last_sent, std::uint64_t size_bytes, Index commit_index);
  void on_empty_sent(Index prev_index, Index commit_index);

  /// It holds everything up to `match` durably. True when counted_index() rose.
  bool on_accepted(Index match);

  /// Does a rejection of prev_index `rejected` fit what is outstanding, or is it late (S9)?
  [[nodiscard]] bool rejection_fits(Index rejected) const;

  /// It refused; `may_match` is the largest index at which the two logs may still agree, as far as
  /// the hint tells. known_differ: they cannot agree there either, and asking serves to get the
  /// next hint: then next_index need not begin a batch, and no entry is sent.
  /// Precondition: rejection_fits().
  void on_rejected(Index may_match, bool known_differ);

 private:
  struct Request {
    Index last_index;
    std::uint64_t size_bytes = 0;
  };
  void push(Request request);
  void pop_acknowledged();
  void clear_window();

  Limits limits_;
  State state_ = State::kProbe;
  bool link_up_ = false;
  bool regressed_ = false;
  bool probe_outstanding_ = false;
  bool ask_only_ = false;  // while probing: next_index_ may lie within a batch
  bool heartbeat_due_ = false;
  bool commit_due_ = false;
  Index match_index_;
  Index held_index_;
  Index next_index_{1};
  Index sent_index_;  // highest index it was asked about, in this term and since it regressed
  Index commit_sent_;
  std::uint64_t ticks_since_contact_ = 0;
  std::uint64_t heartbeats_since_contact_ = 0;  // that fell due

  Ring<Request> window_;  // in flight
  std::uint64_t inflight_bytes_ = 0;
};

}  // namespace sluice::raft
