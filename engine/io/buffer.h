// Memory that O_DIRECT accepts.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::io {

/// A block of zeroed pages for direct reads and writes, owned and movable. Made at start-up and
/// kept: each one is a mapping of its own.
class AlignedBuffer {
 public:
  /// What direct transfers must be a multiple of, in memory, in the file and in size.
  static constexpr std::size_t kAlignment = 4096;
  /// From this size on huge pages are worth asking for.
  static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

  AlignedBuffer() = default;
  /// At least `size_bytes`, rounded up to kAlignment. huge_pages asks the kernel for them (fewer
  /// page faults and TLB misses); it may decline. Out of memory ends the process.
  explicit AlignedBuffer(std::size_t size_bytes, bool huge_pages = false);
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::span<std::byte> span() const { return {data_, size_bytes_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

}  // namespace sluice::io
