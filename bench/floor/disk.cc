#include "bench/floor/disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace sluice::floor {
namespace {

constexpr std::size_t kFillBytes = 1u << 20;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// A file of zeros that are written, not merely allocated: a write to it changes no metadata.
int make_file(const std::string& directory, std::uint64_t size_bytes) {
  std::string path = directory + "/sluice-floor-XXXXXX";
  const int file = ::mkostemp(path.data(), O_CLOEXEC | O_DIRECT);
  if (file < 0) fail("a file for direct writes in " + directory);
  ::unlink(path.c_str());
  const std::unique_ptr<void, decltype(&::free)> zeros(::aligned_alloc(kBlockBytes, kFillBytes),
                                                       &::free);
  std::memset(zeros.get(), 0, kFillBytes);
  for (std::uint64_t at = 0; at < size_bytes; at += kFillBytes)
    if (::pwrite(file, zeros.get(), kFillBytes, static_cast<off_t>(at)) != kFillBytes)
      fail("filling the file in " + directory);
  if (::fsync(file) != 0) fail("fsync in " + directory);
  return file;
}

}  // namespace

Disk::Disk(const Options& options, const ByteRing& ring, std::uint64_t first_tag)
    : ring_(ring),
      first_tag_(first_tag),
      depth_(options.disk_depth),
      deeper_bytes_(options.deeper_bytes),
      file_bytes_(std::max(options.file_bytes, file_bytes_min(ring))) {
  file_bytes_ = (file_bytes_ + kFillBytes - 1) / kFillBytes * kFillBytes;
  file_ = make_file(options.data_dir, file_bytes_);
}

Disk::~Disk() { ::close(file_); }

void Disk::write(Uring& uring, std::uint64_t end, std::uint64_t end_sequence) {
  const std::uint64_t first = align_down(submitted_end_);
  const std::uint64_t size_bytes = align_up(end) - first;
  if (offset_ + size_bytes > file_bytes_) offset_ = 0;
  const std::uint32_t place = begun_ % kDepthMax;
  in_flight_[place] = {end, end_sequence, static_cast<std::uint32_t>(size_bytes), false};
  uring.write_durably(file_, ring_.at(first), size_bytes, offset_, first_tag_ + place);
  ++begun_;
  offset_ += size_bytes;
  submitted_end_ = end;
  ++writes_;
  written_bytes_ += size_bytes;
}

void Disk::on_written(std::uint64_t tag, int result) {
  Write& write = in_flight_[tag - first_tag_];
  if (result < 0)
    throw std::runtime_error(fmt::format("a write failed: {}", std::strerror(-result)));
  if (static_cast<std::uint32_t>(result) != write.size_bytes)
    throw std::runtime_error(fmt::format("a write of {} bytes wrote {}", write.size_bytes, result));
  write.done = true;
  // An entry is durable only when all before it are.
  while (finished_ != begun_ && in_flight_[finished_ % kDepthMax].done) {
    const Write& oldest = in_flight_[finished_ % kDepthMax];
    durable_end_ = oldest.end;
    durable_sequence_ = oldest.end_sequence;
    ++finished_;
  }
}

}  // namespace sluice::floor
