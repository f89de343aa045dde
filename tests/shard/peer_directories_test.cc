// engine/shard/peer_directories: a peer is who it was, or it is refused (S56). On a real disk, for
// what is remembered counts only when it is durable.
#include "engine/shard/peer_directories.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/uring_io.h"
#include "engine/shard/recover.h"

namespace sluice::shard {
namespace {

namespace fs = std::filesystem;

using Answer = PeerDirectories::Answer;

constexpr std::uint64_t kMinuteNs = 60'000'000'000;
constexpr NodeId kPeer{2};
constexpr DirectoryId kOld{1, 1}, kNew{2, 2}, kThird{3, 3};

class PeerDirectoriesTest : public testing::TestWithParam<FsyncPolicy::Kind>,
                            private GroupCommit::Events {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "sluice-peers-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    int error = 0;
    auto made = io::make_uring_io({}, error);
    ASSERT_TRUE(made.has_value()) << error;
    io_ = std::move(*made);
    start();
  }
  void TearDown() override {
    end();
    io_.reset();
    fs::remove_all(root_);
  }

  /// A new process, which finds what the one before left.
  void start(std::vector<NodeId> trusted_again = {}) {
    end();
    auto found = recover(*io_, root_, options(), 16);
    ASSERT_TRUE(found) << found.error();
    commit_ = std::make_unique<GroupCommit>(*io_,
                                            GroupCommit::Options{.directory = root_,
                                                                 .direct = found->direct,
                                                                 .segments = options(),
                                                                 .fsync = policy()},
                                            found->end, static_cast<GroupCommit::Events&>(*this));
    // As a shard does before its first word.
    const ChunkSeq first = commit_->next_seq();
    commit_->write_mark();
    run_until(first, /*sync=*/true);
    peers_ = std::make_unique<PeerDirectories>(*commit_, found->peers, trusted_again);
  }
  void end() {
    if (!commit_) return;
    commit_->stop();
    while (!commit_->quiet()) io_->run_once();
    peers_.reset();
    commit_.reset();
  }
  /// Until chunk `seq` is durable.
  void run_until(ChunkSeq seq, bool sync = false) {
    while (commit_->log().durable_seq() < seq) {
      ASSERT_EQ(failure_, "");
      commit_->pump();
      io_->run_once();
      if (sync) commit_->sync_now();
    }
  }
  /// What becomes of a hello that is looked at until it is taken or refused.
  Answer meet(NodeId peer, DirectoryId directory) {
    for (;;) {
      const Answer answer = peers_->meet(peer, directory);
      if (answer != Answer::kLater) return answer;
      run_until(commit_->next_seq());
    }
  }

  static FsyncPolicy policy() { return {.kind = GetParam(), .interval_ns = kMinuteNs}; }
  static segments::Options options() {
    return {.cluster = ClusterId(7),
            .directory = {9, 9},
            .shard = ShardId(0),
            .segment_bytes = 16 * segments::kBlockBytes,
            .chunk_bytes_max = 4 * segments::kBlockBytes};
  }

  void on_chunks_stable(ChunkSeq) override {}
  void on_commit_failed(const std::string& why) override { failure_ = why; }

  std::string root_, failure_;
  std::unique_ptr<io::Io> io_;
  std::unique_ptr<GroupCommit> commit_;
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
  EXPECT_FALSE(commit_->log().chunk_empty());
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
    const ChunkSeq mark = commit_->next_seq();
    commit_->write_mark();
    run_until(mark, /*sync=*/true);
    blocked = commit_->log().blocked_by_states();
  }
  ASSERT_TRUE(blocked);
  peers_->move_old_records();
  EXPECT_FALSE(commit_->log().blocked_by_states());
  EXPECT_GT(commit_->log().oldest_epoch(), *blocked);
  EXPECT_EQ(peers_->meet(kPeer, kOld), Answer::kSame) << "what was durable stays so";
  run_until(commit_->next_seq());
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
