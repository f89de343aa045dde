#include "tools/bench_cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>

#include "tools/errors.h"
#include "tools/usage.h"

extern char** environ;

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

constexpr int kStopMs = 10'000;  // after SIGTERM, before SIGKILL

/// A fresh directory in `place`, which is made if it is missing.
std::string make_directory(const std::string& place) {
  std::error_code ignored;
  fs::create_directories(place, ignored);  // mkdtemp tells what is wrong
  std::string path = fs::absolute(place).lexically_normal() / "sluice-bench-XXXXXX";
  if (::mkdtemp(path.data()) != nullptr) return path;
  throw Failure(fmt::format("cannot make a directory in {}: {} (choose another --data-dir)", place,
                            std::strerror(errno)));
}

bool port_is_free(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const int on = 1;
  (void)::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool free = ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                    ::listen(socket, 1) == 0;
  ::close(socket);
  return free;
}

void sleep_ms(long ms) {
  const timespec time{ms / 1000, ms % 1000 * 1'000'000};
  (void)::nanosleep(&time, nullptr);
}

}  // namespace

bool on_tmpfs(const std::string& directory) {
  struct statfs info {};
  return ::statfs(directory.c_str(), &info) == 0 &&
         (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

std::string default_data_dir() {
  for (const char* place : {"/var/tmp", "."})
    if (!on_tmpfs(place) && ::access(place, W_OK) == 0) return place;
  return "/tmp";
}

std::vector<std::uint16_t> free_ports(std::uint32_t count) {
  std::random_device random;
  std::uniform_int_distribution<int> below_ephemeral(10'240, 32'000);
  std::vector<std::uint16_t> ports;
  for (int tries = 0; ports.size() < count && tries < 10'000; ++tries) {
    const auto port = static_cast<std::uint16_t>(below_ephemeral(random));
    if (std::ranges::find(ports, port) == ports.end() && port_is_free(port)) ports.push_back(port);
  }
  if (ports.size() < count) throw Failure("no free ports on 127.0.0.1");
  return ports;
}

BenchCluster::BenchCluster(const Options& options) : options_(options) {
  std::random_device random;
  name_ = fmt::format("bench-{:08x}", random());
  directory_ = make_directory(options.data_dir.empty() ? default_data_dir() : options.data_dir);
  try {
    std::vector<std::string> peers;
    for (const std::uint16_t port : free_ports(options.nodes)) {
      addresses_.push_back(fmt::format("127.0.0.1:{}", port));
      peers.push_back(fmt::format("--peer={}={}", addresses_.size(), addresses_.back()));
    }
    if (options.without_first) pids_.push_back(0);
    for (auto node = static_cast<std::uint32_t>(pids_.size() + 1); node <= options.nodes; ++node)
      start_node(node, peers);
  } catch (...) {
    clear_away();
    throw;
  }
}

BenchCluster::~BenchCluster() { clear_away(); }

void BenchCluster::clear_away() {
  stop_nodes();
  std::error_code ignored;
  if (!options_.keep) fs::remove_all(directory_, ignored);
}

void BenchCluster::start_node(std::uint32_t node, const std::vector<std::string>& peers) {
  std::vector<std::string> arguments = {"sluice",
                                        "serve",
                                        fmt::format("--node-id={}", node),
                                        "--cluster-id=" + name_,
                                        fmt::format("--data-dir={}/node-{}", directory_, node),
                                        "--listen=" + addresses_[node - 1],
                                        fmt::format("--die-with-parent={}", ::getpid())};
  arguments.insert(arguments.end(), peers.begin(), peers.end());
  arguments.insert(arguments.end(), options_.serve_options.begin(), options_.serve_options.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  const std::string log = fmt::format("{}/node-{}.log", directory_, node);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);

  // A process group of its own: a Ctrl-C at the terminal is for the benchmark, which stops them.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);

  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, "/proc/self/exe", &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0)
    throw Failure(fmt::format("cannot start node {}: {}", node, std::strerror(error)));
  pids_.push_back(pid);
}

void BenchCluster::check_alive() {
  for (std::uint32_t node = 1; node <= pids_.size(); ++node) {
    pid_t& pid = pids_[node - 1];
    if (pid == 0 || ::waitpid(pid, nullptr, WNOHANG) != pid) continue;
    pid = 0;
    throw Failure(fmt::format("node {} ended: {}", node, last_words(node)));
  }
}

std::string BenchCluster::last_words(std::uint32_t node) const {
  std::ifstream file(fmt::format("{}/node-{}.log", directory_, node));
  std::string line, last = "it wrote nothing";
  while (std::getline(file, line))
    if (!line.empty()) last = line;
  return last;
}

void BenchCluster::stop_nodes() {
  for (const pid_t pid : pids_)
    if (pid != 0) ::kill(pid, SIGTERM);
  int waited_ms = 0;
  for (pid_t& pid : pids_) {
    while (pid != 0 && ::waitpid(pid, nullptr, WNOHANG) == 0) {
      if (waited_ms >= kStopMs) ::kill(pid, SIGKILL);
      sleep_ms(5);
      waited_ms += 5;
    }
    pid = 0;
  }
}

std::uint64_t BenchCluster::cpu_ns() const {
  std::uint64_t sum = 0;
  for (const pid_t pid : pids_) sum += pid == 0 ? 0 : process_cpu_ns(pid);
  return sum;
}

}  // namespace sluice::tools
