#include "engine/client/send_buffer.h"

#include <algorithm>

#include "wire/check.h"

namespace sluice::client {

void SendBuffer::clear() {
  prefixes_.clear();
  pieces_.clear();
  slices_.clear();
  first_slice_ = 0;
  size_bytes_ = 0;
}

void SendBuffer::add_frame(FrameKind kind, std::size_t batches_bytes) {
  const std::span<const std::byte> envelope(
      reinterpret_cast<const std::byte*>(envelope_.GetBufferPointer()), envelope_.GetSize());
  const std::size_t offset = prefixes_.size();
  prefixes_.resize(offset + frame_prefix_bytes(envelope.size()));
  const std::size_t prefix_bytes =
      write_frame_prefix(std::span(prefixes_).subspan(offset), kind, envelope, batches_bytes);
  envelope_.Clear();
  pieces_.push_back({nullptr, offset, prefix_bytes});
  size_bytes_ += prefix_bytes;
}

void SendBuffer::add_batch(std::span<const std::byte> batch) {
  pieces_.push_back({batch.data(), 0, batch.size()});
  size_bytes_ += batch.size();
}

std::span<const iovec> SendBuffer::slices(std::size_t slices_max) {
  if (slices_.empty()) {
    // Only now, because prefixes_ moves while it grows.
    for (const Piece& piece : pieces_) {
      const std::byte* at = piece.bytes ? piece.bytes : prefixes_.data() + piece.offset;
      slices_.push_back({const_cast<std::byte*>(at), piece.size_bytes});
    }
  }
  const auto rest = std::span<const iovec>(slices_).subspan(first_slice_);
  return rest.first(std::min(rest.size(), slices_max));
}

bool SendBuffer::consume(std::size_t bytes) {
  while (first_slice_ < slices_.size() && bytes >= slices_[first_slice_].iov_len) {
    bytes -= slices_[first_slice_++].iov_len;
  }
  if (first_slice_ == slices_.size()) {
    SLUICE_CHECK(bytes == 0);
    return true;
  }
  iovec& partial = slices_[first_slice_];
  partial.iov_base = static_cast<std::byte*>(partial.iov_base) + bytes;
  partial.iov_len -= bytes;
  return false;
}

}  // namespace sluice::client
