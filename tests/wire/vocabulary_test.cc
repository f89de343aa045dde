// The small things that everything else leans on: error numbers, names, checksums, positions.
#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>

#include "tests/wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice {
namespace {

using test::Bytes;
using test::bytes_of;

constexpr Errc kRefused[] = {Errc::kTooLarge,     Errc::kUnknownGroup,   Errc::kNoSpace,
                             Errc::kOverloaded,   Errc::kUnreachable,    Errc::kSequenceGap,
                             Errc::kWrongCluster, Errc::kSequenceTooOld, Errc::kInvalidRequest,
                             Errc::kShuttingDown};
constexpr Errc kUnknown[] = {Errc::kTimeout, Errc::kConnectionLost, Errc::kLeadershipLost};
constexpr Errc kNeither[] = {Errc::kOk,        Errc::kNotLeader,  Errc::kTrimmed,
                             Errc::kBadMagic,  Errc::kBadVersion, Errc::kBadChecksum,
                             Errc::kBadSize,   Errc::kBadContent, Errc::kTruncated,
                             Errc::kChunkFull, Errc::kNoSegment,  Errc::kDamaged,
                             Errc::kIo,        Errc::kInUse,      Errc::kWrongIdentity};

// The numbers stand on the wire (wire/README.md) and the names in scripts: neither may drift.
TEST(Errc, NumbersAndNamesThatClientsSeeNeverChange) {
  const std::pair<int, const char*> table[] = {{0, "ok"},
                                               {1, "too_large"},
                                               {2, "unknown_group"},
                                               {3, "no_space"},
                                               {4, "overloaded"},
                                               {5, "unreachable"},
                                               {6, "sequence_gap"},
                                               {7, "sequence_too_old"},
                                               {8, "wrong_cluster"},
                                               {9, "invalid_request"},
                                               {10, "shutting_down"},
                                               {20, "not_leader"},
                                               {30, "timeout"},
                                               {31, "connection_lost"},
                                               {32, "leadership_lost"},
                                               {40, "trimmed"},
                                               {60, "bad_magic"},
                                               {61, "bad_version"},
                                               {62, "bad_checksum"},
                                               {63, "bad_size"},
                                               {64, "bad_content"},
                                               {65, "truncated"},
                                               {80, "chunk_full"},
                                               {81, "no_segment"},
                                               {82, "damaged"},
                                               {83, "io"},
                                               {84, "in_use"},
                                               {85, "wrong_identity"}};
  for (const auto& [number, name] : table) {
    EXPECT_EQ(code_name(static_cast<Errc>(number)), name) << number;
  }
  EXPECT_EQ(std::size(table), std::size(kRefused) + std::size(kUnknown) + std::size(kNeither));
}

TEST(Errc, ANumberFromANewerPeerHasAName) {
  EXPECT_EQ(code_name(static_cast<Errc>(999)), "unrecognised");
}

// S48: an append ends in ok, refused, not_leader or unknown, and no code is two of them.
TEST(Errc, S48_EveryCodeIsRefusedOrUnknownOrNeither) {
  for (const Errc code : kRefused) {
    EXPECT_TRUE(is_refused(code) && !is_unknown(code)) << code_name(code);
  }
  for (const Errc code : kUnknown) {
    EXPECT_TRUE(is_unknown(code) && !is_refused(code)) << code_name(code);
  }
  for (const Errc code : kNeither) {
    EXPECT_FALSE(is_unknown(code) || is_refused(code)) << code_name(code);
  }
}

// Published test values of XXH3-64 with seed 0 and its default secret.
TEST(Checksum, IsXxh3WithSeedZero) {
  EXPECT_EQ(checksum({}), 0x2D06800538D394C2u);
  EXPECT_EQ(checksum(bytes_of("a")), 0xE6C632B61E964E1Fu);
  EXPECT_EQ(checksum(bytes_of("abc")), 0x78AF5F94892F3950u);
}

// The field itself counts as zero, and header and rest as one string, in the copied case (up to
// 1,024 bytes) and in the streamed one.
TEST(Checksum, OfAHeaderIsThatOfTheWholeWithTheFieldZeroed) {
  test::Random random(1);
  for (const std::size_t rest_bytes : {0u, 1u, 8u, 200u, 1000u, 1001u, 5000u}) {
    for (const std::size_t field : {0u, 8u, 16u}) {
      Bytes whole(24 + rest_bytes);
      for (std::byte& b : whole) b = random.byte();
      const auto bytes = std::span<const std::byte>(whole);
      const std::uint64_t got = header_checksum(bytes.first(24), field, bytes.subspan(24));
      Bytes zeroed = whole;
      test::put(zeroed, field, std::uint64_t{0});
      EXPECT_EQ(got, checksum(zeroed)) << rest_bytes << " at " << field;
    }
  }
}

TEST(Checksum, TheClusterIdIsThatOfTheName) {
  EXPECT_EQ(cluster_id_of("abc").value(), 0x78AF5F94892F3950u);
  EXPECT_NE(cluster_id_of("abc"), cluster_id_of("abd"));
}

TEST(Ids, PositionsCountAndIdsDoNot) {
  EXPECT_EQ(Index(4).next(), Index(5));
  EXPECT_EQ(Index(4).prev(), Index(3));
  EXPECT_EQ(Index(7) - Index(4), 3u);
  EXPECT_EQ(Index(7) - 4, Index(3));
  EXPECT_LT(Term(1), Term(2));
  EXPECT_EQ(std::hash<GroupId>{}(GroupId(3)), std::hash<std::uint32_t>{}(3));
}

}  // namespace
}  // namespace sluice
