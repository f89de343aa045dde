// Operating errors as values: an enum, never a text to match. Nothing throws across wire, segments
// or engine.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace sluice {

/// Why something was not done. The numbers stand on the wire: never renumber, only append.
enum class Errc : std::uint16_t {
  kOk = 0,

  // An append certainly did not enter the log ("refused").
  kTooLarge = 1,        // entry or batch above the configured limit
  kUnknownGroup = 2,    // no such group on this cluster
  kNoSpace = 3,         // the disk is full; comes back when space does
  kOverloaded = 4,      // bounds on memory or on uncommitted entries reached; retry later
  kUnreachable = 5,     // no connection to the node could be made
  kSequenceGap = 6,     // not the producer's next sequence; the answer names the expected one
  kSequenceTooOld = 7,  // older than what is remembered of the producer
  kWrongCluster = 8,    // the node belongs to another cluster
  kInvalidRequest = 9,  // malformed, empty or contradictory request
  kShuttingDown = 10,   // the node is stopping

  // Not the leader: certainly did not enter this node's log; a hint may stand beside it.
  kNotLeader = 20,

  // May or may not take effect ("unknown").
  kTimeout = 30,         // no answer within the caller's time-out
  kConnectionLost = 31,  // the connection broke after the request was sent
  kLeadershipLost = 32,  // the node lost its leadership before the entry committed

  // Reads.
  kTrimmed = 40,  // below the first index that is kept

  // Decoding: bytes from a socket or a disk that cannot be what they claim.
  kBadMagic = 60,
  kBadVersion = 61,
  kBadChecksum = 62,
  kBadSize = 63,
  kBadContent = 64,
  kTruncated = 65,  // more bytes are needed

  // The node's own storage.
  kChunkFull = 80,      // seal the chunk and retry
  kNoSegment = 81,      // no prepared segment yet; retry when one is ready
  kDamaged = 82,        // the log on disk contradicts itself: stop, never guess
  kIo = 83,             // a system call failed
  kInUse = 84,          // another process holds the data directory
  kWrongIdentity = 85,  // the data directory is not the one that belongs there
};

template <class T>
using Result = std::expected<T, Errc>;

/// The stable lower-case name that users and scripts see ("too_large", "sequence_gap", ...).
[[nodiscard]] std::string_view code_name(Errc code);

[[nodiscard]] inline std::unexpected<Errc> fail(Errc code) { return std::unexpected(code); }

/// The append certainly did not enter any log.
[[nodiscard]] constexpr bool is_refused(Errc code) {
  return code >= Errc::kTooLarge && code <= Errc::kShuttingDown;
}
/// The append may or may not have entered the log.
[[nodiscard]] constexpr bool is_unknown(Errc code) {
  return code >= Errc::kTimeout && code <= Errc::kLeadershipLost;
}

}  // namespace sluice
