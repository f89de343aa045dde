// Sockets of uring_io: bytes there and back, and each way in which a connection ends.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "tests/io/fixture.h"

namespace sluice::io {
namespace {

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

TEST_F(SocketTest, GatheredBytesComeBackInOrder) {
  const std::array<iovec, 3> slices = {slice_of("one "), slice_of("two "), slice_of("three")};
  EXPECT_EQ(send(client_, slices), 13);
  std::vector<std::byte> buffer(64);
  EXPECT_EQ(recv(server_, buffer), 13);
  EXPECT_EQ(text_of(std::span(buffer).first(13)), "one two three");

  const std::array<iovec, 1> reply = {slice_of("reply")};
  EXPECT_EQ(send(server_, reply), 5);
  EXPECT_EQ(recv(client_, buffer), 5);
  EXPECT_EQ(text_of(std::span(buffer).first(5)), "reply");
}

TEST_F(SocketTest, BothEndsSendWithoutDelayAndCloseOnExec) {
  for (const Handle end : {client_, server_}) {
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    ASSERT_EQ(::getsockopt(static_cast<int>(end), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    EXPECT_EQ(no_delay, 1);
    EXPECT_EQ(::fcntl(static_cast<int>(end), F_GETFD), FD_CLOEXEC);
  }
}

TEST_F(SocketTest, SendIsShortOrWaitsWhenTheOtherSideDoesNotRead) {
  const std::string block(8 << 20, 'x');
  std::uint64_t sent = 0;
  Op op;
  bool was_short = false;
  // Fills both socket buffers, until a send stays pending.
  Op idle;
  do {
    const iovec slice = slice_of(block);
    io_->send(op.completion, client_, std::span(&slice, 1));
    io_->timer(idle.completion, io_->now_ns() + 50'000'000);
    await(idle);
    if (!op.completion.pending()) {
      ASSERT_GT(op.result, 0);
      was_short = was_short || static_cast<std::size_t>(op.result) < block.size();
      sent += static_cast<std::uint64_t>(op.result);
    }
  } while (!op.completion.pending());
  EXPECT_TRUE(was_short);

  // Reading makes room; the send that waited goes on.
  std::vector<std::byte> buffer(1 << 20);
  std::uint64_t received = 0;
  while (op.completion.pending()) {
    const std::int32_t got = recv(server_, buffer);
    ASSERT_GT(got, 0);
    received += static_cast<std::uint64_t>(got);
  }
  ASSERT_GT(op.result, 0);
  sent += static_cast<std::uint64_t>(op.result);
  while (received < sent) {
    const std::int32_t got = recv(server_, buffer);
    ASSERT_GT(got, 0);
    received += static_cast<std::uint64_t>(got);
  }
  EXPECT_EQ(received, sent);
}

TEST_F(SocketTest, CloseOfTheOtherSideReadsAsZero) {
  Op op;
  std::vector<std::byte> buffer(16);
  io_->recv(op.completion, server_, buffer);
  close(client_);
  EXPECT_EQ(await(op), 0);
}

TEST_F(SocketTest, SendAfterTheOtherSideIsGoneFailsWithoutASignal) {
  close(server_);
  const iovec slice = slice_of("x");
  std::int32_t result = 0;
  for (int i = 0; i < 100 && result >= 0; ++i) result = send(client_, std::span(&slice, 1));
  EXPECT_TRUE(result == -EPIPE || result == -ECONNRESET) << result;
  const std::array<iovec, 2> two = {slice, slice};
  EXPECT_EQ(send(client_, two), -EPIPE);
}

TEST_F(SocketTest, ShutdownCompletesPendingRecv) {
  Op op;
  std::vector<std::byte> buffer(16);
  io_->recv(op.completion, server_, buffer);
  Op armed;
  io_->timer(armed.completion, io_->now_ns());
  await(armed);  // the recv is in the kernel now
  ASSERT_TRUE(op.completion.pending());
  io_->shutdown(server_);
  EXPECT_EQ(await(op), 0);
}

TEST_F(SocketTest, RefusedConnectionIsReportedAndItsSocketClosed) {
  close(listener_);
  const std::ptrdiff_t before = open_descriptors();
  Op op;
  io_->connect(op.completion, endpoint_);
  EXPECT_EQ(await(op), -ECONNREFUSED);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(SocketTest, PortInUseIsReported) {
  int error = 0;
  EXPECT_EQ(io_->listen(endpoint_, error).error(), Errc::kIo);
  EXPECT_EQ(error, EADDRINUSE);
}

TEST_F(SocketTest, CancelEndsRecvAcceptAndSend) {
  Op received;
  std::vector<std::byte> buffer(16);
  io_->recv(received.completion, server_, buffer);
  Op accepted;
  io_->accept(accepted.completion, listener_);

  const std::string block(8 << 20, 'x');
  const std::array<iovec, 2> slices = {slice_of(block), slice_of(block)};
  Op sent;
  Op idle;
  do {
    io_->send(sent.completion, server_, slices);
    io_->timer(idle.completion, io_->now_ns() + 50'000'000);
    await(idle);
  } while (!sent.completion.pending());

  for (Op* op : {&received, &accepted, &sent}) {
    ASSERT_TRUE(op->completion.pending());
    io_->cancel(op->completion);
    EXPECT_TRUE(op->completion.pending());  // never from inside the submitting call
    EXPECT_EQ(await(*op), -ECANCELED);
    io_->cancel(op->completion);  // no longer pending: nothing to do
  }
  EXPECT_EQ(io_->pending(), 0u);
}

TEST_F(SocketTest, CancelBeforeTheKernelSawTheOperation) {
  Op op;
  std::vector<std::byte> buffer(16);
  io_->recv(op.completion, server_, buffer);
  io_->cancel(op.completion);
  EXPECT_EQ(await(op), -ECANCELED);
}

TEST_F(SocketTest, CancelledCompletionIsFreeForTheNextOperation) {
  // The bytes are there, so the recv may win against its cancellation; the next recv on the same
  // completion must not be hit by it.
  std::vector<std::byte> buffer(16);
  for (int round = 0; round < 50; ++round) {
    const iovec slice = slice_of("x");
    ASSERT_EQ(send(client_, std::span(&slice, 1)), 1);
    Op op;
    io_->recv(op.completion, server_, buffer);
    io_->cancel(op.completion);
    if (await(op) == -ECANCELED) continue;
    io_->recv(op.completion, server_, buffer);
    ASSERT_EQ(send(client_, std::span(&slice, 1)), 1);
    EXPECT_GE(await(op), 1);
  }
}

TEST_F(SocketTest, CancelEndsConnectAndClosesItsSocket) {
  // A listener that accepts nothing and whose queue is full leaves a connect waiting.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(listener, 0);
  const Endpoint any = *io_->resolve("127.0.0.1:0");
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(any.storage), any.size_bytes), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  const Endpoint full =
      *io_->resolve("127.0.0.1:" + std::to_string(io_->local_port(Handle{listener})));
  std::vector<std::unique_ptr<Op>> filling;
  Op idle;
  do {
    filling.push_back(std::make_unique<Op>());
    io_->connect(filling.back()->completion, full);
    io_->timer(idle.completion, io_->now_ns() + 50'000'000);
    await(idle);
  } while (!filling.back()->completion.pending() && filling.size() < 64);
  Op& waiting = *filling.back();
  ASSERT_TRUE(waiting.completion.pending());

  const std::ptrdiff_t before = open_descriptors();
  io_->cancel(waiting.completion);
  EXPECT_EQ(await(waiting), -ECANCELED);
  EXPECT_EQ(open_descriptors(), before - 1);
  filling.pop_back();
  for (const auto& op : filling) io_->close(Handle{op->result});
  io_->close(Handle{listener});
}

// S51: without descriptors a connect is refused by itself; everything else goes on.
TEST_F(SocketTest, S51_NoDescriptorsLeftIsReported) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit none = old;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  Op op;
  io_->connect(op.completion, endpoint_);
  EXPECT_EQ(op.fired, 0);
  const std::int32_t result = await(op);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(result, -EMFILE);
}

TEST_F(SocketTest, AddressesAreSplitAndResolved) {
  EXPECT_TRUE(io_->resolve("127.0.0.1:80").has_value());
  EXPECT_TRUE(io_->resolve("[::1]:65535").has_value());
  const auto local = io_->resolve("localhost:80");
  ASSERT_TRUE(local.has_value());
  EXPECT_EQ(reinterpret_cast<const sockaddr*>(local->storage)->sa_family, AF_INET);
  for (const char* bad : {"", "127.0.0.1", ":80", "host:", "host:70000", "host:8x", "::1:80",
                          "[::1:80", "[]:80", "a:b:80"}) {
    EXPECT_EQ(io_->resolve(bad).error(), Errc::kInvalidRequest) << bad;
  }
}

}  // namespace
}  // namespace sluice::io
