// What the tests of segments are fed with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segments/segment_log.h"
#include "wire/batch.h"
#include "wire/checksum.h"

namespace sluice::segments::test {

/// Segments of twelve blocks, chunks of at most three: rollovers come fast.
inline Options small_options() {
  return {.cluster = cluster_id_of("test"),
          .directory = {0x1122334455667788, 0x99aabbccddeeff00},
          .shard = ShardId(3),
          .segment_bytes = 12 * kBlockBytes,
          .chunk_bytes_max = 3 * kBlockBytes,
          .spare_segments_max = 2};
}

/// Block-aligned memory, full of bytes that nobody should find on a disk.
class DirtyBuffer {
 public:
  explicit DirtyBuffer(std::size_t size)
      : size_(size),
        bytes_(static_cast<std::byte*>(::operator new[](size, std::align_val_t{kBlockBytes}))) {
    std::memset(bytes_.get(), 0xa5, size);
  }
  [[nodiscard]] std::span<std::byte> span() { return {bytes_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* at) const { ::operator delete[](at, std::align_val_t{kBlockBytes}); }
  };
  std::size_t size_;
  std::unique_ptr<std::byte[], Free> bytes_;
};

/// splitmix64: the seed is the whole test case.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 to n - 1.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

struct BatchSpec {
  GroupId group;
  Term term;
  Index first_index;
  std::uint64_t previous_checksum = 0;
  std::vector<std::string> entries = {"entry"};
  ProducerId producer = {};
  Sequence first_sequence = {};
  BatchKind kind = BatchKind::kData;
};

/// A sealed batch; its bytes live as long as it does.
class SealedBatch {
 public:
  explicit SealedBatch(const BatchSpec& spec, const Options& options = small_options()) {
    std::size_t size = kBatchHeaderBytes + 8;
    for (const std::string& entry : spec.entries) size += entry.size() + 8;
    bytes_.resize(size);
    BatchBuilder builder(bytes_, {.cluster = options.cluster,
                                  .group = spec.group,
                                  .kind = spec.kind,
                                  .producer = spec.producer,
                                  .first_sequence = spec.first_sequence});
    for (const std::string& entry : spec.entries) {
      if (!builder.append(std::as_bytes(std::span(entry.data(), entry.size())))) std::abort();
    }
    bytes_.resize(builder.finish().size_bytes());
    seal_batch(bytes_, {.term = spec.term,
                        .first_index = spec.first_index,
                        .previous_checksum = spec.previous_checksum,
                        .timestamp_ns = 1'700'000'000'000'000'000});
  }
  [[nodiscard]] BatchView view() const { return BatchView::trusted(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// Does every file step at once and never fails, until none is due.
inline void run_steps(SegmentLog& log) {
  while (log.next_step()) log.step_done();
}

}  // namespace sluice::segments::test
