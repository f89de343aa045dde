// Bytes that claim to be a batch: golden ones, and ones that a broken disk, network or peer makes.
#include <gtest/gtest.h>

#include <limits>

#include "tests/wire/bytes.h"
#include "wire/batch.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

using test::Bytes;
using test::bytes_of;
using test::put;

constexpr std::size_t kMax = 1u << 20;
constexpr std::uint64_t kMaxU64 = std::numeric_limits<std::uint64_t>::max();

// Offsets of wire/README.md, written down again on purpose: a change of format must meet a test.
constexpr std::size_t kVersionAt = 4, kKindAt = 5, kFlagsAt = 6, kHeaderChecksumAt = 8,
                      kPayloadChecksumAt = 16, kTermAt = 40, kFirstIndexAt = 48,
                      kFirstSequenceAt = 64, kEntryCountAt = 84, kSizeBytesAt = 88,
                      kPayloadBytesAt = 92, kPayloadAt = 96;

// The example of wire/README.md: cluster "demo", group 3, producer 7 from sequence 1, two entries
// "hello" and "sluice", sealed in term 2 at index 5 behind a batch with checksum
// 0x1122334455667788.
constexpr std::string_view kGoldenUnsealed = R"(
53 4c 55 42 01 01 00 00  90 97 54 15 44 53 7c 20
60 18 ce e1 5c 1b af a8  00 00 00 00 00 00 00 00
30 63 45 af b3 2f f7 07  00 00 00 00 00 00 00 00
00 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00
01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
03 00 00 00 02 00 00 00  78 00 00 00 13 00 00 00
05 00 00 00 68 65 6c 6c  6f 06 00 00 00 73 6c 75
69 63 65 00 00 00 00 00
)";
constexpr std::string_view kGoldenSealed = R"(
53 4c 55 42 01 01 00 00  b6 7c 37 db ce eb 62 3b
60 18 ce e1 5c 1b af a8  88 77 66 55 44 33 22 11
30 63 45 af b3 2f f7 07  02 00 00 00 00 00 00 00
05 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00
01 00 00 00 00 00 00 00  00 00 2a 36 fe 9c 97 17
03 00 00 00 02 00 00 00  78 00 00 00 13 00 00 00
05 00 00 00 68 65 6c 6c  6f 06 00 00 00 73 6c 75
69 63 65 00 00 00 00 00
)";

Bytes unsealed() {
  Bytes buffer(256);
  BatchBuilder builder(buffer, {.cluster = cluster_id_of("demo"),
                                .group = GroupId(3),
                                .producer = ProducerId(7),
                                .first_sequence = Sequence(1)});
  EXPECT_TRUE(builder.append(bytes_of("hello")));
  EXPECT_TRUE(builder.append(bytes_of("sluice")));
  buffer.resize(builder.finish().size_bytes());
  return buffer;
}

Bytes sealed() {
  Bytes batch = unsealed();
  seal_batch(batch, {.term = Term(2),
                     .first_index = Index(5),
                     .previous_checksum = 0x1122334455667788,
                     .timestamp_ns = 1'700'000'000'000'000'000});
  return batch;
}

/// Makes both checksums right again: what is left is a malicious or broken peer, not an accident.
Bytes resealed(Bytes batch) {
  std::uint32_t payload_bytes;
  std::memcpy(&payload_bytes, batch.data() + kPayloadBytesAt, 4);
  const auto bytes = std::span<const std::byte>(batch);
  if (payload_bytes <= batch.size() - kPayloadAt) {
    put(batch, kPayloadChecksumAt, checksum(bytes.subspan(kPayloadAt, payload_bytes)));
  }
  put(batch, kHeaderChecksumAt, header_checksum(bytes.first(kPayloadAt), kHeaderChecksumAt));
  return batch;
}

Errc error_of(const Bytes& bytes, std::size_t size_bytes_max = kMax) {
  const auto batch = BatchView::parse(bytes, size_bytes_max);
  return batch ? Errc::kOk : batch.error();
}

TEST(BatchDecode, GoldenBytesUnsealed) {
  EXPECT_EQ(test::to_hex(unsealed()), test::to_hex(test::from_hex(kGoldenUnsealed)));
  const Bytes golden = test::from_hex(kGoldenUnsealed);
  const auto batch = BatchView::parse(golden, kMax);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->term(), Term(0));
  EXPECT_EQ(batch->first_index(), Index(0));
}

TEST(BatchDecode, GoldenBytesSealed) {
  EXPECT_EQ(test::to_hex(sealed()), test::to_hex(test::from_hex(kGoldenSealed)));
  const Bytes golden = test::from_hex(kGoldenSealed);
  const auto batch = BatchView::parse_sealed(golden, kMax);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->cluster(), cluster_id_of("demo"));
  EXPECT_EQ(batch->group(), GroupId(3));
  EXPECT_EQ(batch->producer(), ProducerId(7));
  EXPECT_EQ(batch->first_sequence(), Sequence(1));
  EXPECT_EQ(batch->term(), Term(2));
  EXPECT_EQ(batch->first_index(), Index(5));
  EXPECT_EQ(batch->last_index(), Index(6));
  EXPECT_EQ(batch->previous_checksum(), 0x1122334455667788u);
  EXPECT_EQ(batch->header().timestamp_ns(), 1'700'000'000'000'000'000u);
  auto entry = batch->begin();
  EXPECT_EQ(test::text_of(*entry++), "hello");
  EXPECT_EQ(test::text_of(*entry++), "sluice");
  EXPECT_EQ(entry, batch->end());
}

TEST(BatchDecode, AnUnsealedBatchIsNotASealedOne) {
  EXPECT_EQ(BatchView::parse_sealed(unsealed(), kMax).error(), Errc::kBadContent);
  for (const std::size_t field : {kTermAt, kFirstIndexAt}) {
    Bytes batch = sealed();
    put(batch, field, std::uint64_t{0});
    EXPECT_EQ(BatchView::parse_sealed(resealed(batch), kMax).error(), Errc::kBadContent);
  }
}

// S28: no byte of a batch is without cover, sealed or not, header, entries or padding.
TEST(BatchDecode, S28_EachBitFlippedIsRefused) {
  for (const Bytes& good : {unsealed(), sealed()}) {
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      EXPECT_NE(error_of(bad), Errc::kOk) << "byte " << bit / 8;
      EXPECT_FALSE(BatchView::parse_sealed(bad, kMax)) << "byte " << bit / 8;
    }
  }
}

TEST(BatchDecode, S26_EachLengthCutIsTruncated) {
  const Bytes good = sealed();
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(error_of(test::first(good, length)), Errc::kTruncated) << length;
    EXPECT_EQ(BatchView::parse_sealed(test::first(good, length), kMax).error(), Errc::kTruncated);
  }
}

TEST(BatchDecode, S46_AnotherVersionIsRefusedAsThat) {
  for (const int version : {0, 2, 255}) {
    Bytes batch = sealed();
    batch[kVersionAt] = static_cast<std::byte>(version);
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadVersion) << version;
  }
}

TEST(BatchDecode, AnotherMagicIsRefusedAsThat) {
  EXPECT_EQ(error_of(Bytes(96)), Errc::kBadMagic);  // zeros: a segment's unused part
  Bytes batch = sealed();
  batch[3] = std::byte{'F'};
  EXPECT_EQ(error_of(resealed(batch)), Errc::kBadMagic);
}

TEST(BatchDecode, UnknownKindsAndFlagsAreRefused) {
  for (const int kind : {0, 4, 255}) {
    Bytes batch = sealed();
    batch[kKindAt] = static_cast<std::byte>(kind);
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadContent) << kind;
  }
  for (const std::size_t at : {kFlagsAt, kFlagsAt + 1}) {
    Bytes batch = sealed();
    batch[at] = std::byte{1};
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadContent) << at;
  }
}

// S44: the bound comes before anything that the size could make the reader do; the bytes behind
// the header need not even be there.
TEST(BatchDecode, S44_SizeAboveTheBoundIsRefusedFromTheHeaderAlone) {
  Bytes header = test::first(sealed(), kPayloadAt);
  EXPECT_EQ(error_of(header, 119), Errc::kTooLarge);
  EXPECT_EQ(error_of(header, 120), Errc::kTruncated);
  put(header, kSizeBytesAt, std::uint32_t{0xFFFFFFF8});
  put(header, kPayloadBytesAt, std::uint32_t{0xFFFFFFF8 - 96});
  EXPECT_EQ(error_of(resealed(header)), Errc::kTooLarge);
  EXPECT_EQ(error_of(resealed(header), kMaxU64), Errc::kTruncated);
  EXPECT_EQ(error_of(sealed(), 120), Errc::kOk);
}

TEST(BatchDecode, SizesThatContradictEachOtherAreRefused) {
  const std::uint32_t payload_bytes = 4 + 5 + 4 + 6;  // 120 bytes with header and padding
  for (const std::uint32_t size : {0u, 8u, 95u, 96u, 112u, 115u, 119u, 120u, 121u, 128u}) {
    Bytes batch = sealed();
    batch.resize(256);
    put(batch, kSizeBytesAt, size);
    const Errc expected = size == 120 ? Errc::kOk : Errc::kBadSize;
    EXPECT_EQ(error_of(resealed(batch)), expected) << size;
  }
  for (const std::uint32_t payload :
       {0u, payload_bytes - 8, payload_bytes + 6, 0xFFFFFFF9u, 0xFFFFFFFFu}) {
    Bytes batch = sealed();
    put(batch, kPayloadBytesAt, payload);
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadSize) << payload;
  }
}

// S60: index and sequence arithmetic never wraps.
TEST(BatchDecode, S60_IndexOrSequenceThatWouldOverflowIsRefused) {
  for (const std::size_t field : {kFirstIndexAt, kFirstSequenceAt}) {
    for (const auto& [value, expected] :
         {std::pair{kMaxU64 - 2, Errc::kOk}, std::pair{kMaxU64 - 1, Errc::kBadContent},
          std::pair{kMaxU64, Errc::kBadContent}}) {
      Bytes batch = sealed();
      put(batch, field, value);
      EXPECT_EQ(error_of(resealed(batch)), expected) << field << ": " << value;
    }
  }
  Bytes batch = sealed();
  put(batch, kTermAt, kMaxU64);  // nothing is added to a term here: raft bounds it
  EXPECT_EQ(error_of(resealed(batch)), Errc::kOk);
}

TEST(BatchDecode, EntriesMustFillThePayloadExactly) {
  for (const std::uint32_t count : {0u, 1u, 3u, 4u, 0xFFFFFFFFu}) {
    Bytes batch = sealed();
    put(batch, kEntryCountAt, count);
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadContent) << count;
  }
  for (const std::uint32_t length : {0u, 4u, 6u, 8u, 15u, 16u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    Bytes batch = sealed();
    put(batch, kPayloadAt, length);
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadContent) << length;
  }
}

TEST(BatchDecode, PaddingMustBeZero) {
  Bytes buffer(256);
  BatchBuilder builder(buffer, {});
  ASSERT_TRUE(builder.append(bytes_of("x")));
  buffer.resize(builder.finish().size_bytes());
  ASSERT_EQ(buffer.size(), 104u);  // 96 + 4 + 1, then three zeros
  for (std::size_t at = 101; at < 104; ++at) {
    Bytes batch = buffer;
    batch[at] = std::byte{1};
    EXPECT_EQ(error_of(resealed(batch)), Errc::kBadContent) << at;
  }
}

// S45: whatever the bytes, a verdict and no access outside of them (run with the address
// sanitizer).
TEST(BatchDecode, S45_GarbageIsRefused) {
  test::Random random(45);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random.below(256));
    for (std::byte& b : bytes) b = random.byte();
    if (bytes.size() >= 5 && round % 2 == 0) {
      put(bytes, 0, kBatchMagic);
      bytes[kVersionAt] = std::byte{1};
    }
    EXPECT_NE(error_of(bytes), Errc::kOk);
  }
}

// S59: right checksums around a malicious header or payload. What passes must be walkable.
TEST(BatchDecode, S59_MutationsWithRightChecksumsNeverLeaveTheBatch) {
  test::Random random(59);
  std::size_t accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    Bytes bytes = sealed();
    for (std::size_t n = 1 + random.below(3); n > 0; --n) {
      const std::size_t at = random.below(bytes.size());
      bytes[at] = random.below(2) == 0 ? random.byte() : std::byte{0xFF};
    }
    bytes = resealed(bytes);
    const auto batch = BatchView::parse(bytes, kMax);
    if (!batch) continue;
    ++accepted;
    ASSERT_GE(batch->last_index(), batch->first_index());
    std::size_t payload = 0;
    std::uint32_t count = 0;
    for (const auto entry : *batch) {
      payload += 4 + entry.size();
      ++count;
    }
    ASSERT_EQ(payload, batch->header().payload_bytes());
    ASSERT_EQ(count, batch->entry_count());
  }
  EXPECT_GT(accepted, 1000u);  // else the mutations do not reach what they are for
}

}  // namespace
}  // namespace sluice
