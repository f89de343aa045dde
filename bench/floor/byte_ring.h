// A ring of bytes that is mapped twice, one after the other: any part of it that is not longer than
// the ring lies in one piece, so nothing is ever copied to make it so.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::floor {

/// Alignment of memory, length and offset of a direct write.
inline constexpr std::uint64_t kBlockBytes = 4096;

constexpr std::uint64_t align_down(std::uint64_t value) { return value & ~(kBlockBytes - 1); }
constexpr std::uint64_t align_up(std::uint64_t value) {
  return align_down(value + kBlockBytes - 1);
}

class ByteRing {
 public:
  /// Rounded up to a power of two. Throws std::system_error.
  explicit ByteRing(std::uint64_t size_bytes);
  ~ByteRing();
  ByteRing(const ByteRing&) = delete;
  ByteRing& operator=(const ByteRing&) = delete;

  /// The byte at a position of the stream; as many as size_bytes() may follow in one piece.
  [[nodiscard]] std::byte* at(std::uint64_t position) const {
    return memory_ + (position & (size_bytes_ - 1));
  }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::uint64_t size_bytes_;
  std::byte* memory_ = nullptr;
};

}  // namespace sluice::floor
