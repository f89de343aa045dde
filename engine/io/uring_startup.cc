// What UringIo does with plain system calls, before the loop runs: names, directories, locks.
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "engine/io/uring_io_impl.h"

namespace sluice::io {
namespace {

struct HostAndPort {
  std::string host;
  std::string port;
};

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  unsigned value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + static_cast<unsigned>(digit - '0');
  }
  return value <= 65535;
}

/// Splits "host:port" and "[v6]:port". A bare v6 address is refused: its last colon says nothing.
std::optional<HostAndPort> split(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return {};
  }
  if (host.empty() || !is_port(port)) return {};
  return HostAndPort{std::string(host), std::string(port)};
}

/// IPv4 where a name has both, so that "localhost" means the same to who listens and who connects.
const addrinfo& preferred(const addrinfo& first) {
  for (const addrinfo* at = &first; at != nullptr; at = at->ai_next) {
    if (at->ai_family == AF_INET) return *at;
  }
  return first;
}

bool is_directory(const char* path) {
  struct stat about {};
  return ::stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

std::unexpected<Errc> io_failure(int& error) {
  error = errno;
  return fail(Errc::kIo);
}

}  // namespace

Result<Endpoint> UringIo::resolve(std::string_view address) {
  const std::optional<HostAndPort> parts = split(address);
  if (!parts) return fail(Errc::kInvalidRequest);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found) != 0) {
    return fail(Errc::kUnreachable);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const addrinfo& chosen = preferred(*found);
  Endpoint endpoint;
  SLUICE_CHECK(chosen.ai_addrlen <= sizeof endpoint.storage);
  std::memcpy(endpoint.storage, chosen.ai_addr, chosen.ai_addrlen);
  endpoint.size_bytes = chosen.ai_addrlen;
  return endpoint;
}

Result<std::vector<std::string>> UringIo::list_directory(const char* path, int& error) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path), &::closedir);
  if (!directory) return io_failure(error);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;  // the only way to tell the end from a failure
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return io_failure(error);
  return names;
}

Result<void> UringIo::make_directory(const char* path, int& error) {
  if (::mkdir(path, 0755) == 0) return {};
  error = errno;
  if (error == EEXIST && is_directory(path)) {
    error = 0;
    return {};
  }
  return fail(Errc::kIo);
}

Result<Handle> UringIo::lock_file(const char* path, int& error) {
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return io_failure(error);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return Handle{fd};
  error = errno;
  ::close(fd);
  return fail(error == EWOULDBLOCK ? Errc::kInUse : Errc::kIo);
}

Result<std::uint64_t> UringIo::file_size(const char* path, int& error) {
  struct stat about {};
  if (::stat(path, &about) != 0) return io_failure(error);
  return static_cast<std::uint64_t>(about.st_size);
}

}  // namespace sluice::io
