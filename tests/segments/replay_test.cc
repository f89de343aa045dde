// The state of a group out of its records: truncations without records of their own, trims, dead
// batches whose predecessors are gone.
#include "segments/replay.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/segments/samples.h"

namespace sluice::segments::test {
namespace {

constexpr GroupId kGroup{4};

/// Records of one group, one chunk each, in segments as told.
class ReplayTest : public testing::Test {
 protected:
  ReplayTest() {
    for (std::uint64_t e = 1; e <= 5; ++e) {
      verdict_.live.push_back({Epoch(e), ChunkSeq(1), ChunkSeq(1000), Epoch(1)});
      verdict_.end.segments.push_back({.epoch = Epoch(e)});
    }
  }

  Location next_place(std::uint64_t epoch) { return {ChunkSeq(++seq_), Epoch(epoch), 4096, 128}; }
  /// A batch of two entries.
  BatchView batch(std::uint64_t epoch, std::uint64_t first, std::uint64_t term,
                  std::uint64_t previous) {
    const BatchView view = batches_
                               .emplace_back(BatchSpec{.group = kGroup,
                                                       .term = Term(term),
                                                       .first_index = Index(first),
                                                       .previous_checksum = previous,
                                                       .entries = {"a", "b"},
                                                       .producer = ProducerId(first),
                                                       .first_sequence = Sequence(term)})
                               .view();
    replay_.add({RecordKind::kBatch, kGroup, next_place(epoch), view.bytes()});
    return view;
  }
  void trim(std::uint64_t epoch, const TrimPoint& point) {
    const TrimRecord record(point.prev_index.value(), point.prev_term.value(), point.prev_checksum);
    replay_.add(
        {RecordKind::kTrim, kGroup, next_place(epoch), std::as_bytes(std::span(&record, 1))});
  }
  void hard_state(std::uint64_t epoch, std::uint64_t term, std::uint32_t vote) {
    const HardStateRecord record(term, vote, 0);
    replay_.add(
        {RecordKind::kHardState, kGroup, next_place(epoch), std::as_bytes(std::span(&record, 1))});
  }
  void piece(std::uint64_t epoch, char content) {
    const std::vector<std::byte> bytes(8, static_cast<std::byte>(content));
    replay_.add({RecordKind::kProducers, kGroup, next_place(epoch), bytes});
  }
  void peer(std::uint64_t epoch, std::uint32_t node, std::uint64_t directory) {
    const PeerRecord record(1, directory, node, 0);
    replay_.add(
        {RecordKind::kPeer, GroupId{}, next_place(epoch), std::as_bytes(std::span(&record, 1))});
  }
  std::optional<GroupState> finish() {
    auto groups = replay_.finish(verdict_);
    if (!groups) return std::nullopt;
    return std::move(groups->at(kGroup));
  }
  static TrimPoint end_of(BatchView batch) {
    return {batch.last_index(), batch.term(), batch.header_checksum()};
  }

  Replay replay_;
  Verdict verdict_;
  std::deque<SealedBatch> batches_;
  std::uint64_t seq_ = 0;
};

TEST_F(ReplayTest, PutsBatchesTogetherAndCountsThem) {
  const auto one = batch(1, 1, 1, 0);
  const auto two = batch(2, 3, 1, one.header_checksum());
  hard_state(2, 1, 2);
  hard_state(3, 4, 1);
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.last_index(), Index(4));
  EXPECT_EQ(group->index.last_checksum(), two.header_checksum());
  EXPECT_EQ(group->hard_state, (HardState{Term(4), NodeId(1)}));
  EXPECT_EQ(group->hard_state_at->epoch, Epoch(3));
  ASSERT_EQ(group->batches.size(), 2u);
  EXPECT_EQ(group->batches[1].producer, ProducerId(3));
  EXPECT_EQ(verdict_.end.segments[0].live_batches, 1u);
  EXPECT_EQ(verdict_.end.segments[1].live_batches, 1u);
  EXPECT_EQ(verdict_.end.segments[1].live_others, 0u);  // replaced
  EXPECT_EQ(verdict_.end.segments[2].live_others, 1u);
}

TEST_F(ReplayTest, OrderIsThatOfTheStreamNotOfTheScans) {
  const auto one = batch(2, 1, 1, 0);
  batch(3, 3, 1, one.header_checksum());
  hard_state(5, 9, 1);
  hard_state(4, 8, 1);  // scanned later, written earlier
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->hard_state.term, Term(9));
}

// Raft §5.3: the batch that replaces is the record of the truncation.
TEST_F(ReplayTest, ABatchCutsWhatItBeginsBefore) {
  const auto one = batch(1, 1, 1, 0);
  const auto two = batch(1, 3, 1, one.header_checksum());
  batch(2, 5, 1, two.header_checksum());
  const auto other = batch(3, 3, 2, one.header_checksum());
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.batch_count(), 2u);
  EXPECT_EQ(group->index.last_checksum(), other.header_checksum());
  EXPECT_EQ(group->batches.back().first_sequence, Sequence(2));
}

TEST_F(ReplayTest, RecordsOutsideTheLiveChunksDoNotCount) {
  const auto one = batch(1, 1, 1, 0);
  batch(1, 3, 1, one.header_checksum());  // chunk 2, cut by a recovery
  batch(2, 3, 2, one.header_checksum());
  verdict_.live[0].last = ChunkSeq(1);
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.last_term(), Term(2));
  EXPECT_EQ(group->index.batch_count(), 2u);
}

TEST_F(ReplayTest, TheLogBeginsBehindTheNewestTrim) {
  const auto one = batch(1, 1, 1, 0);
  const auto two = batch(1, 3, 1, one.header_checksum());
  batch(2, 5, 1, two.header_checksum());
  trim(2, end_of(one));
  trim(3, end_of(two));
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.first_index(), Index(5));
  EXPECT_EQ(group->index.start(), end_of(two));
  EXPECT_EQ(group->batches.size(), 1u);
  EXPECT_EQ(verdict_.end.segments[0].live_batches, 0u);
  EXPECT_EQ(verdict_.end.segments[1].live_others, 0u);
  EXPECT_EQ(verdict_.end.segments[2].live_others, 1u);
}

TEST_F(ReplayTest, ALogTrimmedToItsEndKnowsWhereItGoesOn) {
  const auto one = batch(1, 1, 3, 0);
  trim(2, end_of(one));
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.batch_count(), 0u);
  EXPECT_EQ(group->index.last_index(), Index(2));
  EXPECT_EQ(group->index.last_term(), Term(3));
  EXPECT_EQ(group->index.last_checksum(), one.header_checksum());
}

TEST_F(ReplayTest, TrimmedBatchesMayBeGoneAndTheTermBeforeTheLogComesFromTheTrim) {
  const SealedBatch gone(
      {.group = kGroup, .term = Term(3), .first_index = Index(1), .entries = {"a", "b"}});
  batch(2, 3, 4, gone.view().header_checksum());
  trim(3, end_of(gone.view()));
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.start().prev_term, Term(3));
  EXPECT_EQ(group->index.batch_count(), 1u);
}

// The first truncated batch lay in a retired segment; what followed it is still there.
TEST_F(ReplayTest, DeadBatchesWithoutTheirPredecessorAreReplaced) {
  const SealedBatch trimmed(
      {.group = kGroup, .term = Term(1), .first_index = Index(1), .entries = {"a", "b"}});
  const SealedBatch dead({.group = kGroup,
                          .term = Term(1),
                          .first_index = Index(3),
                          .previous_checksum = trimmed.view().header_checksum(),
                          .entries = {"a", "b"}});
  trim(1, end_of(trimmed.view()));
  batch(2, 5, 1, dead.view().header_checksum());  // dead as well
  const auto fresh = batch(3, 3, 2, trimmed.view().header_checksum());
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->index.batch_count(), 1u);
  EXPECT_EQ(group->index.last_checksum(), fresh.header_checksum());
}

TEST_F(ReplayTest, AMissingBatchIsDamage) {
  const auto one = batch(1, 1, 1, 0);
  const SealedBatch lost({.group = kGroup,
                          .term = Term(1),
                          .first_index = Index(3),
                          .previous_checksum = one.header_checksum()});
  batch(2, 4, 1, lost.view().header_checksum());
  const auto groups = replay_.finish(verdict_);
  ASSERT_FALSE(groups);
  EXPECT_NE(groups.error().front().what.find("group 4"), std::string::npos);
}

TEST_F(ReplayTest, ABatchThatDoesNotLinkIsDamage) {
  const auto one = batch(1, 1, 1, 0);
  batch(2, 3, 1, one.header_checksum() + 1);
  EXPECT_FALSE(replay_.finish(verdict_));
}

TEST_F(ReplayTest, ATrimThatDoesNotFitTheLogIsDamage) {
  const auto one = batch(1, 1, 1, 0);
  batch(1, 3, 1, one.header_checksum());
  TrimPoint point = end_of(one);
  point.prev_checksum += 1;
  trim(2, point);
  EXPECT_FALSE(replay_.finish(verdict_));
}

TEST_F(ReplayTest, ASnapshotIsThePiecesBeforeItsTrim) {
  const auto one = batch(1, 1, 1, 0);
  piece(1, 'a');
  trim(1, {});
  piece(2, 'b');
  piece(2, 'c');
  trim(3, end_of(one));
  piece(3, 'd');  // half a snapshot: its trim never came
  const auto group = finish();
  ASSERT_TRUE(group);
  ASSERT_EQ(group->producers.size(), 2u);
  EXPECT_EQ(group->producers[0].bytes[0], std::byte{'b'});
  EXPECT_EQ(group->producers[1].bytes[0], std::byte{'c'});
  EXPECT_EQ(verdict_.end.segments[1].live_others, 2u);
  EXPECT_EQ(verdict_.end.segments[2].live_others, 1u);
}

TEST_F(ReplayTest, HalfASnapshotOfAProcessThatDiedIsNotTakenForPartOfTheNext) {
  const auto one = batch(1, 1, 1, 0);
  piece(1, 'a');
  verdict_.live[1].writer = Epoch(2);  // a new process from the second segment on
  for (std::size_t i = 2; i < 5; ++i) verdict_.live[i].writer = Epoch(2);
  piece(2, 'b');
  trim(2, end_of(one));
  const auto group = finish();
  ASSERT_TRUE(group);
  ASSERT_EQ(group->producers.size(), 1u);
  EXPECT_EQ(group->producers[0].bytes[0], std::byte{'b'});
}

// S56
TEST_F(ReplayTest, S56_TheNewestRecordOfAPeerCountsAndIsOfNoGroup) {
  peer(1, 2, 20);
  peer(1, 3, 30);
  peer(3, 2, 21);
  peer(2, 2, 22);  // scanned later, written earlier
  const auto groups = replay_.finish(verdict_);
  ASSERT_TRUE(groups);
  EXPECT_TRUE(groups->empty());
  ASSERT_EQ(replay_.peers().size(), 2u);
  EXPECT_EQ(replay_.peers().at(NodeId(2)).directory, (DirectoryId{1, 21}));
  EXPECT_EQ(replay_.peers().at(NodeId(2)).at.epoch, Epoch(3));
  EXPECT_EQ(replay_.peers().at(NodeId(3)).directory, (DirectoryId{1, 30}));
  EXPECT_EQ(verdict_.end.segments[0].live_others, 1u);
  EXPECT_EQ(verdict_.end.segments[1].live_others, 0u);  // replaced
  EXPECT_EQ(verdict_.end.segments[2].live_others, 1u);
}

TEST_F(ReplayTest, S56_APeerInADeadChunkWasNeverMet) {
  peer(1, 2, 20);
  peer(1, 2, 21);  // chunk 2, cut by a recovery
  verdict_.live[0].last = ChunkSeq(1);
  ASSERT_TRUE(replay_.finish(verdict_));
  EXPECT_EQ(replay_.peers().at(NodeId(2)).directory, (DirectoryId{1, 20}));
  EXPECT_EQ(verdict_.end.segments[0].live_others, 1u);
}

TEST_F(ReplayTest, AStreamWithoutPeersKnowsNone) {
  hard_state(1, 1, 2);
  ASSERT_TRUE(finish());
  EXPECT_TRUE(replay_.peers().empty());
}

TEST_F(ReplayTest, BatchesThatAreNotDataKeepTheirBytes) {
  const SealedBatch noop({.group = kGroup,
                          .term = Term(1),
                          .first_index = Index(1),
                          .entries = {""},
                          .kind = BatchKind::kNoop});
  replay_.add({RecordKind::kBatch, kGroup, next_place(1), noop.view().bytes()});
  const auto group = finish();
  ASSERT_TRUE(group);
  EXPECT_EQ(group->batches[0].kind, BatchKind::kNoop);
  EXPECT_EQ(group->batches[0].bytes.size(), noop.view().size_bytes());
}

}  // namespace
}  // namespace sluice::segments::test
