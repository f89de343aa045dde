// Lays out one chunk in memory:
//
//   header 96 | records, each a multiple of 8 | descriptors, 48 each | zeros to a multiple of 4,096
//
// The header and the descriptors are covered by the chunk's checksum, each record by its
// descriptor, the zeros by the rule that they are zeros: no byte of a chunk may change unseen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "segments/record.h"
#include "wire/ids.h"

namespace sluice::segments {

inline constexpr std::uint32_t kBlockBytes = 4096;
inline constexpr std::uint32_t kChunkMagic = 0x43554C53;  // "SLUC"
inline constexpr std::uint8_t kChunkVersion = 1;

constexpr std::uint64_t round_up_to_block(std::uint64_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

/// Size on disk of a chunk with so many bytes of records.
constexpr std::uint64_t chunk_size_bytes(std::uint64_t records_bytes, std::uint64_t record_count) {
  return round_up_to_block(kChunkHeaderBytes + records_bytes + record_count * kDescriptorBytes);
}

class ChunkBuilder {
 public:
  /// Identity of what a record holds; 0 in those fields that its kind does not have.
  struct Identity {
    RecordKind kind{};
    GroupId group = {};
    Term term = {};
    Index first_index = {};
    std::uint32_t entry_count = 0;
    std::uint64_t checksum = 0;  // of a batch: its header_checksum. Others are hashed here.
  };

  /// What only the owner of the stream knows.
  struct Stamp {
    DirectoryId directory;
    ShardId shard;
    Epoch epoch;
    ChunkSeq seq;
    ChunkSeq durable_seq;
    Epoch oldest_epoch;
    std::uint64_t previous_checksum = 0;
    std::uint32_t offset = 0;
  };

  /// Begins a chunk in recycled memory of any content, which must outlive it.
  void open(std::span<std::byte> buffer);

  [[nodiscard]] bool fits(std::size_t record_bytes) const;
  /// Copies `bytes` as the next record, padded with zeros to a multiple of 8, and returns where it
  /// lies. Precondition: fits(bytes.size()).
  std::span<const std::byte> add(const Identity& identity, std::span<const std::byte> bytes);

  [[nodiscard]] std::size_t record_count() const { return descriptors_.size(); }
  [[nodiscard]] std::uint32_t next_offset() const {
    return static_cast<std::uint32_t>(kChunkHeaderBytes + records_bytes_);
  }
  [[nodiscard]] std::size_t size_bytes() const {
    return chunk_size_bytes(records_bytes_, descriptors_.size());
  }

  struct Closed {
    std::span<const std::byte> bytes;
    std::uint64_t checksum = 0;
  };
  /// Writes descriptors, zeros and header. The chunk is whole then.
  Closed close(const Stamp& stamp);

 private:
  std::span<std::byte> buffer_;
  std::size_t records_bytes_ = 0;
  std::vector<RecordDescriptor> descriptors_;  // keeps its memory from chunk to chunk
};

}  // namespace sluice::segments
