// engine/shard/read_window: what is read back from a segment, and how much of it, on a real disk.
#include "engine/shard/read_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/shard/stream_on_disk.h"
#include "wire/batch.h"

namespace sluice::shard {
namespace {

using segments::Location;

constexpr std::uint64_t kSegmentBytes = 4u << 20;
constexpr std::size_t kWindowBytes = 256u << 10;
constexpr std::size_t kBlock = segments::kBlockBytes;

class ReadWindowTest : public testing::Test, private ReadWindow::Events {
 protected:
  void SetUp() override {
    (void)stream_.start(StreamOnDisk::options(kSegmentBytes, 512u << 10));
    stream_.write_mark();
    ReadWindow::Events& events = *this;
    window_ = std::make_unique<ReadWindow>(stream_.io(), stream_.commit().files(), kWindowBytes, events);
  }
  void TearDown() override {
    while (window_->reading()) stream_.io().run_once();
  }

  /// A durable record whose batch has so many bytes of payload.
  Location write(std::size_t payload_bytes) {
    std::vector<std::uint64_t> buffer(BatchBuilder::size_for(payload_bytes) / 8 + 1);
    BatchBuilder builder(std::as_writable_bytes(std::span(buffer)), {.cluster = ClusterId(7)});
    const std::vector<std::byte> payload(payload_bytes, std::byte(++written_));
    EXPECT_TRUE(builder.append(payload));
    const BatchView batch = builder.finish();
    seal_batch(std::as_writable_bytes(std::span(buffer)).first(batch.size_bytes()),
               {Term(1), Index(written_), 0, 1});
    while (stream_.commit().make_room(batch.size_bytes()) != GroupCommit::Room::kYes) stream_.turn();
    const Location location = stream_.commit().append_batch(batch).location;
    stream_.run_until(location.seq);
    return location;
  }
  [[nodiscard]] ChunkSeq written() { return stream_.commit().log().written_seq(); }

  int read() {
    error_ = -1;
    window_->start();
    while (error_ < 0) stream_.io().run_once();
    EXPECT_FALSE(window_->reading());
    return error_;
  }
  /// It is in the window, whole and with its own bytes.
  [[nodiscard]] bool has(const Location& location) const {
    const auto bytes = window_->find(location);
    return bytes.size() == location.size_bytes &&
           BatchView::parse_sealed(bytes, kSegmentBytes).has_value();
  }

  StreamOnDisk stream_;
  std::unique_ptr<ReadWindow> window_;
  std::uint64_t written_ = 0;

 private:
  void on_read(ReadWindow&, int error) override { error_ = error; }
  int error_ = -1;
};

TEST_F(ReadWindowTest, RecordsThatLieFarApartAreReadWithoutWhatIsBetween) {
  std::vector<Location> wanted;
  std::vector<Location> between;
  for (int i = 0; i < 10; ++i) {
    wanted.push_back(write(100));
    between.push_back(write(100'000));
  }
  ASSERT_GT(wanted.back().offset - wanted.front().offset, 3 * kWindowBytes);
  window_->plan(wanted[0], written());
  for (std::size_t i = 1; i < wanted.size(); ++i) EXPECT_TRUE(window_->add(wanted[i])) << i;
  ASSERT_EQ(read(), 0);
  EXPECT_TRUE(std::ranges::all_of(wanted, [&](const auto& at) { return has(at); }));
  EXPECT_TRUE(std::ranges::none_of(between, [&](const auto& at) { return has(at); }));
}

TEST_F(ReadWindowTest, RecordsSideBySideAreOneRead) {
  std::vector<Location> wanted;
  for (int i = 0; i < 100; ++i) {
    wanted.push_back(write(100));
    ASSERT_EQ(wanted.back().offset / kBlock, wanted.front().offset / kBlock + static_cast<unsigned>(i)) << "a chunk each";
  }
  window_->plan(wanted[0], written());
  std::size_t added = 1;
  while (added < wanted.size() && window_->add(wanted[added])) ++added;
  EXPECT_EQ(added, kWindowBytes / kBlock) << "as much as fits, and more than there may be stretches";
  ASSERT_EQ(read(), 0);
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(has(wanted[i]), i < added) << i;
}

TEST_F(ReadWindowTest, WhatFollowsIsReadAsFarAsTheWindowReaches) {
  const Location first = write(100);
  const Location second = write(100);
  const Location far = write(kWindowBytes);
  window_->plan(first, written());
  window_->add_what_follows();
  ASSERT_EQ(read(), 0);
  EXPECT_TRUE(has(first));
  EXPECT_TRUE(has(second));
  EXPECT_FALSE(has(far)) << "only its beginning";
}

TEST_F(ReadWindowTest, OfWhatFollowsTheFirstRecordThatWouldBeCutOffIsCompleted) {
  const Location first = write(100'000);
  const Location inside = write(100'000);
  const Location cut = write(100'000);
  const Location beyond = write(100);
  ASSERT_LT(cut.offset - first.offset, kWindowBytes);
  ASSERT_GT(cut.offset + cut.size_bytes - first.offset, kWindowBytes);
  window_->plan(first, written());
  window_->add_what_follows();
  EXPECT_TRUE(window_->complete(inside));
  EXPECT_EQ(window_->planned_bytes(), kWindowBytes);
  EXPECT_FALSE(window_->complete(cut)) << "the plan is complete with it";
  const std::size_t to_its_end = cut.offset + cut.size_bytes - first.offset / kBlock * kBlock;
  EXPECT_EQ(window_->planned_bytes(), (to_its_end + kBlock - 1) / kBlock * kBlock);
  ASSERT_EQ(read(), 0);
  EXPECT_TRUE(has(first) && has(inside) && has(cut));
  EXPECT_FALSE(has(beyond));
}

TEST_F(ReadWindowTest, WhatMayNotBeWrittenYetIsNotCompleted) {
  const Location first = write(200'000);
  const ChunkSeq before = written();
  const Location cut = write(200'000);
  window_->plan(first, before);
  window_->add_what_follows();
  EXPECT_FALSE(window_->complete(cut));
  EXPECT_EQ(window_->planned_bytes(), kWindowBytes);
}

TEST_F(ReadWindowTest, ARecordLargerThanTheWindowIsReadAlone) {
  const Location large = write(kWindowBytes + 1000);
  const Location next = write(100);
  window_->plan(large, written());
  EXPECT_FALSE(window_->add(next));
  ASSERT_EQ(read(), 0);
  EXPECT_TRUE(has(large));
  EXPECT_FALSE(has(next));
  window_->plan(next, written());
  ASSERT_EQ(read(), 0);
  EXPECT_TRUE(has(next));
  EXPECT_FALSE(has(large)) << "the window is used again";
}

TEST_F(ReadWindowTest, WhatMayNotBeWrittenYetIsNotPlannedAndNotFound) {
  const Location first = write(100);
  const ChunkSeq before = written();
  const Location second = write(100);
  window_->plan(first, before);
  EXPECT_FALSE(window_->add(second));
  window_->add_what_follows();
  ASSERT_EQ(read(), 0);
  EXPECT_TRUE(has(first));
  EXPECT_FALSE(has(second)) << "its bytes are there, but nothing says that they are whole";
}

TEST_F(ReadWindowTest, ARecordOfAnotherSegmentIsAPlanOfItsOwn) {
  const Location first = write(100);
  Location other = write(100);
  other.epoch = Epoch(other.epoch.value() + 1);
  window_->plan(first, written());
  EXPECT_FALSE(window_->add(other));
  window_->plan(other, written());
  EXPECT_EQ(read(), ENOENT);
  EXPECT_FALSE(has(first)) << "of the plan before";
}

TEST_F(ReadWindowTest, ARecordBehindTheEndOfItsFileWasTriedAndIsNotThere) {
  Location lost = write(100);
  EXPECT_FALSE(window_->tried(lost));
  lost.offset = kSegmentBytes + kBlock;
  window_->plan(lost, written());
  ASSERT_EQ(read(), 0);
  EXPECT_FALSE(has(lost));
  EXPECT_TRUE(window_->tried(lost));
}

TEST_F(ReadWindowTest, ItIsIdleAgainWhenNothingRefersToItsBytes) {
  const Location first = write(100);
  window_->plan(first, written());
  ASSERT_EQ(read(), 0);
  window_->references = 1;
  EXPECT_FALSE(window_->idle());
  EXPECT_TRUE(has(first));
  window_->references = 0;
  EXPECT_TRUE(window_->idle());
}

}  // namespace
}  // namespace sluice::shard
