// engine/shard/peer_directories: a peer is who it was, or it is refused (S56). On a real disk, for
// what is remembered counts only when it is durable.
#include "engine/shard/peer_directories.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/shard/stream_on_disk.h"

namespace sluice::shard {
namespace {

using Answer = PeerDirectories::Answer;

constexpr std::uint64_t kMinuteNs = 60'000'000'000;
constexpr NodeId kPeer{2};
constexpr DirectoryId kOld{1, 1}, kNew{2, 2}, kThird{3, 3};

class PeerDirectoriesTest : public testing::TestWithParam<FsyncPolicy::Kind> {
 protected:
  void SetUp() override { start(); }
  void TearDown() override { end(); }

  /// A new process, which finds what the one before left.
  void start(std::vector<NodeId> trusted_again = {}) {
    end();
    const std::uint32_t block = segments::kBlockBytes;
    const Recovered found = stream_.start(StreamOnDisk::options(16 * block, 4 * block), policy());
    stream_.write_mark();
    peers_ = std::make_unique<PeerDirectories>(stream_.commit(), found.peers, trusted_again);
  }
  void end() {
    peers_.reset();
    stream_.end();
  }
  /// What becomes of a hello that is looked at until it is taken or refused.
  Answer meet(NodeId peer, DirectoryId directory) {
    for (;;) {
      const Answer answer = peers_->meet(peer, directory);
      if (answer != Answer::kLater) return answer;
      stream_.run_until(stream_.commit().next_seq());
    }
  }

  static FsyncPolicy policy() { return {.kind = GetParam(), .interval_ns = kMinuteNs}; }

  StreamOnDisk stream_;
  std::unique_ptr<PeerDirectories> peers_;
};

std::string name_of(FsyncPolicy::Kind kind) {
  switch (kind) {
    case FsyncPolicy::Kind::kAlways:
      return "Always";
    case FsyncPolicy::Kind::kInterval:
      return "Interval";
    case FsyncPolicy::Kind::kNever:
      return "Never";
  }
  return "";
}

// Under `never` nothing but the record itself asks for a sync: without that these tests do not end.
INSTANTIATE_TEST_SUITE_P(Policies, PeerDirectoriesTest,
                         testing::Values(FsyncPolicy::Kind::kAlways, FsyncPolicy::Kind::kInterval,
                                         FsyncPolicy::Kind::kNever),
                         [](const auto& kind) { return name_of(kind.param); });

TEST_P(PeerDirectoriesTest, S56_TheFirstDirectoryIsTrustedOnceItIsDurable) {
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kLater);
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kLater);
  EXPECT_FALSE(stream_.commit().log().chunk_empty());
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kSame);
}

TEST_P(PeerDirectoriesTest, S56_AnotherDirectoryIsRefusedEvenBeforeTheFirstIsDurable) {
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kLater);
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kOther);
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kOther);
  EXPECT_EQ(meet(NodeId(3), kNew), Answer::kSame) << "another peer is another matter";
}

TEST_P(PeerDirectoriesTest, S56_ARestartRemembers) {
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  start();
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kOther);
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kSame) << "it is durable already";
}

TEST_P(PeerDirectoriesTest, S56_ADirectoryThatWasNeverDurableIsNotRemembered) {
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kLater);
  start();  // before its chunk was written
  EXPECT_EQ(meet(kPeer, kNew), Answer::kSame);
}

TEST_P(PeerDirectoriesTest, S56_AnOperatorMayTrustOneNewDirectoryOnce) {
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  EXPECT_EQ(meet(NodeId(3), kOld), Answer::kSame);
  start({kPeer});
  EXPECT_EQ(peers_->meet(NodeId(3), kNew), Answer::kOther) << "not named";
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kLater) << "counts only when it is durable";
  EXPECT_EQ(meet(kPeer, kNew), Answer::kSame);
  EXPECT_EQ(peers_->meet(kPeer, kThird), Answer::kOther) << "once";
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kOther) << "the old one is out";
  start();
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kSame);
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kOther);
}

TEST_P(PeerDirectoriesTest, S56_TrustIsUsedUpByTheOldDirectoryToo) {
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  start({kPeer});
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kSame);
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kOther);
}

TEST_P(PeerDirectoriesTest, S56_OldRecordsMoveSoThatTheirSegmentsAreFree) {
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  EXPECT_EQ(meet(NodeId(3), kNew), Answer::kSame);
  std::optional<Epoch> blocked;
  for (int chunks = 0; chunks < 60 && !blocked; ++chunks) {
    const ChunkSeq mark = stream_.commit().next_seq();
    stream_.commit().write_mark();
    stream_.run_until(mark, /*sync=*/true);
    blocked = stream_.commit().log().blocked_by_states();
  }
  ASSERT_TRUE(blocked);
  peers_->move_old_records();
  EXPECT_FALSE(stream_.commit().log().blocked_by_states());
  EXPECT_GT(stream_.commit().log().oldest_epoch(), *blocked);
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kSame) << "what was durable stays so";
  stream_.run_until(stream_.commit().next_seq());
  start();
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kSame);
  EXPECT_EQ(peers_->meet(kPeer, kNew), Answer::kOther);
  EXPECT_EQ(peers_->meet(NodeId(3), kNew), Answer::kSame);
}

TEST_P(PeerDirectoriesTest, S56_ARefusalNamesBothDirectoriesAndTheWayOut) {
  EXPECT_EQ(meet(kPeer, kOld), Answer::kSame);
  ASSERT_EQ(peers_->meet(kPeer, kNew), Answer::kOther);
  const std::string line = peers_->refusal(NodeId(1), kPeer, kNew);
  for (const char* part : {"node 2", "node 1", "00000000000000010000000000000001",
                           "00000000000000020000000000000002", "--trust-new-directory-of"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
  }
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace sluice::shard
