#include "engine/raft/quorum.h"

#include <algorithm>
#include <functional>

#include "wire/check.h"

namespace sluice::raft {

Index quorum_index(std::span<Index> positions) {
  SLUICE_CHECK(!positions.empty() && positions.size() <= kVotersMax);
  std::sort(positions.begin(), positions.end(), std::greater<>{});
  return positions[quorum_size(positions.size()) - 1];
}

}  // namespace sluice::raft
