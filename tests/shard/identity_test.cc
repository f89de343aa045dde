// engine/shard/identity: two copies, one owner, and no guessing (S39, S41, S55 to S57).
#include "engine/shard/identity.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine/io/uring_io.h"

namespace sluice::shard {
namespace {

namespace fs = std::filesystem;

class IdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "sluice-identity-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    dir_ = root_ + "/node";
    int error = 0;
    auto made = io::make_uring_io({}, error);
    ASSERT_TRUE(made.has_value()) << error;
    io_ = std::move(*made);
  }
  void TearDown() override {
    io_.reset();
    fs::remove_all(root_);
  }

  static DirectoryIdentity wanted(std::uint32_t node = 1, std::string cluster = "c",
                                  std::uint32_t shards = 0) {
    return {.directory = {},
            .node = NodeId(node),
            .cluster_name = std::move(cluster),
            .shards = shards};
  }
  std::expected<OpenDirectory, std::string> open(const DirectoryIdentity& identity) {
    auto opened = open_directory(*io_, dir_, identity, 2);
    if (opened) io_->close(opened->lock);
    return opened;
  }
  void corrupt(const std::string& name, std::streamoff at) {
    std::fstream file(dir_ + "/" + name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char was = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(was ^ 0x40));
  }

  std::string root_, dir_;
  std::unique_ptr<io::Io> io_;
};

TEST(Identity, RoundTripAndEveryByteFlipped) {
  const DirectoryIdentity identity{
      {0x1122334455667788, 0x99AABBCCDDEEFF00}, NodeId(3), "orders", 4};
  std::array<std::byte, kIdentityBytes> block;
  encode_identity(identity, block);
  ASSERT_EQ(decode_identity(block).value(), identity);
  for (std::size_t i = 0; i < 112; ++i) {
    auto flipped = block;
    flipped[i] ^= std::byte{0x10};
    EXPECT_FALSE(decode_identity(flipped).has_value()) << i;
  }
  for (std::size_t size = 0; size < 112; ++size) {
    EXPECT_FALSE(decode_identity(std::span(block).first(size)).has_value()) << size;
  }
}

TEST_F(IdentityTest, IsMadeOnceWithARandomId) {
  const auto first = open(wanted());
  ASSERT_TRUE(first.has_value()) << first.error();
  EXPECT_EQ(first->identity.shards, 2u) << "the default";
  EXPECT_NE(first->identity.directory, DirectoryId{});
  const auto again = open(wanted());
  ASSERT_TRUE(again.has_value()) << again.error();
  EXPECT_EQ(again->identity, first->identity);
}

TEST_F(IdentityTest, S55_RefusesAnotherNodeClusterOrNumberOfShards) {
  ASSERT_TRUE(open(wanted()).has_value());
  EXPECT_NE(open(wanted(2)).error().find("belongs to node 1"), std::string::npos);
  EXPECT_NE(open(wanted(1, "other")).error().find("belongs to cluster 'c'"), std::string::npos);
  EXPECT_NE(open(wanted(1, "c", 3)).error().find("--shards 2"), std::string::npos);
}

TEST_F(IdentityTest, S57_RefusesADirectoryInUse) {
  const auto held = open_directory(*io_, dir_, wanted(), 1);
  ASSERT_TRUE(held.has_value());
  const auto second = open_directory(*io_, dir_, wanted(), 1);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().find("in use"), std::string::npos);
  io_->close(held->lock);
  EXPECT_TRUE(open(wanted()).has_value());
}

TEST_F(IdentityTest, S39_RepairsOneBadCopyFromTheOther) {
  const auto first = open(wanted());
  ASSERT_TRUE(first.has_value());
  for (const char* bad : {"identity.a", "identity.b"}) {
    corrupt(bad, 20);
    const auto again = open(wanted());
    ASSERT_TRUE(again.has_value()) << again.error();
    EXPECT_EQ(again->identity, first->identity);
  }
  corrupt("identity.a", 20);  // both copies must be whole again by now
  EXPECT_TRUE(open(wanted()).has_value());
}

TEST_F(IdentityTest, S39_RefusesToStartWithTwoBadCopies) {
  ASSERT_TRUE(open(wanted()).has_value());
  corrupt("identity.a", 20);
  corrupt("identity.b", 50);
  EXPECT_NE(open(wanted()).error().find("no readable identity"), std::string::npos);
}

TEST_F(IdentityTest, S41_NeverTakesADirectoryWithSegmentsForANewOne) {
  ASSERT_TRUE(open(wanted()).has_value());
  std::ofstream(dir_ + "/shard-0/0000000000000001.segment") << "log";
  fs::remove(dir_ + "/identity.a");
  fs::remove(dir_ + "/identity.b");
  EXPECT_FALSE(open(wanted()).has_value());
  EXPECT_TRUE(fs::exists(dir_ + "/shard-0/0000000000000001.segment"));
}

TEST_F(IdentityTest, GoesOnAfterACrashBetweenTheCopies) {
  const auto first = open(wanted());
  ASSERT_TRUE(first.has_value());
  fs::remove(dir_ + "/identity.b");
  const auto again = open(wanted());
  ASSERT_TRUE(again.has_value()) << again.error();
  EXPECT_EQ(again->identity.directory, first->identity.directory);
  EXPECT_TRUE(fs::exists(dir_ + "/identity.b"));
}

}  // namespace
}  // namespace sluice::shard
