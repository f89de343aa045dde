// After warm-up an operation costs no allocation: every operator new of this program is counted.
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/io/fixture.h"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

// Sanitizers bring their own and want to keep them; the count stays 0 there.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Not inlined: the compiler would see malloc() on one side and operator delete on the other.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace sluice::io {
namespace {

class AllocationTest : public SocketTest {
 protected:
  /// One of everything that a shard does all day, cancellations and timers among it.
  void round(Handle file) {
    const std::array<iovec, 2> slices = {slice_of("hello "), slice_of("again")};
    io_->send(sent_.completion, client_, slices);
    io_->recv(received_.completion, server_, buffer_);
    io_->write(written_.completion, file, buffer_, 0, false);
    io_->timer(near_.completion, io_->now_ns());
    io_->timer(far_.completion, io_->now_ns() + 3'600'000'000'000);
    io_->wait_for_wake(woken_.completion, *waker_);
    waker_->wake();
    await(sent_);
    await(received_);
    await(written_);
    await(near_);
    await(woken_);
    io_->cancel(far_.completion);
    await(far_);
  }

  std::array<std::byte, 4096> buffer_{};
  std::unique_ptr<Waker> waker_;
  Op sent_, received_, written_, near_, far_, woken_;
};

TEST_F(AllocationTest, NoneAfterWarmUp) {
  waker_ = io_->make_waker();
  const Handle file = open(path("file"));
  for (int i = 0; i < 20; ++i) round(file);
  const std::uint64_t before = allocations.load();
  for (int i = 0; i < 200; ++i) round(file);
  EXPECT_EQ(allocations.load(), before);
  io_->close(file);
}

}  // namespace
}  // namespace sluice::io
