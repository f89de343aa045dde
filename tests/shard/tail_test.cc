// engine/shard/tail: chunks leave oldest first, and only when nobody needs them.
#include "engine/shard/tail.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace sluice::shard {
namespace {

constexpr std::size_t kChunk = 8192;

segments::Location location(std::uint64_t seq, std::uint32_t offset, std::uint32_t size) {
  return {ChunkSeq(seq), Epoch(1), offset, size};
}

/// Opens chunk `seq`, puts one record of `size` bytes of `fill` at its 96th byte, closes it.
bool put(Tail& tail, std::uint64_t seq, std::size_t size, std::byte fill) {
  const auto buffer = tail.open(ChunkSeq(seq));
  if (buffer.empty()) return false;
  const auto record = buffer.subspan(96, size);
  std::memset(record.data(), static_cast<int>(fill), record.size());
  tail.placed(
      location(seq, static_cast<std::uint32_t>(4096 * seq + 96), static_cast<std::uint32_t>(size)),
      record);
  tail.close(4096);
  return true;
}

TEST(Tail, FindsRecordsOfOpenAndClosedChunks) {
  Tail tail(4 * kChunk, kChunk);
  ASSERT_TRUE(put(tail, 7, 64, std::byte{0xAB}));
  const auto found = tail.find(location(7, 4096 * 7 + 96, 64));
  ASSERT_EQ(found.size(), 64u);
  EXPECT_EQ(found[63], std::byte{0xAB});

  const auto buffer = tail.open(ChunkSeq(8));
  EXPECT_TRUE(tail.find(location(8, 0, 8)).empty()) << "nothing was placed yet";
  tail.placed(location(8, 40'096, 32), buffer.subspan(96, 32));
  EXPECT_EQ(tail.find(location(8, 40'096, 32)).data(), buffer.data() + 96);
  EXPECT_TRUE(tail.find(location(9, 0, 8)).empty());
  EXPECT_TRUE(tail.find(location(6, 0, 8)).empty());
}

TEST(Tail, GivesNoRoomWhileTheOldestIsNotWritten) {
  Tail tail(4 * kChunk, kChunk);
  std::uint64_t seq = 1;
  while (put(tail, seq, 8, std::byte{1})) ++seq;
  EXPECT_GE(seq, 4u);
  EXPECT_TRUE(tail.crowded());
  EXPECT_FALSE(tail.oldest_is_pinned());
  tail.on_written(ChunkSeq(1));
  tail.on_written(ChunkSeq(2));
  EXPECT_TRUE(put(tail, seq, 8, std::byte{2}));
  EXPECT_TRUE(tail.find(location(1, 4096 + 96, 8)).empty()) << "its memory was given away";
}

// S43: who does not take its bytes holds the memory, and is found.
TEST(Tail, S43_KeepsWhatIsPinnedAndSaysSo) {
  Tail tail(4 * kChunk, kChunk);
  ASSERT_TRUE(put(tail, 1, 8, std::byte{1}));
  tail.on_written(ChunkSeq(1));
  tail.pin(ChunkSeq(1));
  std::uint64_t seq = 2;
  while (put(tail, seq, 8, std::byte{3})) tail.on_written(ChunkSeq(seq++));
  EXPECT_TRUE(tail.crowded());
  EXPECT_TRUE(tail.oldest_is_pinned());
  EXPECT_EQ(tail.oldest(), ChunkSeq(1));
  EXPECT_EQ(tail.find(location(1, 4096 + 96, 8))[0], std::byte{1}) << "not overwritten";
  tail.unpin(ChunkSeq(1));
  EXPECT_TRUE(put(tail, seq, 8, std::byte{4}));
}

TEST(Tail, NeverHandsOutMemoryThatIsInUse) {
  Tail tail(5 * kChunk, kChunk);
  struct Live {
    std::uint64_t seq;
    std::byte fill;
  };
  std::vector<Live> live;
  std::uint64_t random = 88172645463325252ull;
  const auto draw = [&](std::uint64_t below) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    return random % below;
  };
  std::uint64_t seq = 1;
  for (int step = 0; step < 20'000; ++step) {
    const auto fill = static_cast<std::byte>(seq & 0xFF);
    if (put(tail, seq, 4000, fill)) {
      tail.pin(ChunkSeq(seq));
      tail.on_written(ChunkSeq(seq));
      live.push_back({seq++, fill});
    }
    for (const Live& chunk : live) {
      const auto bytes =
          tail.find(location(chunk.seq, static_cast<std::uint32_t>(4096 * chunk.seq + 96), 4000));
      ASSERT_EQ(bytes.size(), 4000u);
      ASSERT_EQ(bytes.front(), chunk.fill);
      ASSERT_EQ(bytes.back(), chunk.fill);
    }
    while (!live.empty() && draw(3) == 0) {
      const auto gone = live.begin() + static_cast<std::ptrdiff_t>(draw(live.size()));
      tail.unpin(ChunkSeq(gone->seq));
      live.erase(gone);
    }
  }
  EXPECT_GT(seq, 1000u);
}

TEST(Tail, AnAbandonedChunkLeavesNoTrace) {
  Tail tail(4 * kChunk, kChunk);
  const std::size_t before = tail.bytes_used();
  ASSERT_FALSE(tail.open(ChunkSeq(1)).empty());
  tail.abandon();
  EXPECT_EQ(tail.bytes_used(), before);
  EXPECT_TRUE(put(tail, 1, 8, std::byte{1}));
}

}  // namespace
}  // namespace sluice::shard
