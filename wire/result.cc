#include "wire/result.h"

namespace sluice {

std::string_view code_name(Errc code) {
  switch (code) {
    case Errc::kOk:
      return "ok";
    case Errc::kTooLarge:
      return "too_large";
    case Errc::kUnknownGroup:
      return "unknown_group";
    case Errc::kNoSpace:
      return "no_space";
    case Errc::kOverloaded:
      return "overloaded";
    case Errc::kUnreachable:
      return "unreachable";
    case Errc::kSequenceGap:
      return "sequence_gap";
    case Errc::kSequenceTooOld:
      return "sequence_too_old";
    case Errc::kWrongCluster:
      return "wrong_cluster";
    case Errc::kInvalidRequest:
      return "invalid_request";
    case Errc::kShuttingDown:
      return "shutting_down";
    case Errc::kNotLeader:
      return "not_leader";
    case Errc::kTimeout:
      return "timeout";
    case Errc::kConnectionLost:
      return "connection_lost";
    case Errc::kLeadershipLost:
      return "leadership_lost";
    case Errc::kTrimmed:
      return "trimmed";
    case Errc::kBadMagic:
      return "bad_magic";
    case Errc::kBadVersion:
      return "bad_version";
    case Errc::kBadChecksum:
      return "bad_checksum";
    case Errc::kBadSize:
      return "bad_size";
    case Errc::kBadContent:
      return "bad_content";
    case Errc::kTruncated:
      return "truncated";
    case Errc::kChunkFull:
      return "chunk_full";
    case Errc::kNoSegment:
      return "no_segment";
    case Errc::kDamaged:
      return "damaged";
    case Errc::kIo:
      return "io";
    case Errc::kInUse:
      return "in_use";
    case Errc::kWrongIdentity:
      return "wrong_identity";
  }
  return "unrecognised";  // a number from a newer peer
}

}  // namespace sluice
