// The newest chunks of the stream, in memory: written to disk from here, sent to followers and
// readers from here, without a copy in between.
//
// One contiguous ring of memory. Chunks are laid one after the other and leave at the other end,
// oldest first, once they are written and no send refers to them. A chunk that is still referred to
// when its room is needed (a reader that does not take its bytes) holds everything up: the owner
// then cuts that reader off (S43).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/io/buffer.h"
#include "segments/record.h"
#include "wire/ids.h"
#include "wire/ring.h"

namespace sluice::shard {

class Tail {
 public:
  /// Room for `bytes` (multiple of 4,096), at least four chunks of `chunk_bytes_max`.
  Tail(std::size_t bytes, std::size_t chunk_bytes_max);

  /// Room for the chunk `seq`, chunk_bytes_max bytes, aligned to 4,096. Empty when the oldest
  /// chunks cannot go yet. One chunk is open at a time; close() says how much of it was used.
  [[nodiscard]] std::span<std::byte> open(ChunkSeq seq);
  /// The open chunk is not wanted after all; nothing was put into it.
  void abandon();
  /// The open chunk got a record: from now on find() knows where its records are.
  void placed(const segments::Location& location, std::span<const std::byte> bytes);
  void close(std::size_t size_bytes);

  /// The chunk's write completed: its memory may go when nobody refers to it.
  void on_written(ChunkSeq seq);

  /// The bytes of a record, if its chunk is still here.
  [[nodiscard]] std::span<const std::byte> find(const segments::Location& location) const;

  /// Keeps a chunk that find() found until unpin().
  void pin(ChunkSeq seq);
  void unpin(ChunkSeq seq);

  /// The oldest chunk kept here, if somebody refers to it (who then may have to be cut off).
  [[nodiscard]] bool oldest_is_pinned() const;
  /// The last open() found no room.
  [[nodiscard]] bool crowded() const { return crowded_; }
  [[nodiscard]] ChunkSeq oldest() const { return first_seq_; }

  [[nodiscard]] std::size_t bytes_used() const { return used_; }

 private:
  struct Slot {
    std::size_t begin = 0;     // in the ring
    std::size_t reserved = 0;  // bytes taken, including what was skipped at the ring's end
    std::uint64_t segment_offset = 0;
    std::size_t size_bytes = 0;
    std::uint32_t pins = 0;
    bool written = false;
  };
  [[nodiscard]] Slot* slot(ChunkSeq seq);
  [[nodiscard]] const Slot* slot(ChunkSeq seq) const;
  void drop_oldest();

  io::AlignedBuffer memory_;
  std::size_t chunk_bytes_max_;
  Ring<Slot> slots_;
  ChunkSeq first_seq_;    // of slots_.front()
  std::size_t head_ = 0;  // where the next chunk goes
  std::size_t used_ = 0;  // bytes reserved by all slots
  bool open_ = false;
  bool crowded_ = false;
};

}  // namespace sluice::shard
