// What must hold of a Raft node after every step, for tests and the simulator to ask.
//
// State, at any time:
//  1. first_index - 1 <= commit_index <= last_index, durable_index <= last_index
//  2. log's last term <= term; the durable hard state's term <= term
//  3. a candidate or leader voted for itself; a leader's vote is durable
//  4. a leader names itself, a pre-candidate and a candidate name nobody
//  5. the log is verified against the current leader at most up to its end; what was acknowledged
//     to the leader is at most what is durable and verified
//  6. of each follower: held_index <= match_index <= last_index, held_index < next_index <=
//     last_index + 1, and they differ only while regressed
// Steps, from one look to the next:
//  7. the term never falls; the vote of a term, once given, never changes
//  8. commit_index and first_index never fall
//  9. a leader only appends (Raft §5.3): within its term its log never gets shorter
// 10. match_index of a follower never falls within a leader's term (S9)
// 11. a leader commits only through an entry of its own term (Raft §5.4.2, S1)
#pragma once

#include <optional>
#include <vector>

#include "engine/raft/raft.h"

namespace sluice::raft {

class Invariants {
 public:
  /// nullptr, or the first rule found broken, in words. Remembers the state for the next look.
  /// One object per Raft; a new one after a restart.
  [[nodiscard]] const char* check(const Raft& raft);

 private:
  struct Snapshot {
    HardState hard_state;
    Role role;
    Index first_index;
    Index last_index;
    Index commit_index;
    std::vector<Index> match_indexes;
  };
  [[nodiscard]] static const char* check_log(const Raft& raft);
  [[nodiscard]] static const char* check_role(const Raft& raft);
  [[nodiscard]] static const char* check_following(const Raft& raft);
  [[nodiscard]] static const char* check_leading(const Raft& raft);
  [[nodiscard]] const char* check_step(const Raft& raft) const;
  void remember(const Raft& raft);

  std::optional<Snapshot> last_;
};

}  // namespace sluice::raft
