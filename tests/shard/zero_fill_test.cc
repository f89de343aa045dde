// engine/shard/file_steps: the zeros of the next segment go to the disk at the pace of the commits, so
// that no commit waits behind a whole segment of them. On a real disk, with nothing timed: what was
// granted is compared with what was written.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "engine/io/uring_io_impl.h"
#include "tests/shard/stream_on_disk.h"

namespace sluice::shard {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSegmentBytes = 4u << 20;
constexpr std::uint64_t kBytesPerTick = 64u << 10;
constexpr std::uint64_t kPieceBytes = 256u << 10;  // of zeros, at a time

template <typename SomeIo>
std::unique_ptr<SomeIo> make_io() {
  int error = 0;
  auto ring = io::Ring::make({}, error);
  EXPECT_TRUE(ring.has_value()) << error;
  return std::make_unique<SomeIo>(std::move(*ring));
}

/// A filesystem without fallocate(2): each says so by another error.
class IoWithoutAllocate final : public io::UringIo {
 public:
  using UringIo::UringIo;
  void allocate(io::Completion& completion, io::Handle, std::uint64_t size_bytes) override {
    UringIo::allocate(completion, io::Handle::kNone, size_bytes);
  }
};

class ZeroFillTest : public testing::Test {
 protected:
  ZeroFillTest() = default;
  explicit ZeroFillTest(std::unique_ptr<io::Io> io) : stream_(std::move(io)) {}

  void SetUp() override {
    (void)stream_.start(StreamOnDisk::options(kSegmentBytes, 64u << 10));
    stream_.write_mark();
    settle();
  }

  /// Until no operation on files is under way.
  void settle() {
    commit().pump();
    while (commit().files().in_flight()) ASSERT_NO_FATAL_FAILURE(stream_.turn());
  }
  /// Writes one chunk.
  void write_chunk() {
    while (commit().make_room(64) != GroupCommit::Room::kYes) {
      ASSERT_NO_FATAL_FAILURE(stream_.turn());
    }
    const auto at = commit().append_hard_state(GroupId(0), Term(++term_), NodeId(1));
    written_to_ = at.epoch;
    stream_.run_until(at.seq);
    settle();
  }
  [[nodiscard]] bool has_second_segment() const {
    return fs::exists(stream_.root() + "/" + segments::SegmentLog::segment_name(Epoch(2)));
  }
  /// Of the next segment: the first one got all of its own.
  [[nodiscard]] std::uint64_t zeros() { return commit().files().zeros_written() - kSegmentBytes; }

  [[nodiscard]] GroupCommit& commit() { return stream_.commit(); }

  StreamOnDisk stream_;
  std::uint64_t term_ = 0;
  Epoch written_to_;
};

TEST_F(ZeroFillTest, TheFirstSegmentIsMadeAtOnceAndTheSecondWaits) {
  EXPECT_FALSE(has_second_segment());
  EXPECT_EQ(zeros(), 0u);
}

TEST_F(ZeroFillTest, ZerosFollowTheCommitsAndAreReadyInTime) {
  while (!has_second_segment()) {
    const std::uint64_t written = commit().counters().bytes_written;
    ASSERT_LT(written, kSegmentBytes / 2 + kPieceBytes) << "half of the segment is used";
    EXPECT_LE(zeros(), 2 * written);
    EXPECT_GE(zeros() + kPieceBytes, 2 * written) << "not slower than granted either";
    write_chunk();
  }
}

TEST_F(ZeroFillTest, AnIdleNodePreparesTheNextSegment) {
  for (int tick = 0; tick < 2 + static_cast<int>(kSegmentBytes >> 20); ++tick) {
    commit().tick();
    settle();
  }
  EXPECT_TRUE(has_second_segment());
}

TEST_F(ZeroFillTest, EachTickGrantsZerosToANodeThatIsNeverIdleAndCommitsLittle) {
  for (std::uint64_t tick = 0; tick < kSegmentBytes / kBytesPerTick; ++tick) {
    ASSERT_LT(commit().counters().bytes_written, kSegmentBytes / 4);
    write_chunk();
    commit().tick();
    settle();
  }
  EXPECT_TRUE(has_second_segment());
}

TEST_F(ZeroFillTest, ASegmentThatIsNeededBeforeItsZerosIsTakenWithoutThem) {
  write_chunk();
  EXPECT_FALSE(has_second_segment());
  commit().files().skip_zeros();
  settle();
  ASSERT_TRUE(has_second_segment());
  EXPECT_LT(zeros(), kSegmentBytes / 2);
  // The log goes on into it, and a later process finds there what was written.
  while (written_to_ < Epoch(2)) write_chunk();
  const ChunkSeq last = commit().log().last_seq();
  stream_.end();
  const Recovered found = stream_.start(StreamOnDisk::options(kSegmentBytes, 64u << 10));
  EXPECT_EQ(found.end.last_seq, last);
  EXPECT_EQ(found.groups.at(GroupId(0)).hard_state.term, Term(term_));
}

class ZeroFillWithoutAllocateTest : public ZeroFillTest {
 protected:
  ZeroFillWithoutAllocateTest() : ZeroFillTest(make_io<IoWithoutAllocate>()) {}
};

TEST_F(ZeroFillWithoutAllocateTest, NoZeroIsLeftOut) {
  write_chunk();
  commit().files().skip_zeros();
  settle();
  EXPECT_FALSE(has_second_segment()) << "behind its end a short file has nothing to read as zeros";
  commit().files().hurry(true);
  settle();
  ASSERT_TRUE(has_second_segment());
  EXPECT_EQ(zeros(), kSegmentBytes);
  while (written_to_ < Epoch(2)) write_chunk();
}

/// A disk that has no space for zeros while it is `full`.
class IoWithFullDisk final : public io::UringIo {
 public:
  using UringIo::UringIo;
  void write(io::Completion& completion, io::Handle file, std::span<const std::byte> bytes,
             std::uint64_t offset, bool durable) override {
    const bool refused = full && !durable;
    UringIo::write(completion, refused ? static_cast<io::Handle>(device_.fd) : file, bytes, offset,
                   durable);
  }
  bool full = false;

 private:
  struct Device {
    Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    ~Device() { ::close(fd); }
    const int fd = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  };
  Device device_;
};

class ZeroFillOnFullDiskTest : public ZeroFillTest {
 protected:
  ZeroFillOnFullDiskTest() : ZeroFillTest(make_io<IoWithFullDisk>()) {}
  IoWithFullDisk& disk_ = static_cast<IoWithFullDisk&>(stream_.io());
};

TEST_F(ZeroFillOnFullDiskTest, WhereZerosFoundNoSpaceTheyAreAllWritten) {
  write_chunk();
  disk_.full = true;
  commit().files().hurry(true);
  settle();
  commit().files().hurry(false);
  disk_.full = false;
  commit().tick();  // asks for space again
  settle();
  const std::uint64_t before = commit().files().zeros_written();
  commit().files().skip_zeros();
  settle();
  EXPECT_FALSE(has_second_segment()) << "a commit into it may find no space, which ends the node (S36)";
  EXPECT_EQ(commit().files().zeros_written(), before);
  commit().files().hurry(true);
  settle();
  ASSERT_TRUE(has_second_segment());
  EXPECT_EQ(zeros(), kSegmentBytes);
}

/// Its clock goes on by `step_ns` with each look at it.
class IoWithClock final : public io::UringIo {
 public:
  using UringIo::UringIo;
  [[nodiscard]] std::uint64_t now_ns() const override { return now_ += step_ns; }
  std::uint64_t step_ns = 1000;

 private:
  mutable std::uint64_t now_ = 0;
};

class LargeChunksTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kLargeSegmentBytes = 16u << 20;
  static constexpr std::size_t kRecordBytes = 192u << 10;

  LargeChunksTest() : LargeChunksTest(make_io<IoWithClock>()) {}
  explicit LargeChunksTest(std::unique_ptr<IoWithClock> io) : io_(*io), stream_(std::move(io)) {
    (void)stream_.start(StreamOnDisk::options(kLargeSegmentBytes, 256u << 10));
    stream_.write_mark();
  }

  void write_chunk() {
    GroupCommit& commit = stream_.commit();
    while (commit.make_room(kRecordBytes) != GroupCommit::Room::kYes) {
      ASSERT_NO_FATAL_FAILURE(stream_.turn());
    }
    const auto at = commit.append_producers(GroupId(0), record_);
    written_to_ = at.epoch;
    stream_.run_until(at.seq);
    while (commit.files().in_flight()) ASSERT_NO_FATAL_FAILURE(stream_.turn());
  }
  void write_into(Epoch epoch, int chunks) {
    while (written_to_ < epoch) ASSERT_NO_FATAL_FAILURE(write_chunk());
    for (; chunks > 0; --chunks) ASSERT_NO_FATAL_FAILURE(write_chunk());
  }
  [[nodiscard]] bool has_segment(std::uint64_t epoch) const {
    return fs::exists(stream_.root() + "/" + segments::SegmentLog::segment_name(Epoch(epoch)));
  }
  [[nodiscard]] std::uint64_t zeros() { return stream_.commit().files().zeros_written(); }

  IoWithClock& io_;
  StreamOnDisk stream_;
  Epoch written_to_;
  const std::vector<std::byte> record_ = std::vector<std::byte>(kRecordBytes);
};

TEST_F(LargeChunksTest, ChunksThatTakeMuchLongerThanTheQuickestGetNoZerosAheadOfThem) {
  io_.step_ns *= 1'000'000;
  write_into(Epoch(2), 3);
  EXPECT_TRUE(has_segment(3));
  EXPECT_LE(zeros(), 2 * kLargeSegmentBytes + 2 * kPieceBytes);
}

TEST_F(LargeChunksTest, ChunksThatTakeNoLongerGetThemAll) {
  write_into(Epoch(2), 10);
  EXPECT_FALSE(has_segment(3));
  EXPECT_GE(zeros(), 2 * kLargeSegmentBytes + 2 * 8 * kRecordBytes);
  write_into(Epoch(3), 0);
  EXPECT_GE(zeros(), 3 * kLargeSegmentBytes);
}

TEST_F(ZeroFillTest, WhoWaitsForTheSegmentGetsItWithoutMoreCommits) {
  commit().files().hurry(true);
  settle();
  EXPECT_TRUE(has_second_segment());
}

}  // namespace
}  // namespace sluice::shard
