#include "segments/segment_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/segments/samples.h"

namespace sluice::segments::test {
namespace {

using Kind = FileStep::Kind;

class SegmentLogTest : public testing::Test {
 protected:
  SegmentLogTest() { run_steps(log_); }

  void open() {
    if (log_.open_chunk(buffer_.span())) return;
    run_steps(log_);
    ASSERT_TRUE(log_.open_chunk(buffer_.span()));
  }
  Location hard_state(std::uint32_t group = 1) {
    const auto at = log_.append_hard_state(GroupId(group), Term(1), NodeId(1));
    EXPECT_TRUE(at);
    return *at;
  }
  /// A batch of `blocks` blocks, less a little.
  Location batch(std::size_t blocks = 1) {
    const SealedBatch sealed({.group = GroupId(1),
                              .term = Term(1),
                              .first_index = Index(1),
                              .entries = {std::string(blocks * kBlockBytes - 400, 'x')}});
    const auto placed = log_.append_batch(sealed.view());
    EXPECT_TRUE(placed);
    return placed->location;
  }
  /// A chunk with one batch that fills it, durable at once.
  Location durable_chunk() {
    open();
    const Location at = batch(3);
    write(log_.close_chunk());
    return at;
  }
  void durable_mark() {
    open();
    write(log_.close_chunk());
  }
  void write(const ChunkWrite& chunk) {
    log_.on_written(chunk.seq);
    log_.on_durable(log_.written_seq());
  }

  DirtyBuffer buffer_{small_options().chunk_bytes_max};
  SegmentLog log_{small_options(), StreamEnd{}};
};

TEST_F(SegmentLogTest, NoChunkBeforeASegmentIsPrepared) {
  SegmentLog fresh(small_options(), StreamEnd{});
  EXPECT_EQ(fresh.open_chunk(buffer_.span()).error(), Errc::kNoSegment);
  EXPECT_FALSE(fresh.chunk_open());
  run_steps(fresh);
  EXPECT_TRUE(fresh.open_chunk(buffer_.span()));
}

TEST_F(SegmentLogTest, ChunksLieOneBehindTheOtherAndNumberOn) {
  open();
  const Location first = hard_state();
  const ChunkWrite one = log_.close_chunk();
  EXPECT_EQ(one.seq, ChunkSeq(1));
  EXPECT_EQ(one.epoch, Epoch(1));
  EXPECT_EQ(one.offset, kBlockBytes);
  EXPECT_EQ(one.bytes.size(), kBlockBytes);
  EXPECT_EQ(first.offset, kBlockBytes + kChunkHeaderBytes);
  EXPECT_TRUE(one.durable_at_once);

  open();
  const Location at = batch(2);
  EXPECT_EQ(at.seq, ChunkSeq(2));
  const ChunkWrite two = log_.close_chunk();
  EXPECT_EQ(two.offset, 2 * kBlockBytes);
  EXPECT_EQ(two.bytes.size(), 2 * kBlockBytes);
  EXPECT_FALSE(two.durable_at_once);
  EXPECT_EQ(log_.last_seq(), ChunkSeq(2));
}

TEST_F(SegmentLogTest, FitsCountsHeaderDescriptorsAndPadding) {
  open();
  const std::size_t room = small_options().chunk_bytes_max - kChunkHeaderBytes - kDescriptorBytes;
  EXPECT_TRUE(log_.fits(room));
  EXPECT_FALSE(log_.fits(room + 1));
  EXPECT_EQ(log_.chunk_bytes(), kBlockBytes);
  std::size_t count = 0;
  while (log_.fits(16)) {
    hard_state();
    ++count;
  }
  EXPECT_EQ(count, (small_options().chunk_bytes_max - kChunkHeaderBytes) / (16 + kDescriptorBytes));
  EXPECT_EQ(log_.append_hard_state(GroupId(1), Term(1), NodeId(1)).error(), Errc::kChunkFull);
  EXPECT_EQ(log_.chunk_bytes(), small_options().chunk_bytes_max);
  EXPECT_EQ(log_.close_chunk().bytes.size(), small_options().chunk_bytes_max);
}

TEST_F(SegmentLogTest, FitsNothingThatOverflows) {
  open();
  EXPECT_FALSE(log_.fits(~std::size_t{0}));
  EXPECT_FALSE(log_.fits(~std::size_t{0} - 200));
}

TEST_F(SegmentLogTest, ASegmentWithLessRoomThanAChunkMayNeedIsLeft) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(durable_chunk().epoch, Epoch(1));
  open();  // 12 blocks: header, 3 chunks of 3, and 2 blocks that no chunk is sure to fit in
  EXPECT_EQ(hard_state().epoch, Epoch(2));
  EXPECT_EQ(log_.close_chunk().offset, kBlockBytes);
}

TEST_F(SegmentLogTest, ARolloverWithoutAPreparedSegmentWaits) {
  for (int i = 0; i < 3; ++i) durable_chunk();  // nobody does the steps meanwhile
  EXPECT_EQ(log_.open_chunk(buffer_.span()).error(), Errc::kNoSegment);
  EXPECT_FALSE(log_.chunk_open());
  EXPECT_EQ(log_.last_seq(), ChunkSeq(3));
  run_steps(log_);
  EXPECT_EQ(durable_chunk().epoch, Epoch(2));
}

// S38
TEST_F(SegmentLogTest, S38_OnlyTheContiguousPrefixOfWritesCounts) {
  DirtyBuffer buffers[4] = {DirtyBuffer(3 * kBlockBytes), DirtyBuffer(3 * kBlockBytes),
                            DirtyBuffer(3 * kBlockBytes), DirtyBuffer(3 * kBlockBytes)};
  for (DirtyBuffer& buffer : buffers) {
    ASSERT_TRUE(log_.open_chunk(buffer.span()));
    hard_state();
    (void)log_.close_chunk();
  }
  log_.on_written(ChunkSeq(2));
  log_.on_written(ChunkSeq(4));
  EXPECT_EQ(log_.written_seq(), ChunkSeq(0));
  log_.on_written(ChunkSeq(1));
  EXPECT_EQ(log_.written_seq(), ChunkSeq(2));
  log_.on_written(ChunkSeq(3));
  EXPECT_EQ(log_.written_seq(), ChunkSeq(4));
}

TEST_F(SegmentLogTest, ChunksCarryWhatIsKnownDurableWhenTheyAreClosed) {
  durable_chunk();
  EXPECT_EQ(log_.marked_seq(), ChunkSeq(0));
  EXPECT_EQ(log_.durable_seq(), ChunkSeq(1));
  durable_mark();
  EXPECT_EQ(log_.marked_seq(), ChunkSeq(1));
}

TEST_F(SegmentLogTest, TheOldestSegmentIsTheOneWithTheOldestLiveRecord) {
  const Location first = durable_chunk();
  EXPECT_EQ(log_.oldest_epoch(), Epoch(1));
  for (int i = 0; i < 2; ++i) log_.release(durable_chunk().epoch, RecordKind::kBatch);
  const Location other = durable_chunk();
  EXPECT_EQ(other.epoch, Epoch(2));
  EXPECT_EQ(log_.oldest_epoch(), Epoch(1));
  log_.release(first.epoch, RecordKind::kBatch);
  EXPECT_EQ(log_.oldest_epoch(), Epoch(2));
}

TEST_F(SegmentLogTest, ASegmentIsRetiredOnlyWhenADurableChunkSaysThatItIsNotNeeded) {
  std::vector<Location> old;
  for (int i = 0; i < 3; ++i) old.push_back(durable_chunk());
  durable_chunk();
  run_steps(log_);
  for (const Location& at : old) log_.release(at.epoch, RecordKind::kBatch);
  EXPECT_FALSE(log_.next_step());  // nobody has written it down yet
  open();
  const ChunkWrite statement = log_.close_chunk();
  EXPECT_FALSE(log_.next_step());  // on its way
  log_.on_written(statement.seq);
  EXPECT_FALSE(log_.next_step());  // written, but a power failure may take it
  log_.on_durable(statement.seq);
  const auto step = log_.next_step();
  ASSERT_TRUE(step);
  EXPECT_EQ(step->kind, Kind::kRename);
  EXPECT_EQ(step->name, SegmentLog::segment_name(Epoch(1)));
  log_.step_done();
  EXPECT_EQ(log_.next_step()->kind, Kind::kSyncDirectory);
  log_.step_done();
  EXPECT_FALSE(log_.next_step());
}

TEST_F(SegmentLogTest, SegmentsAreRetiredFromTheFrontOnly) {
  const Location first = durable_chunk();
  for (int i = 0; i < 2; ++i) log_.release(durable_chunk().epoch, RecordKind::kBatch);
  for (int i = 0; i < 3; ++i) log_.release(durable_chunk().epoch, RecordKind::kBatch);
  run_steps(log_);
  const Location newest = durable_chunk();
  EXPECT_EQ(newest.epoch, Epoch(3));
  durable_mark();
  while (const auto step = log_.next_step()) {
    EXPECT_NE(step->name, SegmentLog::segment_name(Epoch(2)));  // empty, but behind a live one
    log_.step_done();
  }
  log_.release(first.epoch, RecordKind::kBatch);
  durable_mark();
  std::vector<std::string> gone;
  while (const auto step = log_.next_step()) {
    if (step->name.ends_with(".segment")) gone.push_back(step->name);
    log_.step_done();
  }
  EXPECT_EQ(gone, (std::vector<std::string>{SegmentLog::segment_name(Epoch(1)),
                                            SegmentLog::segment_name(Epoch(2))}));
}

TEST_F(SegmentLogTest, SaysWhichSegmentsAreHeldByAFewSmallRecordsOnly) {
  open();
  const Location state = hard_state();
  write(log_.close_chunk());
  EXPECT_FALSE(log_.blocked_by_states());  // the active segment needs no help
  for (int i = 0; i < 2; ++i) log_.release(durable_chunk().epoch, RecordKind::kBatch);
  const Location held = durable_chunk();
  while (held.epoch == Epoch(1) && durable_chunk().epoch == Epoch(1)) {
  }
  EXPECT_FALSE(log_.blocked_by_states());  // a batch is there, too
  log_.release(held.epoch, RecordKind::kBatch);
  EXPECT_EQ(log_.blocked_by_states(), state.epoch);

  open();
  hard_state();
  log_.release(state.epoch, RecordKind::kHardState);
  write(log_.close_chunk());
  EXPECT_FALSE(log_.blocked_by_states());
  const auto step = log_.next_step();
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->kind == Kind::kRename || step->kind == Kind::kCreate);
}

// S56: nothing that a peer says counts before it is certain who it is.
TEST_F(SegmentLogTest, S56_APeerIsMadeDurableAtOnce) {
  open();
  const auto at = log_.append_peer({NodeId(2), DirectoryId{7, 8}});
  ASSERT_TRUE(at);
  EXPECT_EQ(at->size_bytes, 24u);
  EXPECT_TRUE(log_.close_chunk().durable_at_once);
  open();
  EXPECT_FALSE(log_.close_chunk().durable_at_once);
}

TEST_F(SegmentLogTest, S56_APeerHoldsItsSegmentUntilItIsWrittenAgain) {
  open();
  const auto peer = log_.append_peer({NodeId(2), DirectoryId{7, 8}});
  ASSERT_TRUE(peer);
  write(log_.close_chunk());
  while (log_.blocked_by_states() != peer->epoch) {
    log_.release(durable_chunk().epoch, RecordKind::kBatch);
    ASSERT_LT(log_.last_seq(), ChunkSeq(10));
  }
  EXPECT_EQ(log_.oldest_epoch(), peer->epoch);

  open();
  const auto again = log_.append_peer({NodeId(2), DirectoryId{7, 8}});
  ASSERT_TRUE(again);
  log_.release(peer->epoch, RecordKind::kPeer);
  EXPECT_EQ(log_.oldest_epoch(), again->epoch);
  EXPECT_FALSE(log_.blocked_by_states());
  write(log_.close_chunk());
  const auto step = log_.next_step();
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->kind == Kind::kRename || step->kind == Kind::kCreate);
}

// After a restart: what was only read is made durable before anything is built on it.
TEST_F(SegmentLogTest, FoundChunksAreSyncedBeforeTheFirstNewChunk) {
  const SegmentInfo one{.epoch = Epoch(1), .first_seq = ChunkSeq(1), .live_batches = 1};
  const SegmentInfo two{.epoch = Epoch(2), .first_seq = ChunkSeq(5), .live_batches = 1};
  const SegmentInfo three{.epoch = Epoch(3), .first_seq = ChunkSeq(9), .live_batches = 1};
  const SegmentInfo empty{.epoch = Epoch(4)};
  SegmentLog log(small_options(), {.last_seq = ChunkSeq(11),
                                   .last_chunk_checksum = 99,
                                   .durable_seq = ChunkSeq(6),
                                   .oldest_epoch = Epoch(1),
                                   .last_epoch = Epoch(4),
                                   .segments = {one, two, three, empty}});
  EXPECT_EQ(log.last_seq(), ChunkSeq(11));
  EXPECT_EQ(log.durable_seq(), ChunkSeq(6));
  // First the names, which a killed process may have left in memory alone (S33).
  const auto names = log.next_step();
  ASSERT_TRUE(names);
  EXPECT_EQ(names->kind, Kind::kSyncDirectory);
  log.step_done();
  std::vector<std::string> synced;
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(log.open_chunk(buffer_.span()));
    const auto step = log.next_step();
    ASSERT_TRUE(step);
    EXPECT_EQ(step->kind, Kind::kSyncFile);
    synced.push_back(step->name);
    EXPECT_EQ(log.durable_seq(), ChunkSeq(6));
    log.step_done();
  }
  EXPECT_EQ(synced, (std::vector<std::string>{SegmentLog::segment_name(Epoch(2)),
                                              SegmentLog::segment_name(Epoch(3))}));
  EXPECT_EQ(log.durable_seq(), ChunkSeq(11));
  run_steps(log);
  ASSERT_TRUE(log.open_chunk(buffer_.span()));
  const ChunkWrite chunk = log.close_chunk();
  EXPECT_EQ(chunk.seq, ChunkSeq(12));
  EXPECT_EQ(chunk.epoch, Epoch(5));
  const auto& header = *reinterpret_cast<const ChunkHeader*>(chunk.bytes.data());
  EXPECT_EQ(header.previous_checksum(), 99u);
  EXPECT_EQ(header.durable_seq(), 11u);
}

// A killed process's last writes may arrive late: where they go, nothing new is ever written.
TEST_F(SegmentLogTest, FoundSegmentsFromTheLastLiveOneOnAreUnlinkedNotReused) {
  const std::uint64_t bytes = small_options().segment_bytes;
  const SegmentInfo one{.epoch = Epoch(1), .first_seq = ChunkSeq(1), .file_bytes = bytes};
  const SegmentInfo two{.epoch = Epoch(2), .first_seq = ChunkSeq(5), .file_bytes = bytes};
  const SegmentInfo three{.epoch = Epoch(3), .file_bytes = bytes};
  SegmentLog log(small_options(), {.last_seq = ChunkSeq(6),
                                   .last_chunk_checksum = 99,
                                   .durable_seq = ChunkSeq(5),
                                   .oldest_epoch = Epoch(1),
                                   .last_epoch = Epoch(3),
                                   .segments = {one, two, three}});
  run_steps(log);
  ASSERT_TRUE(log.open_chunk(buffer_.span()));
  const ChunkWrite chunk = log.close_chunk();
  log.on_written(chunk.seq);
  log.on_durable(chunk.seq);
  std::vector<std::pair<Kind, std::string>> ends;
  while (const auto step = log.next_step()) {
    if (step->name.ends_with(".segment")) ends.emplace_back(step->kind, step->name);
    log.step_done();
  }
  EXPECT_EQ(ends, (std::vector<std::pair<Kind, std::string>>{
                      {Kind::kRename, SegmentLog::segment_name(Epoch(1))},
                      {Kind::kUnlink, SegmentLog::segment_name(Epoch(2))},
                      {Kind::kUnlink, SegmentLog::segment_name(Epoch(3))}}));
}

}  // namespace
}  // namespace sluice::segments::test
