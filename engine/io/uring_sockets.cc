// Sockets of UringIo: TCP only, small messages leave at once (TCP_NODELAY).
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "engine/io/uring_io_impl.h"

namespace sluice::io {
namespace {

constexpr int kListenBacklog = 1024;
constexpr std::size_t kTransferBytesMax = std::size_t{1} << 30;

int descriptor(Handle handle) { return static_cast<int>(handle); }

const sockaddr* system_address(const Endpoint& endpoint) {
  return reinterpret_cast<const sockaddr*>(endpoint.storage);
}

/// A TCP socket of the endpoint's family, or -errno.
int make_socket(const Endpoint& endpoint) {
  const int family = system_address(endpoint)->sa_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  if (::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0) return fd;
  const int error = errno;
  ::close(fd);
  return -error;
}

/// 0 or -errno.
int bind_and_listen(int fd, const Endpoint& endpoint) {
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return -errno;
  if (::bind(fd, system_address(endpoint), endpoint.size_bytes) != 0) return -errno;
  if (::listen(fd, kListenBacklog) != 0) return -errno;
  return 0;
}

}  // namespace

Result<Handle> UringIo::listen(const Endpoint& endpoint, int& error) {
  const int fd = make_socket(endpoint);
  if (fd < 0) {
    error = -fd;
    return fail(Errc::kIo);
  }
  const int result = bind_and_listen(fd, endpoint);
  if (result < 0) {
    ::close(fd);
    error = -result;
    return fail(Errc::kIo);
  }
  return Handle{fd};
}

std::uint16_t UringIo::local_port(Handle socket) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  SLUICE_CHECK(::getsockname(descriptor(socket), reinterpret_cast<sockaddr*>(&address), &size) ==
               0);
  // The port stands at the same place in sockaddr_in and sockaddr_in6.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  in_port_t port = 0;
  std::memcpy(&port, reinterpret_cast<const char*>(&address) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  return ntohs(port);
}

// The new socket inherits TCP_NODELAY from its listener.
void UringIo::accept(Completion& completion, Handle listener) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_accept(&sqe, descriptor(listener), nullptr, nullptr, SOCK_CLOEXEC);
  name(sqe, completion);
}

void UringIo::connect(Completion& completion, const Endpoint& endpoint) {
  const int fd = make_socket(endpoint);
  if (fd < 0) return begin_ready(completion, fd);
  const std::uint32_t index = take_slot();
  Slot& own = slot(index);
  own.endpoint = endpoint;
  own.socket = fd;
  io_uring_sqe& sqe = begin(completion, Kind::kConnect, index);
  io_uring_prep_connect(&sqe, fd, system_address(own.endpoint), own.endpoint.size_bytes);
  name(sqe, completion);
}

void UringIo::recv(Completion& completion, Handle socket, std::span<std::byte> buffer) {
  io_uring_sqe& sqe = begin(completion, Kind::kPlain);
  io_uring_prep_recv(&sqe, descriptor(socket), buffer.data(),
                     std::min(buffer.size(), kTransferBytesMax), 0);
  name(sqe, completion);
}

void UringIo::send(Completion& completion, Handle socket, std::span<const iovec> slices) {
  if (slices.size() == 1) {
    io_uring_sqe& sqe = begin(completion, Kind::kPlain);
    io_uring_prep_send(&sqe, descriptor(socket), slices[0].iov_base,
                       std::min(slices[0].iov_len, kTransferBytesMax), MSG_NOSIGNAL);
    name(sqe, completion);
    return;
  }
  const std::uint32_t index = take_slot();
  msghdr& message = slot(index).message;
  message = {};
  message.msg_iov = const_cast<iovec*>(slices.data());  // read only: this is a send
  message.msg_iovlen = std::min<std::size_t>(slices.size(), IOV_MAX);
  io_uring_sqe& sqe = begin(completion, Kind::kSendMessage, index);
  io_uring_prep_sendmsg(&sqe, descriptor(socket), &message, MSG_NOSIGNAL);
  name(sqe, completion);
}

void UringIo::shutdown(Handle socket) { (void)::shutdown(descriptor(socket), SHUT_RDWR); }

}  // namespace sluice::io
