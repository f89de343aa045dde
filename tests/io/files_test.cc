// Files of uring_io: what reaches the disk, what comes back, and how failures look.
#include <algorithm>
#include <cerrno>
#include <sys/stat.h>

#include "engine/io/buffer.h"
#include "tests/io/fixture.h"

namespace sluice::io {
namespace {

using FilesTest = IoTest;

TEST_F(FilesTest, DirectDurableWriteReadsBack) {
  const std::int32_t opened = open_result(path("segment"), {.create = true, .direct = true});
  if (opened == -EINVAL) GTEST_SKIP() << "this file system has no O_DIRECT";
  ASSERT_GE(opened, 0);
  const Handle file{opened};
  AlignedBuffer out(8192);
  AlignedBuffer in(8192);
  std::fill(out.span().begin(), out.span().end(), std::byte{0x5a});

  EXPECT_EQ(write(file, out.span(), 4096, true), 8192);
  EXPECT_EQ(read(file, in.span(), 4096), 8192);
  EXPECT_TRUE(std::ranges::equal(in.span(), out.span()));
  EXPECT_EQ(read(file, in.span(), 0), 8192);
  EXPECT_EQ(in.span()[0], std::byte{0});  // the hole before it

  // Not a multiple of 4,096: refused, not rounded.
  EXPECT_EQ(write(file, out.span().subspan(0, 100), 0, true), -EINVAL);
  io_->close(file);
}

TEST_F(FilesTest, ReadIsShortAtTheEndAndZeroPastIt) {
  const Handle file = open(path("file"));
  ASSERT_EQ(write(file, bytes_of("hello"), 0), 5);
  std::vector<std::byte> buffer(16);
  EXPECT_EQ(read(file, buffer, 2), 3);
  EXPECT_EQ(text_of(std::span(buffer).first(3)), "llo");
  EXPECT_EQ(read(file, buffer, 5), 0);
  EXPECT_EQ(read(file, buffer, 1 << 20), 0);
  io_->close(file);
}

TEST_F(FilesTest, RenameReplacesAndUnlinkRemoves) {
  const Handle file = open(path("new"));
  ASSERT_EQ(write(file, bytes_of("new"), 0), 3);
  io_->close(file);
  io_->close(open(path("old")));

  const std::string from = path("new");
  const std::string to = path("old");
  Op op;
  io_->rename(op.completion, from.c_str(), to.c_str());
  EXPECT_EQ(await(op), 0);
  int error = 0;
  EXPECT_EQ(io_->file_size(to.c_str(), error), 3u);
  EXPECT_EQ(io_->list_directory(directory_.c_str(), error)->size(), 1u);

  io_->unlink(op.completion, to.c_str());
  EXPECT_EQ(await(op), 0);
  io_->unlink(op.completion, to.c_str());
  EXPECT_EQ(await(op), -ENOENT);
}

// S33: a name is durable only when its directory was synced.
TEST_F(FilesTest, S33_DirectoryAndFileAreSynced) {
  const Handle file = open(path("file"));
  const Handle directory = open(directory_, {.directory = true});
  Op op;
  io_->sync(op.completion, file);
  EXPECT_EQ(await(op), 0);
  io_->sync(op.completion, directory);
  EXPECT_EQ(await(op), 0);
  io_->close(directory);
  io_->close(file);
}

TEST_F(FilesTest, FailuresAreNegativeErrno) {
  EXPECT_EQ(open_result(path("absent"), {}), -ENOENT);
  EXPECT_EQ(open_result(path("absent/file"), {.create = true}), -ENOENT);
  io_->close(open(path("file"), {.create = true, .exclusive = true}));
  EXPECT_EQ(open_result(path("file"), {.create = true, .exclusive = true}), -EEXIST);
  EXPECT_EQ(open_result(path("file"), {.directory = true}), -ENOTDIR);

  const Handle file = open(path("file"), {.read_only = true});
  EXPECT_EQ(write(file, bytes_of("x"), 0), -EBADF);
  io_->close(file);
}

TEST_F(FilesTest, AllocatedBlocksReadAsZerosAndAreTaken) {
  const Handle file = open(path("file"));
  Op op;
  io_->allocate(op.completion, file, 1u << 20);
  const std::int32_t result = await(op);
  if (result == -EOPNOTSUPP) GTEST_SKIP() << "this file system cannot allocate";
  ASSERT_EQ(result, 0);
  struct stat status {};
  ASSERT_EQ(::stat(path("file").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1 << 20);
  EXPECT_GE(status.st_blocks * 512, 1 << 20);
  std::vector<std::byte> buffer(4096, std::byte{1});
  EXPECT_EQ(read(file, buffer, (1u << 20) - 4096), 4096);
  EXPECT_EQ(std::ranges::count(buffer, std::byte{0}), 4096);
  io_->close(file);
}

// S36: a full disk is a result like others. /dev/full answers every write so.
TEST_F(FilesTest, S36_NoSpaceIsReported) {
  const Handle file = open("/dev/full", {});
  EXPECT_EQ(write(file, bytes_of("x"), 0), -ENOSPC);
  io_->close(file);
}

TEST_F(FilesTest, DirectoriesAreMadeOnceAndListed) {
  int error = 0;
  EXPECT_TRUE(io_->make_directory(path("a").c_str(), error).has_value());
  EXPECT_TRUE(io_->make_directory(path("a").c_str(), error).has_value());
  EXPECT_EQ(error, 0);
  io_->close(open(path("file")));
  EXPECT_EQ(io_->make_directory(path("file").c_str(), error).error(), Errc::kIo);
  EXPECT_EQ(error, EEXIST);
  EXPECT_EQ(io_->make_directory(path("x/y").c_str(), error).error(), Errc::kIo);
  EXPECT_EQ(error, ENOENT);

  auto names = io_->list_directory(directory_.c_str(), error);
  ASSERT_TRUE(names.has_value());
  std::ranges::sort(*names);
  EXPECT_EQ(*names, (std::vector<std::string>{"a", "file"}));
  EXPECT_EQ(io_->list_directory(path("absent").c_str(), error).error(), Errc::kIo);
  EXPECT_EQ(error, ENOENT);
  EXPECT_EQ(io_->file_size(path("absent").c_str(), error).error(), Errc::kIo);
  EXPECT_EQ(error, ENOENT);
}

TEST(AlignedBuffer, IsAlignedRoundedUpAndZeroed) {
  for (const bool huge : {false, true}) {
    AlignedBuffer buffer((std::size_t{4} << 20) + 1, huge);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % AlignedBuffer::kAlignment, 0u);
    EXPECT_EQ(buffer.size_bytes(), (std::size_t{4} << 20) + 4096);
    EXPECT_TRUE(std::ranges::all_of(buffer.span(), [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(AlignedBuffer, MovesItsPages) {
  AlignedBuffer first(4096);
  first.data()[7] = std::byte{1};
  AlignedBuffer second(std::move(first));
  EXPECT_EQ(second.data()[7], std::byte{1});
  AlignedBuffer third;
  third = std::move(second);
  EXPECT_EQ(third.size_bytes(), 4096u);
  EXPECT_EQ(third.data()[7], std::byte{1});
}

}  // namespace
}  // namespace sluice::io
