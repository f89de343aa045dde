#include "bench/floor/byte_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace sluice::floor {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

ByteRing::ByteRing(std::uint64_t size_bytes)
    : size_bytes_(std::bit_ceil(std::max(size_bytes, kBlockBytes))) {
  const int file = ::memfd_create("floor", MFD_CLOEXEC);
  if (file < 0) fail("memfd_create");
  if (::ftruncate(file, static_cast<off_t>(size_bytes_)) != 0) fail("ftruncate");
  void* const place =
      ::mmap(nullptr, 2 * size_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) fail("mmap");
  memory_ = static_cast<std::byte*>(place);
  for (std::byte* half : {memory_, memory_ + size_bytes_})
    if (::mmap(half, size_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
               file, 0) == MAP_FAILED)
      fail("mmap");
  ::close(file);
  std::memset(memory_, 0, size_bytes_);
}

ByteRing::~ByteRing() { ::munmap(memory_, 2 * size_bytes_); }

}  // namespace sluice::floor
