// Where a group's log ends for a reader who must see all that was acknowledged before he asked.
//
// A commit index alone does not tell: after a restart or a change of leader no node knows what is
// committed until the new leader has committed an entry of its own term (Raft §5.4.2, §8). What was
// acknowledged is in the log of the leader of the newest term, so it is all there once that leader
// has committed what it held when it was first seen.
#pragma once

#include <vector>

#include "engine/client/client.h"
#include "wire/ids.h"

namespace sluice::tools {

class LogEnd {
 public:
  explicit LogEnd(GroupId group) : group_(group) {}

  /// Takes what the nodes say now. True once end() covers all that was acknowledged before the
  /// first look; until then, look again a little later.
  [[nodiscard]] bool look(const std::vector<client::NodeStatus>& nodes);

  /// Highest commit index that any node has named; 0: none.
  [[nodiscard]] Index end() const { return end_; }
  /// Of the last look.
  [[nodiscard]] bool reachable() const { return reachable_; }
  [[nodiscard]] bool group_found() const { return group_found_; }

 private:
  const GroupId group_;
  Term term_;     // of the leader that was seen
  Index target_;  // what it held when it was seen first
  Index end_;
  bool reachable_ = false;
  bool group_found_ = false;
};

}  // namespace sluice::tools
