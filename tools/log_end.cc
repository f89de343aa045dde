#include "tools/log_end.h"

#include <algorithm>

namespace sluice::tools {

bool LogEnd::look(const std::vector<client::NodeStatus>& nodes) {
  constexpr std::uint8_t kLeader = 3;  // wire::GroupStatus
  reachable_ = group_found_ = false;
  Term newest;
  const client::GroupState* leader = nullptr;
  for (const client::NodeStatus& node : nodes) {
    reachable_ |= node.reachable;
    for (const client::GroupState& group : node.groups) {
      if (group.group != group_) continue;
      group_found_ = true;
      newest = std::max(newest, group.term);
      end_ = std::max(end_, group.commit_index);
      if (group.role == kLeader && (leader == nullptr || group.term > leader->term))
        leader = &group;
    }
  }
  // A leader of an older term does not know yet that it leads no more.
  if (leader == nullptr || leader->term < newest) return false;
  if (leader->term != term_) {
    term_ = leader->term;
    target_ = leader->last_index;
  }
  return end_ >= target_;
}

}  // namespace sluice::tools
