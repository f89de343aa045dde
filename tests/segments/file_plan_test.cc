#include "segments/file_plan.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "segments/segment_header.h"
#include "tests/segments/samples.h"

namespace sluice::segments::test {
namespace {

using Kind = FileStep::Kind;

std::string text(const FileStep& step) {
  switch (step.kind) {
    case Kind::kCreate:
      return "create " + step.name;
    case Kind::kAllocate:
      return "allocate " + step.name + " " + std::to_string(step.size_bytes);
    case Kind::kZeroFill:
      return "zero " + step.name + " " + std::to_string(step.offset) + "+" +
             std::to_string(step.size_bytes);
    case Kind::kSyncFile:
      return "sync " + step.name;
    case Kind::kWriteHeader:
      return "header " + step.name;
    case Kind::kRename:
      return "rename " + step.name + " " + step.new_name;
    case Kind::kSyncDirectory:
      return "sync .";
    case Kind::kUnlink:
      return "unlink " + step.name;
  }
  return "?";
}

using Steps = std::vector<std::string>;

class FilePlanTest : public testing::Test {
 protected:
  FilePlan plan(FilePlan::Found found = {}) { return {options_, StreamBase{}, std::move(found)}; }

  /// All steps that are due, done; "!" where a segment is prepared, "=" where all is synced.
  static Steps all(FilePlan& plan) {
    Steps steps;
    while (const auto step = plan.next_step()) {
      steps.push_back(text(*step));
      switch (plan.step_done()) {
        case FilePlan::Event::kPrepared:
          steps.push_back("!");
          break;
        case FilePlan::Event::kSynced:
          steps.push_back("=");
          break;
        case FilePlan::Event::kNone:
          break;
      }
    }
    return steps;
  }

  Options options_ = small_options();
};

// S33, S34: the order is the whole safety of a rollover.
TEST_F(FilePlanTest, S33_S34_APreparedSegmentIsWholeSyncedAndNamedForGood) {
  FilePlan files = plan();
  EXPECT_EQ(all(files), Steps{});
  files.prepare(Epoch(1));
  EXPECT_EQ(all(files), (Steps{"create spare-1.tmp", "allocate spare-1.tmp 49152",
                               "zero spare-1.tmp 0+49152", "sync spare-1.tmp",
                               "rename spare-1.tmp spare-1", "header spare-1", "sync spare-1",
                               "rename spare-1 0000000000000001.segment", "sync .", "!"}));
}

TEST_F(FilePlanTest, ZerosAreWrittenInPiecesOfAMebibyte) {
  options_.segment_bytes = (2u << 20) + kBlockBytes;
  FilePlan files = plan();
  files.prepare(Epoch(1));
  const Steps steps = all(files);
  EXPECT_EQ(steps[2], "zero spare-1.tmp 0+1048576");
  EXPECT_EQ(steps[3], "zero spare-1.tmp 1048576+1048576");
  EXPECT_EQ(steps[4], "zero spare-1.tmp 2097152+4096");
  EXPECT_EQ(steps[5], "sync spare-1.tmp");
}

TEST_F(FilePlanTest, ZerosThatAreNotWaitedForAreLeftOutOfOneSpare) {
  options_.segment_bytes = 3u << 20;
  FilePlan files = plan();
  EXPECT_FALSE(files.skip_zeros());
  files.prepare(Epoch(1));
  (void)files.next_step();
  EXPECT_FALSE(files.skip_zeros());
  (void)files.step_done();
  EXPECT_EQ(text(*files.next_step()), "allocate spare-1.tmp 3145728");
  EXPECT_FALSE(files.skip_zeros()) << "nothing is allocated yet: what is not zeroed may not even be there";
  (void)files.step_done();
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 0+1048576");
  EXPECT_TRUE(files.skip_zeros());
  (void)files.step_done();
  EXPECT_EQ(all(files), (Steps{"sync spare-1.tmp", "rename spare-1.tmp spare-1", "header spare-1",
                               "sync spare-1", "rename spare-1 0000000000000001.segment", "sync .",
                               "!"}));
  files.prepare(Epoch(2));
  EXPECT_EQ(all(files)[4], "zero spare-2.tmp 2097152+1048576") << "the next one gets them all";
}

TEST_F(FilePlanTest, TheHeaderNamesEpochAndBase) {
  const StreamBase base{ChunkSeq(17), 4711, Epoch(9)};
  FilePlan files(options_, base, {});
  files.prepare(Epoch(9));
  while (files.next_step()->kind != Kind::kWriteHeader) (void)files.step_done();
  std::vector<std::byte> file(options_.segment_bytes);
  std::ranges::copy(files.header_bytes(), file.begin());
  EXPECT_EQ(read_segment_header(file, options_, Epoch(9)), base);
  EXPECT_EQ(read_segment_header(file, options_, Epoch(8)).error(), Errc::kDamaged);
}

TEST_F(FilePlanTest, AStartCleansUpThenSyncsThenPrepares) {
  FilePlan files = plan({.rubbish = {"spare-9.tmp", "spare-4"},
                         .spares = {"spare-2"},
                         .to_sync = {Epoch(5), Epoch(6)},
                         .any = true});
  files.prepare(Epoch(7));
  EXPECT_EQ(all(files), (Steps{"unlink spare-4", "unlink spare-9.tmp", "sync .",
                               "sync 0000000000000005.segment", "sync 0000000000000006.segment",
                               "=", "header spare-2", "sync spare-2",
                               "rename spare-2 0000000000000007.segment", "sync .", "!"}));
  // The unlinks may be undone by a crash until the directory is synced: their names are not reused.
  files.prepare(Epoch(8));
  EXPECT_EQ(all(files).front(), "create spare-10.tmp");
}

// S33
TEST_F(FilePlanTest, S33_NamesThatWereFoundAreSyncedBeforeANewOneIsMade) {
  FilePlan files = plan({.rubbish = {}, .spares = {"spare-2"}, .to_sync = {}, .any = true});
  files.prepare(Epoch(7));
  EXPECT_EQ(all(files), (Steps{"sync .", "header spare-2", "sync spare-2",
                               "rename spare-2 0000000000000007.segment", "sync .", "!"}));
}

TEST_F(FilePlanTest, RetiredSegmentsBecomeSparesUpToABound) {
  options_.spare_segments_max = 1;
  FilePlan files = plan();
  files.retire({.epoch = Epoch(3), .file_bytes = options_.segment_bytes});
  files.retire({.epoch = Epoch(4), .file_bytes = options_.segment_bytes});
  EXPECT_EQ(all(files), (Steps{"rename 0000000000000003.segment spare-1", "sync .",
                               "unlink 0000000000000004.segment", "sync ."}));
}

TEST_F(FilePlanTest, AFileOfAnotherSizeIsNotReused) {
  FilePlan files = plan();
  files.retire({.epoch = Epoch(3), .file_bytes = options_.segment_bytes - kBlockBytes});
  EXPECT_EQ(all(files).front(), "unlink 0000000000000003.segment");
}

TEST_F(FilePlanTest, AFileThatALateWriteMayHitIsNotReused) {
  FilePlan files = plan();
  files.retire({.epoch = Epoch(3), .file_bytes = options_.segment_bytes, .never_reuse = true});
  EXPECT_EQ(all(files).front(), "unlink 0000000000000003.segment");
}

TEST_F(FilePlanTest, ARetiredSegmentIsReusedRatherThanANewOneMade) {
  FilePlan files = plan();
  files.retire({.epoch = Epoch(3), .file_bytes = options_.segment_bytes});
  files.prepare(Epoch(8));
  EXPECT_EQ(all(files),
            (Steps{"rename 0000000000000003.segment spare-1", "sync .", "header spare-1",
                   "sync spare-1", "rename spare-1 0000000000000008.segment", "sync .", "!"}));
}

// S36
TEST_F(FilePlanTest, S36_AFullDiskStopsMakingAndGoesOnWhereItStopped) {
  options_.segment_bytes = 3u << 20;
  FilePlan files = plan();
  files.prepare(Epoch(1));
  EXPECT_EQ(text(*files.next_step()), "create spare-1.tmp");
  files.step_failed_no_space();
  EXPECT_TRUE(files.out_of_space());
  EXPECT_FALSE(files.next_step());
  files.retry_steps();
  EXPECT_EQ(text(*files.next_step()), "create spare-1.tmp");
  (void)files.step_done();
  EXPECT_EQ(text(*files.next_step()), "allocate spare-1.tmp 3145728");
  files.step_failed_no_space();
  EXPECT_FALSE(files.next_step());
  files.retry_steps();
  EXPECT_EQ(text(*files.next_step()), "allocate spare-1.tmp 3145728");
  (void)files.step_done();
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 0+1048576");
  (void)files.step_done();
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 1048576+1048576");
  files.step_failed_no_space();
  EXPECT_FALSE(files.next_step());
  files.retry_steps();
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 1048576+1048576");
  (void)files.step_done();
  EXPECT_EQ(all(files).back(), "!");
}

TEST_F(FilePlanTest, S36_ZerosThatFoundNoSpaceAreNotLeftOut) {
  options_.segment_bytes = 2u << 20;
  FilePlan files = plan();
  files.prepare(Epoch(1));
  while (files.next_step()->kind != Kind::kZeroFill) (void)files.step_done();
  EXPECT_TRUE(files.skip_zeros());
  files.step_failed_no_space();
  files.retry_steps();
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 0+1048576");
  EXPECT_FALSE(files.skip_zeros()) << "also when there is some space again";
  (void)files.step_done();
  EXPECT_FALSE(files.skip_zeros());
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 1048576+1048576");
}

// S36: trimming must help even when not a byte is left.
TEST_F(FilePlanTest, S36_OnAFullDiskARetiredSegmentStillBecomesTheNextOne) {
  FilePlan files = plan();
  files.prepare(Epoch(8));
  (void)files.next_step();
  files.step_failed_no_space();
  EXPECT_FALSE(files.next_step());
  files.retire({.epoch = Epoch(3), .file_bytes = options_.segment_bytes});
  EXPECT_EQ(all(files),
            (Steps{"rename 0000000000000003.segment spare-2", "sync .", "header spare-2",
                   "sync spare-2", "rename spare-2 0000000000000008.segment", "sync .", "!"}));
}

// S35
TEST_F(FilePlanTest, S35_AFailedSyncOfZerosIsNotRepeatedWithoutWritingThemAgain) {
  FilePlan files = plan();
  files.prepare(Epoch(1));
  while (text(*files.next_step()) != "sync spare-1.tmp") {
    (void)files.skip_zeros();
    (void)files.step_done();
  }
  files.step_failed_no_space();
  files.retry_steps();
  EXPECT_EQ(text(*files.next_step()), "allocate spare-1.tmp 49152");
  (void)files.step_done();
  EXPECT_EQ(text(*files.next_step()), "zero spare-1.tmp 0+49152");
}

TEST_F(FilePlanTest, S35_AnyOtherFailedSyncIsFinal) {
  FilePlan files = plan({.rubbish = {}, .spares = {"spare-1"}, .to_sync = {}, .any = false});
  files.prepare(Epoch(1));
  while (text(*files.next_step()) != "sync .") (void)files.step_done();
  EXPECT_DEATH(files.step_failed_no_space(), "syncing");
}

}  // namespace
}  // namespace sluice::segments::test
