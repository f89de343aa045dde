#include "perf/peers/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

namespace sluice::peers {
namespace {

constexpr std::size_t kReadBytes = 256u << 10;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

}  // namespace

Socket::Socket(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in target{};
  target.sin_family = AF_INET;
  if (colon == std::string::npos ||
      ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &target.sin_addr) != 1)
    throw std::runtime_error(address + " is no HOST:PORT");
  target.sin_port = htons(static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1))));
  descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (descriptor_ < 0 ||
      ::connect(descriptor_, reinterpret_cast<sockaddr*>(&target), sizeof target) != 0 ||
      ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      ::fcntl(descriptor_, F_SETFL, O_NONBLOCK) != 0)
    fail(address);
}

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Socket::Socket(Socket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      out_(std::move(other.out_)),
      in_(std::move(other.in_)),
      taken_(other.taken_) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(out_, other.out_);
  std::swap(in_, other.in_);
  std::swap(taken_, other.taken_);
  return *this;
}

void Socket::flush() {
  if (out_.empty()) return;
  const ssize_t size = ::send(descriptor_, out_.data(), out_.size(), MSG_NOSIGNAL);
  if (size < 0 && errno != EAGAIN && errno != EINTR) fail("send");
  if (size > 0) out_.erase(0, static_cast<std::size_t>(size));
}

void Socket::fill() {
  if (taken_ > 0) {
    in_.erase(0, taken_);
    taken_ = 0;
  }
  const std::size_t before = in_.size();
  in_.resize(before + kReadBytes);
  const ssize_t size = ::recv(descriptor_, in_.data() + before, kReadBytes, 0);
  const int error = errno;
  in_.resize(before + static_cast<std::size_t>(size > 0 ? size : 0));
  if (size == 0) throw std::runtime_error("the server closed the connection");
  errno = error;
  if (size < 0 && error != EAGAIN && error != EINTR) fail("recv");
}

void wait_for(std::span<const Socket* const> sockets, std::uint64_t wait_ns) {
  std::vector<pollfd> waits(sockets.size());
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    waits[i].fd = sockets[i]->descriptor();
    waits[i].events = static_cast<short>(POLLIN | (sockets[i]->wants_to_write() ? POLLOUT : 0));
  }
  const timespec time{static_cast<time_t>(wait_ns / 1'000'000'000),
                      static_cast<long>(wait_ns % 1'000'000'000)};
  (void)::ppoll(waits.data(), waits.size(), &time, nullptr);
}

void wait_for(const Socket& socket, std::uint64_t wait_ns) {
  const Socket* const one = &socket;
  wait_for(std::span(&one, 1), wait_ns);
}

}  // namespace sluice::peers
