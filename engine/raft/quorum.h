// Majorities (Raft §5.2, §5.3), for any number of voters from 1 to 7, even ones too.
#pragma once

#include <cstddef>
#include <span>

#include "wire/ids.h"

namespace sluice::raft {

inline constexpr std::size_t kVotersMax = 7;

/// Smallest number of voters of which any two such sets share a member: 1 of 1, 2 of 2 and 3,
/// 3 of 4 and 5, 4 of 6 and 7.
[[nodiscard]] constexpr std::size_t quorum_size(std::size_t voters) { return voters / 2 + 1; }

/// Largest position that a majority has reached, given the durable position of every voter.
/// Reorders `positions`. Precondition: 1 <= positions.size() <= kVotersMax.
[[nodiscard]] Index quorum_index(std::span<Index> positions);

}  // namespace sluice::raft
