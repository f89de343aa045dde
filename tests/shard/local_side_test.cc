// engine/shard/local_side: how much it takes from a client in the process at a time. The batches
// are of a group that does not exist, so that each is answered from within take().
#include "engine/shard/local_side.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/shard/stream_on_disk.h"
#include "wire/batch.h"

namespace sluice::shard {
namespace {

constexpr std::size_t kAtOnce = 256;

class LocalSideTest : public testing::Test, private ClientSide::Events, private LocalPort::Home {
 protected:
  void SetUp() override {
    (void)stream_.start(StreamOnDisk::options(4u << 20, 64u << 10));
    GroupCommit& commit = stream_.commit();
    groups_ = std::make_unique<Groups>(ShardId(0), 1, commit);
    client_side_ = std::make_unique<ClientSide>(stream_.io(), ClientSide::Options{}, *groups_, commit,
                                                static_cast<ClientSide::Events&>(*this));
    local_side_ = std::make_unique<LocalSide>(stream_.io(), *client_side_);
    for (auto& buffer : buffers_) {
      BatchBuilder builder(buffer.bytes, {.cluster = ClusterId(7), .group = GroupId(0)});
      ASSERT_TRUE(builder.append({}));
      LocalBatch batch;
      batch.bytes = std::span(buffer.bytes).first(builder.finish().size_bytes());
      batches_.push_back(batch);
    }
    port_ = std::make_unique<LocalPort>(batches_, static_cast<LocalPort::Home&>(*this));
    local_side_->attach(*port_);
    (void)local_side_->turn();
  }
  void TearDown() override {
    local_side_->close_all();
    local_side_.reset();
    client_side_.reset();
    groups_.reset();
  }

  /// Hands over so many batches.
  void submit(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) port_->submitted.push(&batches_[i]);
  }
  /// Takes back what was answered and returns how many.
  std::size_t answered() {
    std::size_t count = 0;
    for (; !port_->answered.empty(); port_->answered.pop()) ++count;
    return count;
  }

  Inbound* find(const ClientRef&) override { return nullptr; }
  void on_local_result(const ClientRef& client, const wire::AppendResult& result) override {
    local_side_->answer(client, result);
  }
  void on_log_damaged(const std::string& what) override { ADD_FAILURE() << what; }
  void on_window_read() override {}
  void on_turn() override {}
  void on_closed(LocalPort&) override { ++closed_; }

  struct Buffer {
    alignas(8) std::array<std::byte, 256> bytes{};
  };
  StreamOnDisk stream_;
  std::unique_ptr<Groups> groups_;
  std::unique_ptr<ClientSide> client_side_;
  std::unique_ptr<LocalSide> local_side_;
  std::vector<Buffer> buffers_{3 * kAtOnce};
  std::vector<LocalBatch> batches_;
  std::unique_ptr<LocalPort> port_;
  int closed_ = 0;
};

TEST_F(LocalSideTest, APortionIsTakenAtATimeAndTheRestIsWork) {
  submit(2 * kAtOnce + 1);
  for (const std::size_t portion : {kAtOnce, kAtOnce, std::size_t{1}}) {
    EXPECT_TRUE(local_side_->has_work());
    local_side_->take();
    EXPECT_TRUE(local_side_->turn()) << "batches came back";
    EXPECT_EQ(answered(), portion);
  }
  EXPECT_FALSE(local_side_->has_work());
}

TEST_F(LocalSideTest, APortThatClosesIsAnsweredWhole) {
  submit(3 * kAtOnce);
  local_side_->close(*port_);
  EXPECT_EQ(answered(), 3 * kAtOnce);
  EXPECT_EQ(closed_, 1);
}

}  // namespace
}  // namespace sluice::shard
