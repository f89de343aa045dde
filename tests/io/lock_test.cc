// The lock of a data directory, between processes.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/io/fixture.h"

namespace sluice::io {
namespace {

/// Forks a process that takes the lock and leaves. Its exit status: 0 taken, 1 in use, 2 else.
int lock_in_another_process(const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    int error = 0;
    auto io = make_uring_io({}, error);
    if (!io) ::_exit(2);
    const auto lock = (*io)->lock_file(path.c_str(), error);
    if (lock) ::_exit(0);
    ::_exit(lock.error() == Errc::kInUse ? 1 : 2);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

using LockTest = IoTest;

TEST_F(LockTest, S57_SecondProcessIsRefusedUntilTheLockIsClosed) {
  int error = 0;
  const auto lock = io_->lock_file(path("lock").c_str(), error);
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(lock_in_another_process(path("lock")), 1);
  io_->close(*lock);
  EXPECT_EQ(lock_in_another_process(path("lock")), 0);
}

TEST_F(LockTest, S57_LockEndsWithItsProcess) {
  EXPECT_EQ(lock_in_another_process(path("lock")), 0);
  int error = 0;
  const auto lock = io_->lock_file(path("lock").c_str(), error);
  ASSERT_TRUE(lock.has_value());
  io_->close(*lock);
}

TEST_F(LockTest, FailureToOpenIsNotInUse) {
  int error = 0;
  EXPECT_EQ(io_->lock_file(path("absent/lock").c_str(), error).error(), Errc::kIo);
  EXPECT_EQ(error, ENOENT);
}

}  // namespace
}  // namespace sluice::io
