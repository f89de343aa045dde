// engine/shard/send_queue: order, partial sends, and references that are given back exactly once.
#include "engine/shard/send_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace sluice::shard {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

void stage(SendQueue& queue, const std::string& text) {
  std::memcpy(queue.stage(text.size()).data(), text.data(), text.size());
}

/// Sends everything in pieces of at most `piece` bytes, as a slow socket would.
std::string drain(SendQueue& queue, std::size_t piece) {
  std::string sent;
  while (queue.has_gathered()) {
    queue.begin();
    while (!queue.idle()) {
      std::size_t left = piece;
      std::size_t moved = 0;
      for (const iovec& slice : queue.pending()) {
        const std::size_t now = std::min(left, slice.iov_len);
        sent.append(static_cast<const char*>(slice.iov_base), now);
        left -= now;
        moved += now;
        if (left == 0) break;
      }
      queue.advance(moved);
    }
  }
  return sent;
}

TEST(SendQueue, KeepsTheOrderOfStagedAndReferredBytes) {
  const std::string first(300, 'a'), second(500, 'b');
  for (std::size_t piece : {1u, 7u, 299u, 300u, 301u, 4096u}) {
    SendQueue queue;
    std::uint32_t references = 0;
    stage(queue, "head1");
    stage(queue, "head2");
    queue.append_counted(bytes_of(first), references);
    stage(queue, "tail");
    queue.append_counted(bytes_of(second), references);
    EXPECT_EQ(references, 2u);
    EXPECT_EQ(queue.queued_bytes(), 5 + 5 + 300 + 4 + 500u);
    EXPECT_EQ(drain(queue, piece), "head1head2" + first + "tail" + second);
    EXPECT_EQ(references, 0u);
    EXPECT_EQ(queue.queued_bytes(), 0u);
  }
}

TEST(SendQueue, GathersWhileItSends) {
  SendQueue queue;
  stage(queue, "one");
  queue.begin();
  stage(queue, "two");
  EXPECT_FALSE(queue.idle());
  EXPECT_TRUE(queue.has_gathered());
  ASSERT_EQ(queue.pending().size(), 1u);
  EXPECT_EQ(queue.pending()[0].iov_len, 3u);
  EXPECT_TRUE(queue.advance(3));
  EXPECT_EQ(drain(queue, 100), "two");
}

TEST(SendQueue, PinsChunksUntilTheirBytesLeft) {
  Tail tail(4 * 8192, 8192);
  const auto chunk = tail.open(ChunkSeq(1));
  ASSERT_FALSE(chunk.empty());
  tail.placed({ChunkSeq(1), Epoch(1), 4096, 64}, chunk.first(64));
  tail.close(4096);
  tail.on_written(ChunkSeq(1));
  const std::string text(64, 'x');
  SendQueue queue;
  queue.append_pinned(bytes_of(text), tail, ChunkSeq(1));
  EXPECT_EQ(queue.oldest_pinned(), ChunkSeq(1));
  queue.begin();
  queue.advance(63);
  EXPECT_TRUE(tail.oldest_is_pinned());
  queue.advance(1);
  EXPECT_FALSE(tail.oldest_is_pinned());
  EXPECT_EQ(queue.oldest_pinned(), ChunkSeq{});
}

TEST(SendQueue, GivesEverythingBackWhenDropped) {
  const std::string text(10, 'x');
  std::uint32_t references = 0;
  {
    SendQueue queue;
    queue.append_counted(bytes_of(text), references);
    queue.begin();
    queue.advance(4);
    queue.append_counted(bytes_of(text), references);
    EXPECT_EQ(references, 2u);
  }
  EXPECT_EQ(references, 0u);
}

TEST(SendQueue, SendsMoreSlicesThanOneCallTakes) {
  const std::string text = "y";
  std::uint32_t references = 0;
  SendQueue queue;
  for (int i = 0; i < 3000; ++i) queue.append_counted(bytes_of(text), references);
  EXPECT_EQ(drain(queue, 1u << 20), std::string(3000, 'y'));
  EXPECT_EQ(references, 0u);
}

}  // namespace
}  // namespace sluice::shard
