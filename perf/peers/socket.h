// A TCP connection to a server on this machine that never blocks, with what was read and what is to
// be written: many entries leave with one system call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::peers {

class Socket {
 public:
  /// HOST:PORT, the host by number. Throws std::runtime_error.
  explicit Socket(const std::string& address);
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;

  void put(std::string_view bytes) { out_ += bytes; }
  /// Writes as much as the kernel takes. Throws if the connection is gone.
  void flush();
  /// Reads all there is into in(). Throws if the connection is gone.
  void fill();
  [[nodiscard]] std::string_view in() const { return std::string_view(in_).substr(taken_); }
  /// The first bytes of in() are done with.
  void take(std::size_t size_bytes) { taken_ += size_bytes; }

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool wants_to_write() const { return !out_.empty(); }

 private:
  int descriptor_ = -1;
  std::string out_, in_;
  std::size_t taken_ = 0;
};

/// Sleeps until one of them can go on, at most `wait_ns`.
void wait_for(std::span<const Socket* const> sockets, std::uint64_t wait_ns);
void wait_for(const Socket& socket, std::uint64_t wait_ns);

}  // namespace sluice::peers
