#include "engine/client/append_batch.h"

#include <algorithm>
#include <cstring>

#include "wire/check.h"
#include "wire/checksum.h"

namespace sluice::client {
namespace {

/// Bookkeeping of more entries than this is not kept for the next batch.
constexpr std::size_t kEntriesKeptMax = 64u << 10;
constexpr std::size_t kHeaderChecksumOffset = 8;

}  // namespace

void AppendBatch::open(BufferPool& buffers, const BatchBuilder::Options& options,
                       std::size_t size_hint_bytes, std::size_t size_bytes_max) {
  SLUICE_CHECK(entries.empty() && !buffer_.memory);
  options_ = options;
  size_bytes_max_ = size_bytes_max;
  buffer_ = buffers.acquire(std::min(size_hint_bytes, size_bytes_max));
  builder_.emplace(buffer_.bytes().first(std::min(buffer_.size_bytes, size_bytes_max)), options_);
  state = State::kUnsent;
}

bool AppendBatch::append(BufferPool& buffers, std::span<const std::byte> data,
                         const PendingEntry& entry) {
  if (sealed()) return false;
  if (!builder_->append(data) && !(grow(buffers, data.size()) && builder_->append(data))) {
    return false;
  }
  deadline_min_ns =
      entries.empty() ? entry.deadline_ns : std::min(deadline_min_ns, entry.deadline_ns);
  entries.push_back(entry);
  if (!entry.reported) ++unreported;
  if (!entry.resolved) ++unresolved;
  return true;
}

/// Moves what was gathered to a buffer of a higher class. False: it is as large as it may be.
bool AppendBatch::grow(BufferPool& buffers, std::size_t entry_bytes) {
  const std::size_t usable_bytes = std::min(buffer_.size_bytes, size_bytes_max_);
  if (usable_bytes == size_bytes_max_) return false;
  const std::size_t wanted_bytes = builder_->size_bytes() + BatchBuilder::size_for(entry_bytes);
  Buffer larger = buffers.acquire(
      std::clamp(wanted_bytes, std::min(buffer_.size_bytes + 1, size_bytes_max_), size_bytes_max_));
  BatchBuilder builder(larger.bytes().first(std::min(larger.size_bytes, size_bytes_max_)),
                       options_);
  for_each_entry(
      [&](std::size_t, std::span<const std::byte> data) { SLUICE_CHECK(builder.append(data)); });
  buffers.release(std::move(buffer_));
  buffer_ = std::move(larger);
  builder_ = builder;
  return true;
}

void AppendBatch::seal(ClusterId cluster) {
  if (!sealed()) {
    view_ = builder_->finish();
    builder_.reset();
  }
  if (view_.cluster() == cluster) return;
  // It was opened before the first node said which cluster this is. No send reads it yet.
  SLUICE_CHECK(sends == 0);
  options_.cluster = cluster;
  const auto header_bytes = buffer_.bytes().first(kBatchHeaderBytes);
  auto& header = *reinterpret_cast<wire::BatchHeader*>(header_bytes.data());
  header.mutate_cluster(cluster.value());
  header.mutate_header_checksum(header_checksum(header_bytes, kHeaderChecksumOffset));
}

void AppendBatch::reset(BufferPool& buffers) {
  SLUICE_CHECK(sends == 0 && link.list == nullptr);
  buffers.release(std::move(buffer_));
  buffer_ = {};
  builder_.reset();
  view_ = {};
  if (entries.capacity() > kEntriesKeptMax) std::vector<PendingEntry>().swap(entries);
  entries.clear();
  lane = nullptr;
  unanswered = unreported = unresolved = 0;
  deadline_min_ns = request_id = former_id = load_bytes = 0;
}

std::span<const std::byte> AppendBatch::entry_at(const std::byte* at) {
  std::uint32_t length;
  std::memcpy(&length, at, sizeof(length));
  return {at + sizeof(length), length};
}

AppendBatch& BatchPool::acquire() {
  if (free_.empty()) {
    all_.push_back(std::make_unique<AppendBatch>());
    free_.reserve(all_.capacity());  // release() allocates nothing
    return *all_.back();
  }
  AppendBatch& batch = *free_.back();
  free_.pop_back();
  return batch;
}

void BatchPool::release(AppendBatch& batch) {
  batch.reset(buffers_);
  free_.push_back(&batch);
}

}  // namespace sluice::client
