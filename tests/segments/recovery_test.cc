// What recovery makes of directories that were laid out by hand and then broken.
#include <gtest/gtest.h>

#include "segments/names.h"
#include "segments/segment_header.h"
#include "tests/segments/directory.h"

namespace sluice::segments::test {
namespace {

// The chunk of a small batch: header, one record, one descriptor.
constexpr std::uint64_t kInRecord = 200;
constexpr std::uint64_t kInDescriptor = 310;

using Arrives = Stream::Arrives;
using Chunk = Stream::Chunk;

ChunkSeq last_of(const Stream& stream) {
  const auto found = stream.recover();
  EXPECT_TRUE(found) << stream.damage();
  return found ? found->verdict.end.last_seq : ChunkSeq{};
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Recovery, AnEmptyDirectoryIsANewStream) {
  const auto verdict = judge(small_options(), {}, {});
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->end.last_seq, ChunkSeq(0));
  EXPECT_EQ(verdict->end.last_epoch, Epoch(0));
  EXPECT_FALSE(verdict->torn_tail);
}

TEST(Recovery, FindsEveryChunkOfAStreamAcrossSegments) {
  Stream stream;
  stream.roll_over();
  const Chunk last = stream.roll_over();
  const auto found = stream.recover();
  ASSERT_TRUE(found) << stream.damage();
  EXPECT_EQ(found->verdict.end.last_seq, last.seq);
  EXPECT_EQ(found->verdict.end.durable_seq, last.seq.prev());
  EXPECT_EQ(found->verdict.end.oldest_epoch, Epoch(1));
  EXPECT_EQ(found->verdict.end.last_epoch, last.epoch.next());  // one is prepared behind it
  EXPECT_FALSE(found->verdict.torn_tail);
  ASSERT_EQ(found->verdict.live.size(), 4u);
  EXPECT_EQ(found->verdict.live[1].first, found->verdict.live[0].last.next());
  EXPECT_GT(found->verdict.live[3].first, found->verdict.live[3].last);  // none
  EXPECT_EQ(found->groups.at(GroupId(7)).index.batch_count(), stream.index().batch_count());
}

TEST(Recovery, S26_ATornLastChunkIsCut) {
  for (const std::uint64_t at :
       {std::uint64_t{0}, std::uint64_t{8}, std::uint64_t{95}, kInRecord, kInDescriptor}) {
    Stream stream;
    stream.append();
    const Chunk before = stream.append();
    const Chunk torn = stream.append(100, Arrives::kLater);
    stream.land(torn);
    stream.flip(torn, at);
    const auto found = stream.recover();
    ASSERT_TRUE(found) << stream.damage();
    EXPECT_EQ(found->verdict.end.last_seq, before.seq);
    EXPECT_EQ(found->verdict.torn_tail, at != 0) << at;  // without its magic it is no chunk at all
  }
}

TEST(Recovery, S27_ZeroSectorsInsideTheLastChunkAreNoEndOfTheLog) {
  for (std::size_t sector = 0; sector < 2 * kBlockBytes / kSectorBytes; ++sector) {
    Stream stream;
    const Chunk first = stream.append();
    const Chunk big = stream.append(6000);
    EXPECT_EQ(last_of(stream), big.seq);
    stream.zero(big, sector * kSectorBytes, kSectorBytes);
    // Its records reach into the last sector but two; what is zero there is as it was.
    const bool changed = sector * kSectorBytes < 6300;
    EXPECT_EQ(last_of(stream), changed ? first.seq : big.seq) << sector;
  }
}

TEST(Recovery, S28_RotBelowTheDurableMarkIsDamageAndNamed) {
  Stream stream;
  stream.append();
  const Chunk rotten = stream.append();
  stream.append();
  stream.append();
  stream.flip(rotten, kInRecord);
  const std::string damage = stream.damage();
  EXPECT_TRUE(says(damage, rotten.file)) << damage;
  EXPECT_TRUE(says(damage, "chunk 2 at offset " + std::to_string(rotten.offset))) << damage;
}

TEST(Recovery, S28_ZerosBelowTheDurableMarkAreDamage) {
  Stream stream;
  stream.append();
  const Chunk lost = stream.append();
  stream.append();
  stream.append();
  stream.zero(lost, 0, lost.size_bytes);
  EXPECT_TRUE(says(stream.damage(), "chunk 2 is missing or damaged"));
}

TEST(Recovery, S29_AMarkDecidesBetweenRotAndATornTail) {
  Stream undecided;
  undecided.append();
  undecided.flip(undecided.append(), kInRecord);
  EXPECT_EQ(last_of(undecided), ChunkSeq(1));  // may be torn: cut, and asked of the peers

  Stream marked;
  marked.append();
  const Chunk last = marked.append();
  marked.mark();
  marked.flip(last, kInRecord);
  EXPECT_TRUE(says(marked.damage(), "chunk 2"));
}

TEST(Recovery, S29_AHeaderWhoseRecordsAreLostStillTellsWhatIsDurable) {
  Stream stream;
  stream.append();
  const Chunk rotten = stream.append();
  const Chunk witness = stream.append();
  stream.flip(rotten, kInRecord);
  stream.flip(witness, kInRecord);  // its mark names chunk 2
  EXPECT_TRUE(says(stream.damage(), "chunk 2"));
}

TEST(Recovery, S30_OldChunksOfARecycledFileAreNotRead) {
  Stream stream;
  stream.append();
  stream.append();
  const Chunk old = stream.append();
  const MemoryDisk::Bytes old_bytes = stream.bytes_of(old);
  stream.roll_over();
  stream.trim(stream.index().batch_count());
  stream.mark();  // states that the first segment is not needed any more
  ASSERT_FALSE(stream.disk().exists(segment_name(Epoch(1))));
  stream.roll_over();
  Chunk now = stream.roll_over();
  while (now.offset < old.offset) now = stream.append();
  ASSERT_GT(now.epoch, Epoch(2));

  // The newest chunk never arrived: what the file held there before is the old chunk.
  stream.write(now.file, now.offset, old_bytes);
  const auto found = stream.recover();
  ASSERT_TRUE(found) << stream.damage();
  EXPECT_EQ(found->verdict.end.last_seq, now.seq.prev());
  EXPECT_FALSE(found->verdict.torn_tail);
}

TEST(Recovery, S31_ALostWriteInTheMiddleOfTheTailCutsWhatIsBehindIt) {
  Stream stream;
  const Chunk before = stream.append();
  stream.append(100, Arrives::kNo);
  const Chunk behind = stream.append(100, Arrives::kLater);
  stream.land(behind);
  const auto found = stream.recover();
  ASSERT_TRUE(found) << stream.damage();
  EXPECT_EQ(found->verdict.end.last_seq, before.seq);
  EXPECT_TRUE(found->verdict.torn_tail);
  EXPECT_EQ(found->groups.at(GroupId(7)).index.batch_count(), 1u);
}

TEST(Recovery, S32_AHoleAcrossARolloverCutsTheNextSegmentToo) {
  Stream stream;
  Chunk chunk = stream.append();
  while (chunk.offset + 2 * chunk.size_bytes + stream.options().chunk_bytes_max <=
         stream.options().segment_bytes) {
    chunk = stream.append();
  }
  const Chunk lost = stream.append(100, Arrives::kNo);
  const Chunk next = stream.append(100, Arrives::kLater);
  ASSERT_EQ(lost.epoch, Epoch(1));
  ASSERT_EQ(next.epoch, Epoch(2));
  stream.land(next);
  const auto found = stream.recover();
  ASSERT_TRUE(found) << stream.damage();
  EXPECT_EQ(found->verdict.end.last_seq, chunk.seq);
  EXPECT_TRUE(found->verdict.torn_tail);
}

TEST(Recovery, AfterACutTheStreamGoesOnInANewSegmentAndTheOldTailStaysDead) {
  Stream stream;
  const Chunk kept = stream.append();
  const Chunk lost = stream.append(100, Arrives::kLater);
  const Chunk behind = stream.append(200, Arrives::kLater);
  stream.land(behind);
  stream.restart();
  const Chunk fresh = stream.append(50);
  EXPECT_EQ(fresh.seq, kept.seq.next());
  EXPECT_EQ(fresh.offset, kBlockBytes);
  EXPECT_GT(fresh.epoch, behind.epoch);
  stream.land(lost);  // what the killed process had submitted arrives after all
  const auto found = stream.recover();
  ASSERT_TRUE(found) << stream.damage();
  EXPECT_EQ(found->verdict.end.last_seq, fresh.seq);
  EXPECT_EQ(found->groups.at(GroupId(7)).index.batch(1).location.epoch, fresh.epoch);
}

// Two cuts, a chunk that arrives late, and segments that nobody is to follow.
TEST(Recovery, TheWayBackGoesByLinksAndPassesSegmentsOfDeadBranches) {
  Stream stream;
  const Chunk one = stream.append();
  const Chunk two = stream.append(100, Arrives::kLater);
  stream.restart();  // found only chunk 1
  const Chunk other_two = stream.append(50, Arrives::kLater);
  ASSERT_EQ(other_two.seq, two.seq);
  stream.land(two);  // the first process's
  stream.restart();  // finds chunks 1 and 2, for the second process's chunk 2 never arrived
  EXPECT_EQ(stream.index().batch_count(), 2u);
  const Chunk three = stream.append();
  EXPECT_EQ(three.seq, ChunkSeq(3));
  stream.land(other_two);
  const auto found = stream.recover();
  ASSERT_TRUE(found) << stream.damage();
  EXPECT_EQ(found->verdict.end.last_seq, three.seq);
  const auto& index = found->groups.at(GroupId(7)).index;
  ASSERT_EQ(index.batch_count(), 3u);
  EXPECT_EQ(index.batch(1).location.epoch, one.epoch);
}

// The numbers of chunks are given again after a cut: a mark means the chunks of its own writer.
TEST(Recovery, ADurableMarkIsNotSatisfiedByADeadChunkOfTheSameNumber) {
  Stream stream;
  stream.append();
  const Chunk old_two = stream.append(100, Arrives::kLater);
  const Chunk old_three = stream.append(100, Arrives::kLater);
  stream.restart();
  const Chunk two = stream.append(50);
  stream.append(50);  // counts chunk 2 as durable
  stream.land(old_two);
  stream.land(old_three);
  EXPECT_EQ(last_of(stream), ChunkSeq(3));
  stream.flip(two, kInRecord);  // now the old chunks look like a whole stream of three
  EXPECT_TRUE(says(stream.damage(), "is not in the stream that was found")) << stream.damage();
}

// No crash does this; two processes in one directory might. Right checksums do not make a stream.
TEST(Recovery, AChunkThatDoesNotLinkToTheOneBeforeItIsNotInItsRun) {
  Stream stream;
  const Chunk one = stream.append();
  const Chunk two = stream.append();
  EXPECT_EQ(last_of(stream), two.seq);
  AlignedFile bytes(stream.bytes_of(two));
  auto& header = *reinterpret_cast<ChunkHeader*>(bytes.span().data());
  header.mutate_previous_checksum(header.previous_checksum() + 1);
  header.mutate_checksum(header_checksum(
      bytes.span().first(kChunkHeaderBytes), 8,
      bytes.span().subspan(kChunkHeaderBytes + header.records_bytes(), kDescriptorBytes)));
  stream.write(two.file, two.offset, bytes.span());
  EXPECT_EQ(last_of(stream), one.seq);
  EXPECT_TRUE(stream.recover()->verdict.torn_tail);
}

// The same where the dead chunk needs nothing before it: all that was alive was trimmed in it.
TEST(Recovery, ADurableMarkIsNotSatisfiedByADeadChunkThatBeginsAStream) {
  Stream stream;
  Chunk chunk = stream.append();
  while (chunk.offset + 2 * chunk.size_bytes + stream.options().chunk_bytes_max <=
         stream.options().segment_bytes) {
    chunk = stream.append();
  }
  stream.append(100, Arrives::kNo);
  const Chunk dead = stream.trim(stream.index().batch_count(), Arrives::kLater);
  ASSERT_EQ(dead.epoch, Epoch(2));
  stream.restart();
  const Chunk fresh = stream.append(50);
  ASSERT_EQ(fresh.seq, dead.seq.prev());
  stream.append(50);  // counts the one before as durable
  stream.land(dead);
  EXPECT_EQ(last_of(stream), dead.seq);
  EXPECT_EQ(stream.recover()->groups.at(GroupId(7)).index.last_index(),
            stream.index().last_index());
  stream.flip(fresh, kInRecord);
  EXPECT_TRUE(says(stream.damage(), "is not in the stream that was found")) << stream.damage();
}

TEST(Recovery, S33_S34_AMissingSegmentIsDamage) {
  Stream stream;
  stream.roll_over();
  stream.roll_over();
  for (const Epoch epoch : {Epoch(1), Epoch(2), Epoch(3)}) {
    Stream broken = Stream();
    broken.roll_over();
    broken.roll_over();
    broken.disk().unlink(segment_name(epoch));
    EXPECT_TRUE(says(broken.damage(), segment_name(epoch))) << broken.damage();
  }
  stream.disk().unlink(segment_name(Epoch(4)));  // prepared and never used: nothing is lost
  EXPECT_EQ(stream.damage(), "");
}

TEST(Recovery, S34_AnEmptyPreparedSegmentIsNoEndOfTheStream) {
  Stream stream;
  const Chunk chunk = stream.append();
  for (int i = 0; i < 3; ++i) stream.restart();
  EXPECT_EQ(last_of(stream), chunk.seq);
  EXPECT_EQ(stream.append().seq, chunk.seq.next());
  EXPECT_EQ(last_of(stream), chunk.seq.next());
}

TEST(Recovery, ASegmentWithABadHeaderIsDamageUnlessItIsNotNeeded) {
  Stream stream;
  stream.roll_over();
  stream.disk().flip(segment_name(Epoch(1)), 40, std::byte{1});
  EXPECT_TRUE(says(stream.damage(), "header is damaged (bad_checksum)")) << stream.damage();

  Stream retired;
  retired.roll_over();
  const auto old = retired.disk().read(segment_name(Epoch(1)));
  retired.trim(retired.index().batch_count());
  retired.mark();
  ASSERT_FALSE(retired.disk().exists(segment_name(Epoch(1))));
  retired.disk().create(segment_name(Epoch(1)));  // a retirement that a crash cut short, and rot
  retired.write(segment_name(Epoch(1)), 0, old);
  retired.disk().flip(segment_name(Epoch(1)), 40, std::byte{1});
  const auto found = retired.recover();
  ASSERT_TRUE(found) << retired.damage();
  EXPECT_EQ(found->verdict.live.front().epoch, Epoch(2));
  retired.restart();
  retired.append();
  EXPECT_FALSE(retired.disk().exists(segment_name(Epoch(1))));  // retired for good
}

TEST(Recovery, AFileOfAnotherLengthThanItWasMadeIsDamage) {
  for (const std::int64_t change : {-4096, -1, +4096}) {
    Stream stream;
    stream.append();
    const std::string name = segment_name(Epoch(1));
    auto bytes = stream.disk().read(name);
    bytes.resize(static_cast<std::size_t>(static_cast<std::int64_t>(bytes.size()) + change));
    stream.disk().unlink(name);
    stream.disk().create(name);
    stream.write(name, 0, bytes);
    EXPECT_TRUE(says(stream.damage(), "bad_size")) << stream.damage();
  }
}

TEST(Recovery, SegmentsOfAnotherSizeAreReadAfterTheOptionChanged) {
  Stream stream;
  const Chunk chunk = stream.append();
  Options options = stream.options();
  options.segment_bytes *= 2;
  const auto found = recover_directory(options, stream.disk());
  ASSERT_TRUE(found) << found.error().front().what;
  EXPECT_EQ(found->verdict.end.last_seq, chunk.seq);
}

TEST(Recovery, S40_AChunkThatWasWrittenToAnotherPlaceIsRefused) {
  Stream stream;
  stream.append();
  const Chunk there = stream.append();
  const Chunk misdirected = stream.append();
  stream.write(there.file, there.offset, stream.bytes_of(misdirected));
  EXPECT_TRUE(says(stream.damage(), "chunk 2")) << stream.damage();

  Stream other_file;
  const Chunk first = other_file.append();
  const Chunk second = other_file.roll_over();
  other_file.append();
  ASSERT_EQ(first.offset, second.offset);
  other_file.write(second.file, second.offset, other_file.bytes_of(first));
  EXPECT_NE(other_file.damage(), "");
}

TEST(Recovery, S40_ChunksAndSegmentsOfAnotherShardDirectoryOrClusterAreRefused) {
  const auto spoil = [](Options& options, int what) {
    if (what == 0) options.shard = ShardId(4);
    if (what == 1) options.directory.low ^= 1;
    if (what == 2) options.cluster = cluster_id_of("another");
  };
  for (int what = 0; what < 3; ++what) {
    Stream stream;
    stream.append();
    Options options = stream.options();
    spoil(options, what);
    const auto found = recover_directory(options, stream.disk());
    ASSERT_FALSE(found);
    EXPECT_TRUE(says(found.error().front().what, "wrong_identity")) << found.error().front().what;
  }
}

TEST(Recovery, AnUnknownVersionIsRefusedByName) {
  Stream stream;
  stream.append();
  stream.disk().flip(segment_name(Epoch(1)), 4, std::byte{3});
  EXPECT_TRUE(says(stream.damage(), "bad_version")) << stream.damage();
}

TEST(Recovery, S41_OnlyNamesOfItsOwnAreEverTouched) {
  Options options = small_options();
  const std::uint64_t whole = options.segment_bytes;
  const auto verdict = judge(options, {},
                             {{"spare-3", whole},
                              {"spare-4", whole - 4096},
                              {"spare-5.tmp", whole},
                              {"spare-6", whole},
                              {"spare-7", whole},
                              {"spare-07", whole},
                              {"spare-", 1},
                              {"notes.txt", 1},
                              {"1.segment", whole},
                              {"000000000000000A.segment", whole},
                              {"0000000000000001.segment.bak", whole},
                              {"identity", 10}});
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->end.spares, (std::vector<std::string>{"spare-3", "spare-6"}));
  EXPECT_EQ(verdict->end.rubbish, (std::vector<std::string>{"spare-4", "spare-5.tmp", "spare-7"}));
}

TEST(Recovery, TheFirstChunkOfANewStreamMayBeTorn) {
  Stream stream;
  const Chunk chunk = stream.append(100, Arrives::kLater);
  stream.land(chunk);
  stream.flip(chunk, kInRecord);
  EXPECT_EQ(last_of(stream), ChunkSeq(0));
  stream.restart();
  EXPECT_EQ(stream.append().seq, ChunkSeq(1));
  EXPECT_EQ(last_of(stream), ChunkSeq(1));
}

TEST(Recovery, AStreamWithoutItsBeginningIsDamage) {
  Stream stream;
  stream.roll_over();
  stream.disk().unlink(segment_name(Epoch(1)));
  EXPECT_NE(stream.damage(), "");
  stream.disk().unlink(segment_name(Epoch(2)));
  EXPECT_TRUE(says(stream.damage(), "file is missing"));
}

TEST(Recovery, ReportsRecordsWithTheirPlacesInOrder) {
  Stream stream;
  const Chunk first = stream.append();
  const Chunk second = stream.append(6000);
  AlignedFile file(stream.disk().read(first.file));
  std::vector<Location> places;
  const SegmentScan scan =
      scan_segment(stream.options(), first.file, file.span(),
                   [&](const FoundChunk& chunk, const Record& record) {
                     EXPECT_EQ(chunk.seq, record.location.seq);
                     EXPECT_EQ(record.kind, RecordKind::kBatch);
                     EXPECT_EQ(record.bytes.data(), file.span().data() + record.location.offset);
                     places.push_back(record.location);
                   });
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].offset, first.offset + kChunkHeaderBytes);
  EXPECT_EQ(places[1].offset, second.offset + kChunkHeaderBytes);
  EXPECT_EQ(scan.header, Errc::kOk);
  EXPECT_EQ(scan.run_count, 2u);
  EXPECT_EQ(scan.end_offset, second.offset + second.size_bytes);
  EXPECT_FALSE(scan.dirty_end);
}

}  // namespace
}  // namespace sluice::segments::test
