// Files of UringIo: open, read, write, allocate, sync, rename, unlink.
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "engine/io/uring_io_impl.h"

namespace sluice::io {
namespace {

// The kernel moves at most 2 GiB less a page at a time; a multiple of 4,096 keeps the rest aligned.
constexpr std::size_t kTransferBytesMax = std::size_t{1} << 30;

unsigned transfer_size(std::size_t size) {
  return static_cast<unsigned>(std::min(size, kTransferBytesMax));
}

int descriptor(Handle handle) { return static_cast<int>(handle); }

int system_flags(OpenFlags flags) {
  int result = O_CLOEXEC;
  if (flags.directory) return result | O_RDONLY | O_DIRECTORY;
  result |= flags.read_only ? O_RDONLY : O_RDWR;
  if (flags.create) result |= O_CREAT;
  if (flags.exclusive) result |= O_EXCL;
  if (flags.direct) result |= O_DIRECT;
  return result;
}

}  // namespace

void UringIo::open(Completion& completion, const char* path, OpenFlags flags) {
  io_uring_sqe& sqe = begin(completion, flags.directory ? Kind::kOpenDirectory : Kind::kPlain);
  io_uring_prep_openat(&sqe, AT_FDCWD, path, system_flags(flags), 0644);
  name(sqe, completion);
}

void UringIo::close(Handle handle) {
  SLUICE_CHECK(handle != Handle::kNone);
  std::erase(directories_, descriptor(handle));
  ::close(descriptor(handle));
}

void UringIo::read(Completion& completion, Handle file, std::span<std::byte> buffer,
                   std::uint64_t offset) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_read(&sqe, descriptor(file), buffer.data(), transfer_size(buffer.size()), offset);
  name(sqe, completion);
}

void UringIo::write(Completion& completion, Handle file, std::span<const std::byte> bytes,
                    std::uint64_t offset, bool durable) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_write(&sqe, descriptor(file), bytes.data(), transfer_size(bytes.size()), offset);
  // Counted per write, unlike a following fdatasync: no other write's pages are waited for.
  if (durable) sqe.rw_flags = RWF_DSYNC;
  name(sqe, completion);
}

void UringIo::allocate(Completion& completion, Handle file, std::uint64_t size_bytes) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_fallocate(&sqe, descriptor(file), 0, 0, static_cast<off_t>(size_bytes));
  name(sqe, completion);
}

void UringIo::sync(Completion& completion, Handle file) {
  // fdatasync of a directory may leave a new name behind where its size did not change.
  const bool directory =
      std::find(directories_.begin(), directories_.end(), descriptor(file)) != directories_.end();
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_fsync(&sqe, descriptor(file), directory ? 0 : IORING_FSYNC_DATASYNC);
  name(sqe, completion);
}

void UringIo::rename(Completion& completion, const char* from, const char* to) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_renameat(&sqe, AT_FDCWD, from, AT_FDCWD, to, 0);
  name(sqe, completion);
}

void UringIo::unlink(Completion& completion, const char* path) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_unlinkat(&sqe, AT_FDCWD, path, 0);
  name(sqe, completion);
}

}  // namespace sluice::io
