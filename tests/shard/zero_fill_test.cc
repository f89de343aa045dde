// engine/shard/file_steps: the zeros of the next segment go to the disk at the pace of the commits, so
// that no commit waits behind a whole segment of them. On a real disk, with nothing timed: what was
// granted is compared with what was written.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "engine/io/uring_io.h"
#include "engine/shard/group_commit.h"
#include "engine/shard/recover.h"

namespace sluice::shard {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSegmentBytes = 4u << 20;
constexpr std::uint64_t kBytesPerTick = 64u << 10;
constexpr std::uint64_t kPieceBytes = 256u << 10;  // of zeros, at a time

class ZeroFillTest : public testing::Test, private GroupCommit::Events {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "sluice-zeros-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    int error = 0;
    auto made = io::make_uring_io({}, error);
    ASSERT_TRUE(made.has_value()) << error;
    io_ = std::move(*made);
    const segments::Options options{.cluster = ClusterId(7),
                                    .directory = {9, 9},
                                    .shard = ShardId(0),
                                    .segment_bytes = kSegmentBytes,
                                    .chunk_bytes_max = 64u << 10};
    auto found = recover(*io_, root_, options, 16);
    ASSERT_TRUE(found) << found.error();
    commit_ = std::make_unique<GroupCommit>(
        *io_,
        GroupCommit::Options{.directory = root_, .direct = found->direct, .segments = options},
        found->end, static_cast<GroupCommit::Events&>(*this));
    commit_->write_mark();
    while (commit_->log().durable_seq() == ChunkSeq{}) turn();
    settle();
  }
  void TearDown() override {
    commit_->stop();
    while (!commit_->quiet()) io_->run_once();
    commit_.reset();
    io_.reset();
    fs::remove_all(root_);
  }

  void turn() {
    ASSERT_EQ(failure_, "");
    commit_->pump();
    io_->run_once();
  }
  /// Until no operation on files is under way.
  void settle() {
    commit_->pump();
    while (commit_->files().in_flight()) turn();
  }
  /// Writes one chunk.
  void commit() {
    while (commit_->make_room(64) != GroupCommit::Room::kYes) turn();
    const ChunkSeq seq = commit_->append_hard_state(GroupId(0), Term(++term_), NodeId(1)).seq;
    while (commit_->log().durable_seq() < seq) turn();
    settle();
  }
  [[nodiscard]] bool has_second_segment() const {
    return fs::exists(root_ + "/" + segments::SegmentLog::segment_name(Epoch(2)));
  }
  /// Of the next segment, as long as it is not ready.
  [[nodiscard]] std::uint64_t zeros() const {
    for (const auto& file : fs::directory_iterator(root_)) {
      if (file.path().extension() == ".tmp") return file.file_size();
    }
    return 0;
  }

  void on_chunks_stable(ChunkSeq) override {}
  void on_commit_failed(const std::string& why) override { failure_ = why; }

  std::string root_, failure_;
  std::uint64_t term_ = 0;
  std::unique_ptr<io::Io> io_;
  std::unique_ptr<GroupCommit> commit_;
};

TEST_F(ZeroFillTest, TheFirstSegmentIsMadeAtOnceAndTheSecondWaits) {
  EXPECT_FALSE(has_second_segment());
  EXPECT_EQ(zeros(), 0u);
}

TEST_F(ZeroFillTest, ZerosFollowTheCommitsAndAreReadyInTime) {
  while (!has_second_segment()) {
    const std::uint64_t written = commit_->counters().bytes_written;
    ASSERT_LT(written, kSegmentBytes / 2 + kPieceBytes) << "half of the segment is used";
    EXPECT_LE(zeros(), 2 * written);
    EXPECT_GE(zeros() + kPieceBytes, 2 * written) << "not slower than granted either";
    commit();
  }
}

TEST_F(ZeroFillTest, AnIdleNodePreparesTheNextSegment) {
  for (int tick = 0; tick < 2 + static_cast<int>(kSegmentBytes >> 20); ++tick) {
    commit_->tick();
    settle();
  }
  EXPECT_TRUE(has_second_segment());
}

TEST_F(ZeroFillTest, EachTickGrantsZerosToANodeThatIsNeverIdleAndCommitsLittle) {
  for (std::uint64_t tick = 0; tick < kSegmentBytes / kBytesPerTick; ++tick) {
    ASSERT_LT(commit_->counters().bytes_written, kSegmentBytes / 4);
    commit();
    commit_->tick();
    settle();
  }
  EXPECT_TRUE(has_second_segment());
}

TEST_F(ZeroFillTest, WhoWaitsForTheSegmentGetsItWithoutMoreCommits) {
  commit_->files().hurry(true);
  settle();
  EXPECT_TRUE(has_second_segment());
}

}  // namespace
}  // namespace sluice::shard
