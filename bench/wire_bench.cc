// What the bytes cost: hashing, building, sealing and checking batches, parsing frames.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "bench/batches.h"
#include "wire/batch.h"
#include "wire/checksum.h"
#include "wire/frame.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBatchBytesMax = std::size_t{1} << 20;

void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void Checksum(benchmark::State& state) {
  Block block(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(checksum(block.bytes()));
  count_bytes(state, block.bytes().size());
}
BENCHMARK(Checksum)->Arg(96)->Arg(4 << 10)->Arg(64 << 10)->Arg(1 << 20);

// Arguments of the batch benchmarks: entries, bytes of each.
void batch_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"entries", "entry_bytes"});
  benchmark->Args({1, 100})->Args({16, 256})->Args({256, 256})->Args({512, 1024});
}

struct Shape {
  explicit Shape(const benchmark::State& state)
      : entries(static_cast<std::uint32_t>(state.range(0))),
        entry(static_cast<std::size_t>(state.range(1))),
        buffer(batch_bytes_for(entries, entry.bytes().size())) {}
  BatchView make() { return build(buffer.bytes(), {}, entries, entry.bytes()); }

  std::uint32_t entries;
  Block entry;
  Block buffer;
};

void count_batch(benchmark::State& state, const BatchView& batch) {
  count_bytes(state, batch.size_bytes());
  state.SetItemsProcessed(state.iterations() * batch.entry_count());
}

void BatchBuild(benchmark::State& state) {
  Shape shape(state);
  BatchView batch;
  for (auto _ : state) {
    batch = shape.make();
    benchmark::DoNotOptimize(batch.bytes().data());
  }
  count_batch(state, batch);
}
BENCHMARK(BatchBuild)->Apply(batch_shapes);

void BatchSeal(benchmark::State& state) {
  Shape shape(state);
  const BatchView batch = shape.make();
  Seal seal{Term(1), Index(1), 0, 1};
  for (auto _ : state) {
    seal.first_index = seal.first_index + batch.entry_count();
    seal_batch(shape.buffer.bytes().first(batch.size_bytes()), seal);
    benchmark::DoNotOptimize(seal.previous_checksum = batch.header_checksum());
  }
  state.SetItemsProcessed(state.iterations());  // batches: the payload is not touched
}
BENCHMARK(BatchSeal)->Apply(batch_shapes);

void BatchVerify(benchmark::State& state) {
  Shape shape(state);
  const BatchView batch = shape.make();
  for (auto _ : state) {
    auto parsed = BatchView::parse(batch.bytes(), kBatchBytesMax);
    SLUICE_CHECK(parsed.has_value());
    benchmark::DoNotOptimize(parsed);
  }
  count_batch(state, batch);
}
BENCHMARK(BatchVerify)->Apply(batch_shapes);

// What a follower does with a batch that arrived, and a node with one that it read.
void BatchVerifySealed(benchmark::State& state) {
  Shape shape(state);
  const BatchView batch = shape.make();
  seal_batch(shape.buffer.bytes().first(batch.size_bytes()), {Term(1), Index(1), 0, 1});
  for (auto _ : state) {
    auto parsed = BatchView::parse_sealed(batch.bytes(), kBatchBytesMax);
    SLUICE_CHECK(parsed.has_value());
    benchmark::DoNotOptimize(parsed);
  }
  count_batch(state, batch);
}
BENCHMARK(BatchVerifySealed)->Apply(batch_shapes);

void BatchEntries(benchmark::State& state) {
  Shape shape(state);
  const BatchView batch = shape.make();
  for (auto _ : state) {
    std::size_t bytes = 0;
    for (const auto entry : batch) bytes += entry.size();
    benchmark::DoNotOptimize(bytes);
  }
  count_batch(state, batch);
}
BENCHMARK(BatchEntries)->Apply(batch_shapes);

/// An envelope that announces so many batches, as a client sends it.
flatbuffers::FlatBufferBuilder append_envelope(std::int64_t count) {
  std::vector<wire::AppendItem> items;
  for (std::int64_t i = 0; i < count; ++i) {
    items.emplace_back(static_cast<std::uint64_t>(i), 0u, 0u);
  }
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(
      wire::CreateClientAppend(builder, builder.CreateVectorOfStructs(items.data(), items.size())));
  return builder;
}

std::span<const std::byte> bytes_of(const flatbuffers::FlatBufferBuilder& builder) {
  return std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
}

// Header and envelope of a frame: what each send costs besides its batches.
void FrameWrite(benchmark::State& state) {
  const auto builder = append_envelope(state.range(0));
  Block block(frame_prefix_bytes(builder.GetSize()));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        write_frame_prefix(block.bytes(), FrameKind::kClientAppend, bytes_of(builder), 0));
  }
  count_bytes(state, block.bytes().size());
}
BENCHMARK(FrameWrite)->ArgName("items")->Arg(1)->Arg(16)->Arg(256);

// A client's frame with so many batches of one entry: what a socket's bytes cost before Raft.
void FrameParse(benchmark::State& state) {
  const auto builder = append_envelope(state.range(0));
  const auto envelope = bytes_of(builder);
  Block block(frame_prefix_bytes(envelope.size()));
  const std::size_t size = write_frame_prefix(block.bytes(), FrameKind::kClientAppend, envelope, 0);
  for (auto _ : state) {
    auto frame = parse_frame(block.bytes().first(size), kBatchBytesMax);
    SLUICE_CHECK(frame.has_value());
    auto table = envelope_as<wire::ClientAppend>(*frame);
    SLUICE_CHECK(table.has_value());
    benchmark::DoNotOptimize(table);
  }
  count_bytes(state, size);
}
BENCHMARK(FrameParse)->ArgName("items")->Arg(1)->Arg(16)->Arg(256);

}  // namespace
}  // namespace sluice::bench
