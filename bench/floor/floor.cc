// sluice_floor: the least that a commit on three nodes costs on this machine.
//
// One leader and two followers, processes on the loopback interface, each with a disk of its own
// (see disk.h), do the physical work of a replicated log and nothing else: a checksum at each hop,
// a durable write on each, a commit when two of three have it. There is no Raft, no client, no
// recovery. What the engine reaches is reported as a share of this, measured in the same run
// (perf/compare).
//
// To see that it works (no figure of a run this short means anything):
//   build/release/bench/sluice_floor --seconds 1 --data-dir /var/tmp
//   build/release/bench/sluice_floor --seconds 1 --rate 10000 --json
// It fails if a follower finds a gap, a wrong checksum, or an end within a batch, or if one of the
// three has not all entries on its disk in the end.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "bench/floor/disk.h"
#include "bench/floor/follower.h"
#include "bench/floor/leader.h"
#include "bench/floor/options.h"

namespace sluice::floor {
namespace {

using Json = nlohmann::ordered_json;

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

void send_at_once(int socket) {
  const int on = 1;
  checked(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
}

/// A socket that listens on the loopback interface, and where.
struct Listener {
  Listener() : socket(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    checked(::bind(socket, generic, size), "bind");
    checked(::listen(socket, kFollowers), "listen");
    checked(::getsockname(socket, generic, &size), "getsockname");
  }
  [[nodiscard]] int accept() const {
    const int accepted = checked(::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC), "accept");
    send_at_once(accepted);
    return accepted;
  }
  [[nodiscard]] int connect() const {
    const int made = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    checked(::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address),
            "connect");
    send_at_once(made);
    return made;
  }

  int socket;
  sockaddr_in address{};
};

/// One of the three.
struct Child {
  std::string name;
  pid_t pid = 0;
  int result = -1;  // a pipe: its JSON, which is smaller than the pipe
  std::uint64_t rss_bytes_max = 0;
};

Child start(const std::string& name, const std::function<Json()>& work) {
  int ends[2];
  checked(::pipe2(ends, O_CLOEXEC), "pipe");
  const pid_t parent = ::getpid();
  const pid_t pid = checked(::fork(), "fork");
  if (pid != 0) {
    ::close(ends[1]);
    return {name, pid, ends[0], 0};
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  int status = 1;
  try {
    const std::string text = work().dump();
    status =
        ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "sluice_floor: {}: {}\n", name, error.what());
  }
  ::_exit(status);
}

std::string read_all(int file) {
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size = 0; (size = ::read(file, part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(size));
  return text;
}

/// False if one of them failed; the others are killed then.
bool wait_for(std::vector<Child>& children) {
  bool good = true;
  for (std::size_t left = children.size(); left > 0; --left) {
    int status = 0;
    rusage usage{};
    const pid_t pid = checked(::wait4(-1, &status, 0, &usage), "wait4");
    const bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    for (Child& child : children) {
      if (child.pid == pid) {
        child.rss_bytes_max = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
        child.pid = 0;
      } else if (failed && good && child.pid != 0) {
        ::kill(child.pid, SIGKILL);
      }
    }
    good = good && !failed;
  }
  return good;
}

Json options_json(const Options& options) {
  return {{"entry_bytes", options.entry_bytes},
          {"outstanding", options.outstanding},
          {"batch_bytes_max", options.batch_bytes_max},
          {"seconds", options.seconds},
          {"warmup_seconds", options.warmup_seconds},
          {"disk_depth", options.disk_depth},
          {"deeper_bytes", options.deeper_bytes},
          {"rate", options.rate > 0 ? Json(options.rate) : Json()},
          {"file_bytes", options.file_bytes},
          {"data_dir", options.data_dir}};
}

void print_table(const Json& result) {
  const Json& latency = result["latency_ms"];
  const Json& cpu = result["cpu_us_per_entry"];
  fmt::print(
      "  entries/s             {:.0f} ({:.1f} MB/s)\n"
      "  latency               p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  p99.99 {:.3f}  "
      "max {:.3f} ms\n"
      "  CPU per entry         leader {:.3f}, followers {:.3f} and {:.3f}, machine {:.3f} us\n"
      "  leader's disk         {:.0f} writes/s of {:.1f} entries\n",
      result["entries_per_s"].get<double>(), result["bytes_per_s"].get<double>() / 1e6,
      latency["p50"].get<double>(), latency["p90"].get<double>(), latency["p99"].get<double>(),
      latency["p999"].get<double>(), latency["p9999"].get<double>(), latency["max"].get<double>(),
      cpu["leader"].get<double>(), cpu["follower_1"].get<double>(), cpu["follower_2"].get<double>(),
      cpu["machine"].get<double>(), result["writes_per_s"].get<double>(),
      result["entries_per_write"].get<double>());
}

bool on_tmpfs(const std::string& directory) {
  struct statfs info {};
  checked(::statfs(directory.c_str(), &info), directory.c_str());
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

int run(const Options& options, bool as_json) {
  const bool tmpfs = on_tmpfs(options.data_dir);
  const Listener listener;
  std::vector<Child> children;
  std::array<pid_t, kFollowers> followers{};
  for (std::size_t i = 0; i < kFollowers; ++i) {
    children.push_back(start(fmt::format("follower {}", i + 1), [&] {
      Follower follower(options);
      return follower.run(listener.connect());
    }));
    followers[i] = children.back().pid;
  }
  children.push_back(start("leader", [&] {
    Leader leader(options, followers);
    std::array<int, kFollowers> sockets{};
    for (int& socket : sockets) socket = listener.accept();
    return leader.run(sockets);
  }));
  if (!wait_for(children)) return 1;

  Json result = Json::parse(read_all(children[kFollowers].result));
  result["followers"] = Json::array();
  for (std::size_t i = 0; i < kFollowers; ++i) {
    const Json follower = Json::parse(read_all(children[i].result));
    if (follower["entries"] != result["entries_in_all"]) {
      fmt::print(stderr, "sluice_floor: follower {} has {} of {} entries\n", i + 1,
                 follower["entries"].dump(), result["entries_in_all"].dump());
      return 1;
    }
    result["followers"].push_back(follower);
  }
  for (const Child& child : children) result["rss_bytes_max"].push_back(child.rss_bytes_max);
  result["tmpfs"] = tmpfs;
  result["options"] = options_json(options);
  if (as_json) {
    fmt::print("{}\n", result.dump());
  } else {
    print_table(result);
  }
  if (tmpfs)
    fmt::print(stderr, "WARNING: {} is in memory (tmpfs): nothing here was made durable\n",
               options.data_dir);
  return 0;
}

}  // namespace
}  // namespace sluice::floor

int main(int argc, char** argv) {
  using sluice::floor::Options;
  Options options;
  options.data_dir = "/var/tmp";
  bool as_json = false;
  CLI::App app(
      "The least that a commit on three nodes costs on this machine: durable writes, "
      "loopback, checksums, and nothing else.");
  const CLI::AsSizeValue size(false);
  app.add_option("--entry-bytes", options.entry_bytes, "size of an entry")
      ->transform(size)
      ->check(CLI::Range(8, 16 << 20));
  CLI::Option* const outstanding =
      app.add_option("--outstanding", options.outstanding,
                     "entries without a commit at any time; with --rate the most there may be, by "
                     "default 65536")
          ->check(CLI::Range(1, 1'000'000));
  app.add_option("--batch-bytes-max", options.batch_bytes_max, "largest batch")
      ->transform(size)
      ->check(CLI::Range(4096, 16 << 20));
  app.add_option("--seconds", options.seconds, "how long to measure")
      ->check(CLI::Range(0.01, 86'400.0));
  app.add_option("--warmup-seconds", options.warmup_seconds, "load before measuring")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--disk-depth", options.disk_depth, "writes in flight on each disk")
      ->check(CLI::Range(1u, sluice::floor::Disk::kDepthMax));
  app.add_option("--deeper-bytes", options.deeper_bytes,
                 "what must be pending for a write besides one in flight")
      ->transform(size);
  app.add_option("--rate", options.rate,
                 "open loop: entries per second, the latency counted from the moment an entry was "
                 "due; 0: closed loop")
      ->check(CLI::Range(0.0, 1e8));
  app.add_option("--file-bytes", options.file_bytes, "size of each of the three files")
      ->transform(size)
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 40));
  app.add_option("--data-dir", options.data_dir, "a directory on the disk to measure")
      ->check(CLI::ExistingDirectory);
  app.add_flag("--json", as_json, "print one JSON object");
  app.option_defaults()->always_capture_default();
  CLI11_PARSE(app, argc, argv);
  if (options.rate > 0 && outstanding->empty()) options.outstanding = 65'536;
  if (options.entry_bytes + sizeof(sluice::floor::EntryLength) > options.batch_bytes_max) {
    fmt::print(stderr, "sluice_floor: an entry does not fit in --batch-bytes-max\n");
    return 2;
  }
  try {
    return sluice::floor::run(options, as_json);
  } catch (const std::exception& error) {
    fmt::print(stderr, "sluice_floor: {}\n", error.what());
    return 1;
  }
}
