// The directory of a shard on a disk in memory: file steps done, recovery run.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "segments/recovery.h"
#include "segments/replay.h"
#include "segments/segment_log.h"
#include "tests/segments/memory_disk.h"
#include "tests/segments/samples.h"

namespace sluice::segments::test {

/// A copy that is aligned like a buffer of the node.
class AlignedFile {
 public:
  explicit AlignedFile(const MemoryDisk::Bytes& bytes);
  [[nodiscard]] std::span<std::byte> span() { return memory_.span().first(size_); }

 private:
  DirtyBuffer memory_;
  std::size_t size_;
};

/// What recovery made of a directory.
struct Recovered {
  Verdict verdict;
  std::map<GroupId, GroupState> groups;
  std::map<NodeId, PeerState> peers;
};
[[nodiscard]] std::expected<Recovered, std::vector<Damage>> recover_directory(
    const Options& options, const MemoryDisk& disk);

/// The effect of a step on the disk. Tells nobody.
void apply_step(MemoryDisk& disk, const SegmentLog& log, const FileStep& step);

/// A log of one group that is written chunk by chunk, each durable before the next unless said
/// otherwise: to lay out a directory by hand and then to break it.
class Stream {
 public:
  explicit Stream(Options options = small_options());

  struct Chunk {
    ChunkSeq seq;
    Epoch epoch;
    std::string file;
    std::uint64_t offset = 0;
    std::size_t size_bytes = 0;
  };
  enum class Arrives : std::uint8_t { kYes, kNo, kLater };
  /// One batch with one entry in a chunk of its own. kNo: its write is lost, but whoever wrote it
  /// does not know yet. kLater: the same, and land() brings it.
  Chunk append(std::size_t entry_bytes = 100, Arrives arrives = Arrives::kYes);
  Chunk mark();
  /// Chunks until the next one would go to another segment, and one more.
  Chunk roll_over();
  void land(const Chunk& chunk);
  /// A chunk with a trim of so many batches.
  Chunk trim(std::size_t batches, Arrives arrives = Arrives::kYes);

  /// The process dies and another one takes over.
  void restart();

  [[nodiscard]] std::expected<Recovered, std::vector<Damage>> recover() const {
    return recover_directory(options_, disk_);
  }
  /// The one line of damage; empty if it is sound.
  [[nodiscard]] std::string damage() const;

  [[nodiscard]] MemoryDisk& disk() { return disk_; }
  [[nodiscard]] SegmentLog& log() { return *log_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] GroupIndex& index() { return index_; }
  void run_steps();

  // --- to break it -----------------------------------------------------------------------------
  void flip(const Chunk& chunk, std::uint64_t at);
  void zero(const Chunk& chunk, std::uint64_t at, std::size_t bytes);
  void write(const std::string& file, std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] MemoryDisk::Bytes bytes_of(const Chunk& chunk) const;

 private:
  void open();
  Chunk close(Arrives arrives);

  Options options_;
  MemoryDisk disk_;
  std::unique_ptr<SegmentLog> log_;
  DirtyBuffer buffer_;
  GroupIndex index_;
  std::optional<Location> trim_at_;
  std::map<std::pair<std::string, std::uint64_t>, MemoryDisk::Bytes> not_landed_;  // by place
};

}  // namespace sluice::segments::test
