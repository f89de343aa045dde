// After warm-up nothing is allocated per chunk or record, neither when writing nor in a scan.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "segments/names.h"
#include "segments/recovery.h"
#include "tests/segments/samples.h"

namespace {
std::size_t allocations = 0;
}

// Not inlined: the compiler would see malloc on one side and operator delete on the other.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* at = std::malloc(size)) return at;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* at) noexcept { std::free(at); }
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { std::free(at); }

namespace sluice::segments::test {
namespace {

class AllocationTest : public testing::Test {
 protected:
  AllocationTest() : file_(options_.segment_bytes), log_(options_, StreamEnd{}) {
    while (const auto step = log_.next_step()) {
      if (step->kind == FileStep::Kind::kWriteHeader) {
        std::ranges::copy(log_.header_bytes(), file_.span().begin());
      }
      log_.step_done();
    }
  }
  static Options options() {
    Options options = small_options();
    options.segment_bytes = 32u << 20;
    options.chunk_bytes_max = 16 * kBlockBytes;
    return options;
  }
  /// Twenty batches, a vote and a release in each.
  void write_chunks(int count) {
    for (; count > 0; --count) {
      ASSERT_TRUE(log_.open_chunk(buffer_.span()));
      for (int i = 0; i < 20; ++i) ASSERT_TRUE(log_.append_batch(batch_.view()));
      const auto at = log_.append_hard_state(GroupId(1), Term(1), NodeId(1));
      ASSERT_TRUE(at);
      log_.release(at->epoch, RecordKind::kHardState);
      const ChunkWrite chunk = log_.close_chunk();
      std::ranges::copy(chunk.bytes,
                        file_.span().begin() + static_cast<std::ptrdiff_t>(chunk.offset));
      log_.on_written(chunk.seq);
      log_.on_durable(log_.written_seq());
    }
  }

  Options options_ = options();
  DirtyBuffer buffer_{options_.chunk_bytes_max};
  DirtyBuffer file_;
  SegmentLog log_;
  SealedBatch batch_{{.group = GroupId(1), .term = Term(1), .first_index = Index(1)}};
};

TEST_F(AllocationTest, WritingAllocatesNothing) {
  write_chunks(10);
  const std::size_t before = allocations;
  write_chunks(1000);
  EXPECT_EQ(allocations - before, 0u);
}

TEST_F(AllocationTest, AScanAllocatesForItsListOfChunksOnly) {
  write_chunks(1000);
  std::size_t records = 0;
  const OnRecord count = [&](const FoundChunk&, const Record&) { ++records; };
  const std::string name = segment_name(Epoch(1));
  const std::size_t before = allocations;
  const SegmentScan scan = scan_segment(options_, name, file_.span(), count);
  EXPECT_LT(allocations - before, 20u);
  EXPECT_EQ(scan.run_count, 1000u);
  EXPECT_EQ(records, 21'000u);
}

}  // namespace
}  // namespace sluice::segments::test
