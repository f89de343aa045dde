// What the log costs without its disk: placing batches in chunks, finding them, scanning them.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/batches.h"
#include "segments/group_index.h"
#include "segments/recovery.h"
#include "segments/replay.h"
#include "segments/segment_log.h"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kSegmentBytes = std::uint64_t{16} << 20;
constexpr std::uint32_t kChunkBytesMax = (256u << 10) + 2 * segments::kBlockBytes;

segments::Options log_options() {
  segments::Options options;
  options.cluster = ClusterId(1);
  options.directory = {1, 2};
  options.segment_bytes = kSegmentBytes;
  options.chunk_bytes_max = kChunkBytesMax;
  return options;
}

/// A directory in memory: does the log's file operations at once.
class MemoryDisk {
 public:
  void run_steps(segments::SegmentLog& log) {
    while (const auto step = log.next_step()) {
      run(*step, log);
      log.step_done();
    }
  }
  std::vector<std::byte>& file(Epoch epoch) {
    return files_.at(segments::SegmentLog::segment_name(epoch));
  }

 private:
  using Kind = segments::FileStep::Kind;
  void run(const segments::FileStep& step, const segments::SegmentLog& log) {
    switch (step.kind) {
      case Kind::kCreate:
        files_[step.name];
        break;
      case Kind::kAllocate:
      case Kind::kZeroFill:
        files_[step.name].resize(step.offset + step.size_bytes);
        break;
      case Kind::kWriteHeader:
        std::memcpy(files_[step.name].data(), log.header_bytes().data(), log.header_bytes().size());
        break;
      case Kind::kRename:
        files_[step.new_name] = std::move(files_[step.name]);
        files_.erase(step.name);
        break;
      case Kind::kUnlink:
        files_.erase(step.name);
        break;
      case Kind::kSyncFile:
      case Kind::kSyncDirectory:
        break;
    }
  }
  std::map<std::string, std::vector<std::byte>> files_;
};

/// Memory for a chunk, aligned as the log wants it.
class ChunkBuffer {
 public:
  [[nodiscard]] std::span<std::byte> bytes() { return {memory_.get(), kChunkBytesMax}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_{
      static_cast<std::byte*>(std::aligned_alloc(segments::kBlockBytes, kChunkBytesMax))};
};

/// A log of one group that is fed equal batches and keeps the newest segments only.
class FedLog {
 public:
  explicit FedLog(std::size_t entry_bytes)
      : entry_(entry_bytes), batch_(batch_bytes_for(1, entry_bytes)) {
    disk_.run_steps(log_);
    bytes_ = batch_.bytes().first(
        build(batch_.bytes(), {.cluster = ClusterId(1)}, 1, entry_.bytes()).size_bytes());
  }

  /// One chunk, written to the memory disk if `keep`, durable at once. Returns its batches.
  std::int64_t write_chunk(bool keep) {
    while (!log_.open_chunk(buffer_.bytes())) disk_.run_steps(log_);
    std::int64_t count = 0;
    while (log_.fits(bytes_.size())) {
      seal_batch(bytes_, {Term(1), index_.last_index().next(), index_.last_checksum(), 1});
      const BatchView batch = BatchView::trusted(bytes_);
      const auto placed = log_.append_batch(batch);
      SLUICE_CHECK(placed.has_value());
      index_.append(batch, placed->location);
      ++count;
    }
    const segments::ChunkWrite write = log_.close_chunk();
    if (keep) {
      std::memcpy(disk_.file(write.epoch).data() + write.offset, write.bytes.data(),
                  write.bytes.size());
    }
    log_.on_written(write.seq);
    log_.on_durable(write.seq);
    last_write_ = write;
    return count;
  }

  void trim() {
    index_.trim_to(index_.last_index().next(), [&](const segments::GroupIndex::Entry& dropped) {
      log_.release(dropped.location.epoch, segments::RecordKind::kBatch);
    });
    disk_.run_steps(log_);
  }

  [[nodiscard]] const segments::ChunkWrite& last_write() const { return last_write_; }
  [[nodiscard]] const segments::GroupIndex& index() const { return index_; }
  [[nodiscard]] std::size_t batch_bytes() const { return bytes_.size(); }
  MemoryDisk& disk() { return disk_; }

 private:
  MemoryDisk disk_;
  ChunkBuffer buffer_;
  Block entry_;
  Block batch_;
  std::span<std::byte> bytes_;
  segments::SegmentLog log_{log_options(), {}};
  segments::GroupIndex index_;
  segments::ChunkWrite last_write_{};
};

// Seal, place and index; one iteration is one chunk of 256 KiB.
void SegmentAppend(benchmark::State& state) {
  FedLog log(static_cast<std::size_t>(state.range(0)));
  std::int64_t batches = 0;
  for (auto _ : state) {
    batches += log.write_chunk(false);
    log.trim();
  }
  state.SetItemsProcessed(batches);
  state.SetBytesProcessed(batches * static_cast<std::int64_t>(log.batch_bytes()));
}
BENCHMARK(SegmentAppend)->ArgName("entry_bytes")->Arg(100)->Arg(1024)->Arg(64 << 10);

// A full segment from its bytes to the state of its group.
void RecoveryScan(benchmark::State& state) {
  FedLog log(static_cast<std::size_t>(state.range(0)));
  log.write_chunk(true);
  const Epoch first = log.last_write().epoch;
  while (log.last_write().offset + 2 * kChunkBytesMax <= kSegmentBytes) log.write_chunk(true);
  const std::span<const std::byte> bytes = log.disk().file(first);
  std::int64_t records = 0;
  for (auto _ : state) {
    segments::Replay replay;
    std::vector<segments::SegmentScan> scans;
    scans.push_back(
        segments::scan_segment(log_options(), segments::SegmentLog::segment_name(first), bytes,
                               [&](const segments::FoundChunk&, const segments::Record& record) {
                                 replay.add(record);
                                 ++records;
                               }));
    auto verdict = segments::judge(log_options(), std::move(scans), {});
    SLUICE_CHECK(verdict.has_value());
    auto groups = replay.finish(*verdict);
    SLUICE_CHECK(groups.has_value());
    benchmark::DoNotOptimize(groups);
  }
  state.SetItemsProcessed(records);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(RecoveryScan)->ArgName("entry_bytes")->Arg(100)->Arg(1024)->Arg(64 << 10);

/// An index of so many batches of 16 entries.
segments::GroupIndex index_of(std::uint64_t batches) {
  segments::GroupIndex index;
  for (std::uint64_t i = 0; i < batches; ++i) {
    index.append({.first_index = Index(1 + 16 * i),
                  .header_checksum = i,
                  .term = Term(1),
                  .location = {},
                  .entry_count = 16});
  }
  return index;
}

// Any index of the log: where a read begins.
void IndexLookup(benchmark::State& state) {
  const auto batches = static_cast<std::uint64_t>(state.range(0));
  const segments::GroupIndex index = index_of(batches);
  std::uint64_t at = 1;
  for (auto _ : state) {
    at = (at * 6364136223846793005 + 1442695040888963407);
    benchmark::DoNotOptimize(index.find(Index(1 + at % (16 * batches))));
  }
}
BENCHMARK(IndexLookup)->ArgName("batches")->Arg(1000)->Arg(1'000'000);

// One of the newest 32 batches: what a leader looks up for each frame to a follower.
void IndexLookupNearTheEnd(benchmark::State& state) {
  const auto batches = static_cast<std::uint64_t>(state.range(0));
  const segments::GroupIndex index = index_of(batches);
  std::uint64_t at = 1;
  for (auto _ : state) {
    at = (at * 6364136223846793005 + 1442695040888963407);
    benchmark::DoNotOptimize(index.find(Index(16 * batches - at % (16 * 32))));
  }
}
BENCHMARK(IndexLookupNearTheEnd)->ArgName("batches")->Arg(1000)->Arg(1'000'000);

// A batch at the end, and the oldest one trimmed: an index that keeps its length.
void IndexAppendAndTrim(benchmark::State& state) {
  const auto batches = static_cast<std::uint64_t>(state.range(0));
  segments::GroupIndex index = index_of(batches);
  for (auto _ : state) {
    index.append({.first_index = index.last_index().next(),
                  .header_checksum = 1,
                  .term = Term(1),
                  .location = {},
                  .entry_count = 16});
    index.trim_to(index.first_index() + 16, [](const segments::GroupIndex::Entry&) {});
  }
  SLUICE_CHECK(index.batch_count() == batches);
}
BENCHMARK(IndexAppendAndTrim)->ArgName("batches")->Arg(1000);

}  // namespace
}  // namespace sluice::bench
