// What one send carries: any number of frames, and batches in between that are not copied.
#pragma once

#include <flatbuffers/flatbuffers.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "wire/frame.h"

namespace sluice::client {

/// Filled frame by frame, then sent piece by piece. Its memory is kept for the next send.
class SendBuffer {
 public:
  /// Empties it. Precondition: no send of its slices is pending.
  void clear();
  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::size_t piece_count() const { return pieces_.size(); }

  /// Builder for the next frame's envelope; add_frame() takes what was finished in it.
  [[nodiscard]] flatbuffers::FlatBufferBuilder& envelope() { return envelope_; }
  /// Adds a frame with the finished envelope, announcing `batches_bytes` to follow it.
  void add_frame(FrameKind kind, std::size_t batches_bytes = 0);
  /// Adds bytes that follow the last frame's envelope. They must outlive the send.
  void add_batch(std::span<const std::byte> batch);

  /// The slices still to be sent, at most `slices_max` of them. Valid until clear().
  [[nodiscard]] std::span<const iovec> slices(std::size_t slices_max);
  /// `bytes` of them were sent. True: all of them were.
  [[nodiscard]] bool consume(std::size_t bytes);

 private:
  struct Piece {
    const std::byte* bytes;  // nullptr: at `offset` of prefixes_
    std::size_t offset;
    std::size_t size_bytes;
  };
  flatbuffers::FlatBufferBuilder envelope_{4096};
  std::vector<std::byte> prefixes_;
  std::vector<Piece> pieces_;
  std::vector<iovec> slices_;
  std::size_t first_slice_ = 0;
  std::size_t size_bytes_ = 0;
};

}  // namespace sluice::client
