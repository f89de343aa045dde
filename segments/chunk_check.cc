#include "segments/chunk_check.h"

#include <cstring>

#include "segments/chunk_builder.h"
#include "wire/batch.h"
#include "wire/checksum.h"

namespace sluice::segments {
namespace {

constexpr std::size_t kChecksumOffset = 8;

const ChunkHeader& header_at(const SegmentBytes& segment, std::uint64_t offset) {
  return *reinterpret_cast<const ChunkHeader*>(segment.bytes.data() + offset);
}

std::span<const RecordDescriptor> descriptors_of(const SegmentBytes& segment,
                                                 const FoundChunk& chunk) {
  const ChunkHeader& header = header_at(segment, chunk.offset);
  const std::byte* at =
      segment.bytes.data() + chunk.offset + kChunkHeaderBytes + header.records_bytes();
  return {reinterpret_cast<const RecordDescriptor*>(at), header.record_count()};
}

/// Precondition: less than a block.
bool is_zero(std::span<const std::byte> bytes) {
  static constexpr std::byte kZeros[kBlockBytes] = {};
  return std::memcmp(bytes.data(), kZeros, bytes.size()) == 0;
}

/// Sizes that can be true; everything that is read afterwards lies in the file then.
bool sizes_are_right(const ChunkHeader& header, std::uint64_t room) {
  return header.records_bytes() % 8 == 0 && header.size_bytes() <= room &&
         header.size_bytes() == chunk_size_bytes(header.records_bytes(), header.record_count());
}

bool batch_is_right(const Options& options, const RecordDescriptor& descriptor,
                    std::span<const std::byte> bytes) {
  const auto batch = BatchView::parse_sealed(bytes, bytes.size());
  return batch && batch->size_bytes() == bytes.size() &&
         batch->header_checksum() == descriptor.checksum() &&
         batch->term() == Term(descriptor.term()) &&
         batch->first_index() == Index(descriptor.first_index()) &&
         batch->entry_count() == descriptor.entry_count() &&
         batch->group() == GroupId(descriptor.group()) && batch->cluster() == options.cluster;
}

bool own_record_is_right(const RecordDescriptor& descriptor, std::span<const std::byte> bytes) {
  return descriptor.term() == 0 && descriptor.first_index() == 0 && descriptor.entry_count() == 0 &&
         checksum(bytes) == descriptor.checksum();
}

bool record_is_right(const Options& options, const RecordDescriptor& descriptor,
                     std::span<const std::byte> bytes) {
  if (descriptor.pad0() != 0 || descriptor.pad1() != 0 || descriptor.pad2() != 0) return false;
  switch (static_cast<RecordKind>(descriptor.kind())) {
    case RecordKind::kBatch:
      return batch_is_right(options, descriptor, bytes);
    case RecordKind::kHardState:
      return bytes.size() == sizeof(HardStateRecord) && own_record_is_right(descriptor, bytes);
    case RecordKind::kTrim:
      return bytes.size() == sizeof(TrimRecord) && own_record_is_right(descriptor, bytes);
    case RecordKind::kProducers:
      return own_record_is_right(descriptor, bytes);
    case RecordKind::kPeer:
      return bytes.size() == sizeof(PeerRecord) && descriptor.group() == 0 &&
             own_record_is_right(descriptor, bytes);
  }
  return false;
}

}  // namespace

bool claims_chunk(const Options& options, const SegmentBytes& segment, std::uint64_t offset) {
  if (offset + kBlockBytes > segment.bytes.size()) return false;
  const ChunkHeader& header = header_at(segment, offset);
  return header.magic() == kChunkMagic && Epoch(header.epoch()) == segment.epoch &&
         DirectoryId{header.directory_high(), header.directory_low()} == options.directory &&
         ShardId(header.shard()) == options.shard;
}

std::optional<FoundChunk> find_chunk(const Options& options, const SegmentBytes& segment,
                                     std::uint64_t offset) {
  // Epoch and offset stand in the checksummed header: neither what a recycled file held before
  // (S30) nor a write that went astray (S40) passes for a chunk of this place.
  if (!claims_chunk(options, segment, offset)) return std::nullopt;
  const ChunkHeader& header = header_at(segment, offset);
  if (header.version() != kChunkVersion || header.offset() != offset) return std::nullopt;
  if (!sizes_are_right(header, segment.bytes.size() - offset)) return std::nullopt;

  FoundChunk chunk{.seq = ChunkSeq(header.seq()),
                   .epoch = segment.epoch,
                   .offset = offset,
                   .size_bytes = header.size_bytes(),
                   .record_count = header.record_count(),
                   .durable_seq = ChunkSeq(header.durable_seq()),
                   .oldest_epoch = Epoch(header.oldest_epoch()),
                   .checksum = header.checksum(),
                   .previous_checksum = header.previous_checksum()};
  const std::uint64_t sum =
      header_checksum(segment.bytes.subspan(offset, kChunkHeaderBytes), kChecksumOffset,
                      std::as_bytes(descriptors_of(segment, chunk)));
  if (sum != header.checksum() || chunk.seq == ChunkSeq{}) return std::nullopt;
  return chunk;
}

bool records_are_right(const Options& options, const SegmentBytes& segment,
                       const FoundChunk& chunk) {
  const auto bytes = segment.bytes.subspan(chunk.offset, chunk.size_bytes);
  std::uint64_t at = kChunkHeaderBytes;
  const std::uint64_t end = at + header_at(segment, chunk.offset).records_bytes();
  for (const RecordDescriptor& descriptor : descriptors_of(segment, chunk)) {
    if (descriptor.offset() != at || descriptor.size_bytes() % 8 != 0 ||
        descriptor.size_bytes() > end - at) {
      return false;
    }
    if (!record_is_right(options, descriptor, bytes.subspan(at, descriptor.size_bytes()))) {
      return false;
    }
    at += descriptor.size_bytes();
  }
  return at == end && is_zero(bytes.subspan(end + chunk.record_count * kDescriptorBytes));
}

Record record_at(const SegmentBytes& segment, const FoundChunk& chunk, std::uint32_t i) {
  const RecordDescriptor& descriptor = descriptors_of(segment, chunk)[i];
  const std::uint64_t offset = chunk.offset + descriptor.offset();
  return {.kind = static_cast<RecordKind>(descriptor.kind()),
          .group = GroupId(descriptor.group()),
          .location = {chunk.seq, segment.epoch, static_cast<std::uint32_t>(offset),
                       descriptor.size_bytes()},
          .bytes = segment.bytes.subspan(offset, descriptor.size_bytes())};
}

}  // namespace sluice::segments
