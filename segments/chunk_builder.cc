#include "segments/chunk_builder.h"

#include <cstring>

#include "wire/check.h"
#include "wire/checksum.h"

namespace sluice::segments {
namespace {

constexpr std::size_t kChecksumOffset = 8;

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

}  // namespace

void ChunkBuilder::open(std::span<std::byte> buffer) {
  buffer_ = buffer;
  records_bytes_ = 0;
  descriptors_.clear();
}

bool ChunkBuilder::fits(std::size_t record_bytes) const {
  if (record_bytes > buffer_.size()) return false;
  return chunk_size_bytes(records_bytes_ + padded(record_bytes), descriptors_.size() + 1) <=
         buffer_.size();
}

std::span<const std::byte> ChunkBuilder::add(const Identity& identity,
                                             std::span<const std::byte> bytes) {
  SLUICE_CHECK(fits(bytes.size()));
  const std::uint32_t offset = next_offset();
  const auto record = buffer_.subspan(offset, padded(bytes.size()));
  if (!bytes.empty()) std::memcpy(record.data(), bytes.data(), bytes.size());
  std::memset(record.data() + bytes.size(), 0, record.size() - bytes.size());
  const std::uint64_t sum =
      identity.kind == RecordKind::kBatch ? identity.checksum : checksum(record);
  descriptors_.emplace_back(
      sum, identity.term.value(), identity.first_index.value(), identity.entry_count,
      identity.group.value(), offset, static_cast<std::uint32_t>(record.size()),
      static_cast<std::uint8_t>(identity.kind), std::uint8_t{0}, std::uint16_t{0}, 0u);
  records_bytes_ += record.size();
  return record;
}

ChunkBuilder::Closed ChunkBuilder::close(const Stamp& stamp) {
  const auto chunk = buffer_.first(size_bytes());
  const auto descriptors = std::as_bytes(std::span(descriptors_));
  std::byte* after_records = chunk.data() + next_offset();
  if (!descriptors.empty()) std::memcpy(after_records, descriptors.data(), descriptors.size());
  // The buffer is recycled memory: what it held before must not reach the disk.
  std::byte* end = after_records + descriptors.size();
  std::memset(end, 0, static_cast<std::size_t>(chunk.data() + chunk.size() - end));

  ChunkHeader header(kChunkMagic, kChunkVersion, 0, 0, 0, stamp.directory.high, stamp.directory.low,
                     stamp.epoch.value(), stamp.seq.value(), stamp.durable_seq.value(),
                     stamp.oldest_epoch.value(), stamp.previous_checksum, stamp.offset,
                     static_cast<std::uint32_t>(chunk.size()),
                     static_cast<std::uint32_t>(records_bytes_),
                     static_cast<std::uint32_t>(descriptors_.size()), stamp.shard.value(), 0);
  const std::uint64_t sum =
      header_checksum(std::as_bytes(std::span(&header, 1)), kChecksumOffset, descriptors);
  header.mutate_checksum(sum);
  std::memcpy(chunk.data(), &header, sizeof header);
  buffer_ = {};
  return {chunk, sum};
}

}  // namespace sluice::segments
