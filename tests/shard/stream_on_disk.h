// One shard's stream in a directory of its own on a real disk, for tests of what stands on it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "engine/io/uring_io.h"
#include "engine/shard/group_commit.h"
#include "engine/shard/recover.h"

namespace sluice::shard {

class StreamOnDisk : private GroupCommit::Events {
 public:
  StreamOnDisk() : StreamOnDisk(make_io()) {}
  explicit StreamOnDisk(std::unique_ptr<io::Io> io) : io_(std::move(io)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-shard-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  ~StreamOnDisk() override {
    end();
    io_.reset();
    std::filesystem::remove_all(root_);
  }

  static std::unique_ptr<io::Io> make_io() {
    int error = 0;
    auto made = io::make_uring_io({}, error);
    EXPECT_TRUE(made.has_value()) << error;
    return std::move(*made);
  }

  static segments::Options options(std::uint64_t segment_bytes, std::uint32_t chunk_bytes_max) {
    return {.cluster = ClusterId(7),
            .directory = {9, 9},
            .shard = ShardId(0),
            .segment_bytes = segment_bytes,
            .chunk_bytes_max = chunk_bytes_max};
  }

  /// A new process, which finds what the one before left; that is what it answers.
  Recovered start(const segments::Options& options, FsyncPolicy fsync = {}) {
    end();
    auto found = recover(*io_, root_, options, 16);
    EXPECT_TRUE(found) << found.error();
    commit_ = std::make_unique<GroupCommit>(*io_,
                                            GroupCommit::Options{.directory = root_,
                                                                 .direct = found->direct,
                                                                 .segments = options,
                                                                 .fsync = fsync},
                                            found->end, static_cast<GroupCommit::Events&>(*this));
    return std::move(*found);
  }
  void end() {
    if (!commit_) return;
    commit_->stop();
    while (!commit_->quiet()) io_->run_once();
    commit_.reset();
  }

  void turn() {
    ASSERT_EQ(failure_, "");
    commit_->pump();
    io_->run_once();
  }
  /// Until chunk `seq` is durable.
  void run_until(ChunkSeq seq, bool sync = false) {
    while (commit_->log().durable_seq() < seq) {
      ASSERT_NO_FATAL_FAILURE(turn());
      if (sync) commit_->sync_now();
    }
  }
  /// What a shard does before its first word.
  void write_mark() {
    const ChunkSeq first = commit_->next_seq();
    commit_->write_mark();
    run_until(first, /*sync=*/true);
  }

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] io::Io& io() { return *io_; }
  /// Between start() and end().
  [[nodiscard]] GroupCommit& commit() { return *commit_; }

 private:
  void on_chunks_stable(ChunkSeq) override {}
  void on_commit_failed(const std::string& why) override { failure_ = why; }

  std::string root_, failure_;
  std::unique_ptr<io::Io> io_;
  std::unique_ptr<GroupCommit> commit_;
};

}  // namespace sluice::shard
