#include "engine/io/buffer.h"

#include <sys/mman.h>

#include <utility>

#include "wire/check.h"

namespace sluice::io {

AlignedBuffer::AlignedBuffer(std::size_t size_bytes, bool huge_pages)
    : size_bytes_((size_bytes + kAlignment - 1) / kAlignment * kAlignment) {
  if (size_bytes_ == 0) return;
  void* memory =
      ::mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SLUICE_CHECK(memory != MAP_FAILED);
  data_ = static_cast<std::byte*>(memory);
  if (huge_pages && size_bytes_ >= kHugePageBytes) {
    (void)::madvise(memory, size_bytes_, MADV_HUGEPAGE);  // a wish: kernels without them still work
  }
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_bytes_);
}

}  // namespace sluice::io
