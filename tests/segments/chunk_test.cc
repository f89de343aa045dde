// The layout of a chunk, byte by byte (segments/README.md), and what refuses a wrong one.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "segments/chunk_builder.h"
#include "segments/chunk_check.h"
#include "tests/segments/samples.h"
#include "tests/wire/bytes.h"
#include "wire/checksum.h"

namespace sluice::segments::test {
namespace {

using sluice::test::to_hex;

const ChunkBuilder::Stamp kStamp{.directory = small_options().directory,
                                 .shard = small_options().shard,
                                 .epoch = Epoch(0x21),
                                 .seq = ChunkSeq(0x31),
                                 .durable_seq = ChunkSeq(0x30),
                                 .oldest_epoch = Epoch(0x1f),
                                 .previous_checksum = 0x0807060504030201,
                                 .offset = kBlockBytes};

// header: magic, version, checksum, directory, epoch, seq, durable_seq, oldest_epoch, the link,
// offset, size_bytes, records_bytes, record_count, shard; hard state; batch; trim; descriptors
constexpr const char* kGolden =
    "53 4c 55 43 01 00 00 00  af 84 b3 68 6d 58 33 2d\n"
    "88 77 66 55 44 33 22 11  00 ff ee dd cc bb aa 99\n"
    "21 00 00 00 00 00 00 00  31 00 00 00 00 00 00 00\n"
    "30 00 00 00 00 00 00 00  1f 00 00 00 00 00 00 00\n"
    "01 02 03 04 05 06 07 08  00 10 00 00 00 10 00 00\n"
    "98 00 00 00 03 00 00 00  03 00 00 00 00 00 00 00\n"
    "09 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00\n"
    "53 4c 55 42 01 01 00 00  3e 05 ac df 52 80 cc 63\n"
    "73 2d 3b 4b fb 63 77 e0  88 77 66 55 44 33 22 11\n"
    "40 fc 7d 8d 91 f7 c9 9e  09 00 00 00 00 00 00 00\n"
    "4d 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00\n"
    "04 00 00 00 00 00 00 00  00 00 2a 36 fe 9c 97 17\n"
    "05 00 00 00 02 00 00 00  70 00 00 00 0e 00 00 00\n"
    "03 00 00 00 6f 6e 65 03  00 00 00 74 77 6f 00 00\n"
    "46 00 00 00 00 00 00 00  08 00 00 00 00 00 00 00\n"
    "f8 f7 f6 f5 f4 f3 f2 f1  a0 03 aa 04 3e c5 21 f1\n"
    "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n"
    "00 00 00 00 05 00 00 00  60 00 00 00 10 00 00 00\n"
    "02 00 00 00 00 00 00 00  3e 05 ac df 52 80 cc 63\n"
    "09 00 00 00 00 00 00 00  4d 00 00 00 00 00 00 00\n"
    "02 00 00 00 05 00 00 00  70 00 00 00 70 00 00 00\n"
    "01 00 00 00 00 00 00 00  39 a4 71 bc 2e c8 4a d7\n"
    "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n"
    "00 00 00 00 06 00 00 00  e0 00 00 00 18 00 00 00\n"
    "03 00 00 00 00 00 00 00  ";

// directory high and low, node, 0; its descriptor: checksum, 0 but offset, size and kind
constexpr const char* kGoldenPeer =
    "a8 a7 a6 a5 a4 a3 a2 a1  b8 b7 b6 b5 b4 b3 b2 b1\n"
    "02 00 00 00 00 00 00 00  21 24 b7 24 50 1e 5a b2\n"
    "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n"
    "00 00 00 00 00 00 00 00  60 00 00 00 18 00 00 00\n"
    "05 00 00 00 00 00 00 00  ";

/// A segment with one chunk at its first place: a hard state, a batch and a trim.
class ChunkTest : public testing::Test {
 protected:
  ChunkTest() : file_(3 * kBlockBytes) {
    builder_.open(file_.span().subspan(kBlockBytes, kBlockBytes));
    const HardStateRecord state(9, 2, 0);
    builder_.add({.kind = RecordKind::kHardState, .group = GroupId(5)},
                 std::as_bytes(std::span(&state, 1)));
    builder_.add(
        {RecordKind::kBatch, GroupId(5), Term(9), Index(77), 2, batch_.view().header_checksum()},
        batch_.view().bytes());
    const TrimRecord trim(70, 8, 0xf1f2f3f4f5f6f7f8);
    builder_.add({.kind = RecordKind::kTrim, .group = GroupId(6)},
                 std::as_bytes(std::span(&trim, 1)));
    chunk_ = builder_.close(kStamp);
    std::ranges::fill(file_.span().subspan(2 * kBlockBytes), std::byte{0});
  }

  [[nodiscard]] SegmentBytes segment() { return {Epoch(0x21), file_.span()}; }
  [[nodiscard]] std::optional<FoundChunk> found() {
    return find_chunk(small_options(), segment(), kBlockBytes);
  }
  [[nodiscard]] bool valid() {
    const auto chunk = found();
    return chunk && records_are_right(small_options(), segment(), *chunk);
  }

  SealedBatch batch_{{.group = GroupId(5),
                      .term = Term(9),
                      .first_index = Index(77),
                      .previous_checksum = 0x1122334455667788,
                      .entries = {"one", "two"},
                      .producer = ProducerId(3),
                      .first_sequence = Sequence(4)}};
  DirtyBuffer file_;
  ChunkBuilder builder_;
  ChunkBuilder::Closed chunk_;
};

TEST_F(ChunkTest, RoundTrip) {
  const auto chunk = found();
  ASSERT_TRUE(chunk);
  EXPECT_TRUE(valid());
  EXPECT_EQ(chunk->seq, kStamp.seq);
  EXPECT_EQ(chunk->durable_seq, kStamp.durable_seq);
  EXPECT_EQ(chunk->oldest_epoch, kStamp.oldest_epoch);
  EXPECT_EQ(chunk->previous_checksum, kStamp.previous_checksum);
  EXPECT_EQ(chunk->checksum, chunk_.checksum);
  ASSERT_EQ(chunk->record_count, 3u);

  const Record state = record_at(segment(), *chunk, 0);
  EXPECT_EQ(state.kind, RecordKind::kHardState);
  EXPECT_EQ(state.group, GroupId(5));
  EXPECT_EQ(hard_state_of(state), (HardState{Term(9), NodeId(2)}));
  const Record batch = record_at(segment(), *chunk, 1);
  EXPECT_TRUE(std::ranges::equal(batch.bytes, batch_.view().bytes()));
  EXPECT_EQ(batch.location.offset, kBlockBytes + 96 + 16);
  const Record trim = record_at(segment(), *chunk, 2);
  EXPECT_EQ(trim_point_of(trim), (TrimPoint{Index(70), Term(8), 0xf1f2f3f4f5f6f7f8}));
}

TEST_F(ChunkTest, GoldenBytes) {
  const std::size_t used = 96 + 16 + 112 + 24 + 3 * 48;
  EXPECT_EQ(to_hex(chunk_.bytes.first(used)), kGolden);
  // Recycled memory goes to the disk as zeros.
  EXPECT_TRUE(std::ranges::all_of(chunk_.bytes.subspan(used),
                                  [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_EQ(chunk_.bytes.size(), kBlockBytes);
}

TEST_F(ChunkTest, EachByteFlippedIsSeen) {
  for (std::size_t at = kBlockBytes; at < 2 * kBlockBytes; ++at) {
    for (const unsigned bit : {0u, 7u}) {
      file_.span()[at] ^= std::byte(1u << bit);
      EXPECT_FALSE(valid()) << at - kBlockBytes;
      file_.span()[at] ^= std::byte(1u << bit);
    }
  }
  EXPECT_TRUE(valid());
}

TEST_F(ChunkTest, EachLengthOfTheFileCutIsSeen) {
  for (std::size_t size = 0; size < 2 * kBlockBytes; size += 8) {
    const SegmentBytes cut{Epoch(0x21), file_.span().first(size)};
    EXPECT_FALSE(find_chunk(small_options(), cut, kBlockBytes)) << size;
  }
  EXPECT_TRUE(
      find_chunk(small_options(), {Epoch(0x21), file_.span().first(2 * kBlockBytes)}, kBlockBytes));
}

TEST_F(ChunkTest, S30_AnotherEpochOfTheFileRefusesIt) {
  EXPECT_FALSE(find_chunk(small_options(), {Epoch(0x22), file_.span()}, kBlockBytes));
}

TEST_F(ChunkTest, S40_AnotherPlaceDirectoryOrShardRefusesIt) {
  std::ranges::copy(file_.span().subspan(kBlockBytes, kBlockBytes),
                    file_.span().begin() + 2 * kBlockBytes);
  EXPECT_FALSE(find_chunk(small_options(), segment(), 2 * kBlockBytes));
  Options other = small_options();
  other.directory.high ^= 1;
  EXPECT_FALSE(find_chunk(other, segment(), kBlockBytes));
  other = small_options();
  other.shard = ShardId(4);
  EXPECT_FALSE(find_chunk(other, segment(), kBlockBytes));
  other = small_options();
  other.cluster = cluster_id_of("another");
  EXPECT_FALSE(records_are_right(other, segment(), *found()));
}

/// Writes header fields behind the builder's back, with the right checksum over them.
template <class Change>
void forge(std::span<std::byte> chunk, Change change) {
  auto& header = *reinterpret_cast<ChunkHeader*>(chunk.data());
  const std::size_t descriptors = kChunkHeaderBytes + header.records_bytes();
  const std::size_t count = header.record_count();
  auto* first = reinterpret_cast<RecordDescriptor*>(chunk.data() + descriptors);
  change(header, std::span(first, count));
  header.mutate_checksum(header_checksum(chunk.first(kChunkHeaderBytes), 8,
                                         chunk.subspan(descriptors, count * kDescriptorBytes)));
}

// A right checksum is no proof of sense: sizes are checked before anything is read by them.
TEST_F(ChunkTest, SizesThatCannotBeTrueAreRefused) {
  const auto whole = sluice::test::Bytes(chunk_.bytes.begin(), chunk_.bytes.end());
  const auto chunk = file_.span().subspan(kBlockBytes, kBlockBytes);
  const auto refused = [&](auto change) {
    forge(chunk, change);
    EXPECT_FALSE(valid());
    std::ranges::copy(whole, chunk.begin());
    EXPECT_TRUE(valid());
  };
  using Records = std::span<RecordDescriptor>;
  refused([](ChunkHeader& h, Records) { h.mutate_record_count(~0u); });
  refused([](ChunkHeader& h, Records) { h.mutate_records_bytes(~7u); });
  refused([](ChunkHeader& h, Records) { h.mutate_records_bytes(h.records_bytes() + 4); });
  refused([](ChunkHeader& h, Records) { h.mutate_size_bytes(0); });
  refused([](ChunkHeader& h, Records) { h.mutate_size_bytes(4 * kBlockBytes); });
  refused([](ChunkHeader& h, Records) { h.mutate_seq(0); });
  refused([](ChunkHeader& h, Records) { h.mutate_version(2); });
  refused([](ChunkHeader&, Records r) { r[0].mutate_offset(104); });
  refused([](ChunkHeader&, Records r) { r[0].mutate_size_bytes(8); });
  refused([](ChunkHeader&, Records r) { r[1].mutate_size_bytes(~7u); });
  refused([](ChunkHeader&, Records r) { r[1].mutate_group(6); });
  refused([](ChunkHeader&, Records r) { r[1].mutate_term(10); });
  refused([](ChunkHeader&, Records r) { r[1].mutate_first_index(78); });
  refused([](ChunkHeader&, Records r) { r[1].mutate_entry_count(1); });
  refused([](ChunkHeader&, Records r) { r[1].mutate_checksum(0); });
  refused([](ChunkHeader&, Records r) { r[0].mutate_kind(9); });
  refused([](ChunkHeader&, Records r) { r[0].mutate_term(1); });
  refused([](ChunkHeader&, Records r) { r[0].mutate_pad2(1); });
}

TEST_F(ChunkTest, ASnapshotIsPaddedToEightWithZeros) {
  DirtyBuffer buffer(kBlockBytes);
  ChunkBuilder builder;
  builder.open(buffer.span());
  const auto bytes = sluice::test::bytes_of("0123456789");
  const auto record = builder.add({.kind = RecordKind::kProducers, .group = GroupId(1)}, bytes);
  EXPECT_EQ(sluice::test::text_of(record), std::string("0123456789\0\0\0\0\0\0", 16));
}

TEST_F(ChunkTest, AnEmptyChunkIsAMark) {
  builder_.open(file_.span().subspan(kBlockBytes, kBlockBytes));
  (void)builder_.close(kStamp);
  EXPECT_TRUE(valid());
  EXPECT_EQ(found()->record_count, 0u);
}

/// A segment with one chunk at its first place: a peer.
class PeerChunkTest : public testing::Test {
 protected:
  explicit PeerChunkTest(std::uint32_t group = 0) : file_(2 * kBlockBytes) {
    builder_.open(file_.span().subspan(kBlockBytes, kBlockBytes));
    const PeerRecord peer(0xa1a2a3a4a5a6a7a8, 0xb1b2b3b4b5b6b7b8, 2, 0);
    builder_.add({.kind = RecordKind::kPeer, .group = GroupId(group)},
                 std::as_bytes(std::span(&peer, 1)));
    chunk_ = builder_.close(kStamp);
  }
  [[nodiscard]] SegmentBytes segment() { return {Epoch(0x21), file_.span()}; }
  [[nodiscard]] std::optional<FoundChunk> valid() {
    const auto chunk = find_chunk(small_options(), segment(), kBlockBytes);
    if (!chunk || !records_are_right(small_options(), segment(), *chunk)) return std::nullopt;
    return chunk;
  }

  DirtyBuffer file_;
  ChunkBuilder builder_;
  ChunkBuilder::Closed chunk_;
};

TEST_F(PeerChunkTest, S56_RoundTripAndGoldenBytes) {
  const auto chunk = valid();
  ASSERT_TRUE(chunk);
  const Record record = record_at(segment(), *chunk, 0);
  EXPECT_EQ(record.kind, RecordKind::kPeer);
  EXPECT_EQ(record.group, GroupId(0));
  EXPECT_EQ(peer_directory_of(record),
            (PeerDirectory{NodeId(2), {0xa1a2a3a4a5a6a7a8, 0xb1b2b3b4b5b6b7b8}}));
  // The record and its descriptor, behind the header.
  EXPECT_EQ(to_hex(chunk_.bytes.subspan(96, 24 + 48)), kGoldenPeer);
}

TEST_F(PeerChunkTest, S56_EachByteFlippedIsSeen) {
  for (std::size_t at = kBlockBytes; at < 2 * kBlockBytes; ++at) {
    file_.span()[at] ^= std::byte{1};
    EXPECT_FALSE(valid()) << at - kBlockBytes;
    file_.span()[at] ^= std::byte{1};
  }
  EXPECT_TRUE(valid());
}

class PeerOfAGroupTest : public PeerChunkTest {
 protected:
  PeerOfAGroupTest() : PeerChunkTest(5) {}
};

TEST_F(PeerOfAGroupTest, S56_APeerBelongsToNoGroup) { EXPECT_FALSE(valid()); }

TEST_F(ChunkTest, S56_APeerOfAnotherSizeIsRefused) {
  builder_.open(file_.span().subspan(kBlockBytes, kBlockBytes));
  const std::array<std::byte, 16> bytes{};
  builder_.add({.kind = RecordKind::kPeer}, bytes);
  (void)builder_.close(kStamp);
  EXPECT_FALSE(valid());
}

}  // namespace
}  // namespace sluice::segments::test
