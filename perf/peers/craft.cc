// peer_craft: Canonical's C-raft (libraft) with its own storage and its own transport, three
// processes on the loopback interface, the client in the leader's process: raft_apply(), one call
// an entry, as its users do.
//
// Durable: libraft writes with O_DIRECT and O_DSYNC before it answers. There are no snapshots while
// it is measured: they would cost it more.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {  // its headers do not say so themselves
#include <raft.h>
#include <raft/uv.h>
}

#include "tools/usage.h"
#include "perf/peers/load.h"

namespace sluice::peers {
namespace {

constexpr unsigned kNodes = 3;
/// The first node stands for election long before the others would, and is patient once it leads.
constexpr unsigned kEagerElectionMs = 300;
constexpr unsigned kElectionMs = 20'000;
constexpr unsigned kHeartbeatMs = 100;
constexpr std::uint64_t kLeaderNs = 30'000'000'000;

void check(int error, const char* what) {
  if (error != 0) throw std::runtime_error(fmt::format("{}: {}", what, raft_strerror(error)));
}

std::array<std::string, kNodes> free_addresses() {
  std::array<std::string, kNodes> addresses;
  std::array<int, kNodes> sockets{};
  for (unsigned i = 0; i < kNodes; ++i) {
    sockets[i] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(sockets[i], generic, size) != 0 || ::getsockname(sockets[i], generic, &size) != 0)
      throw std::runtime_error("no free port");
    addresses[i] = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  }
  for (const int socket : sockets) ::close(socket);
  return addresses;
}

int apply_nothing(raft_fsm*, const raft_buffer*, void** result) {
  *result = nullptr;
  return 0;
}
int snapshot_nothing(raft_fsm*, raft_buffer*[], unsigned*) { return RAFT_NOMEM; }
int restore_nothing(raft_fsm*, raft_buffer*) { return 0; }

/// One node, with the loop that runs it.
class Node {
 public:
  Node(unsigned index, const std::array<std::string, kNodes>& addresses,
       const std::string& directory) {
    check(uv_loop_init(&loop_), "uv_loop_init");
    check(raft_uv_tcp_init(&transport_, &loop_), "raft_uv_tcp_init");
    check(raft_uv_init(&io_, &loop_, directory.c_str(), &transport_), "raft_uv_init");
    raft_uv_set_connect_retry_delay(&io_, 50);
    fsm_.version = 1;
    fsm_.apply = apply_nothing;
    fsm_.snapshot = snapshot_nothing;
    fsm_.restore = restore_nothing;
    check(raft_init(&raft_, &io_, &fsm_, index + 1, addresses[index].c_str()), "raft_init");
    raft_configuration configuration;
    raft_configuration_init(&configuration);
    for (unsigned i = 0; i < kNodes; ++i)
      check(raft_configuration_add(&configuration, i + 1, addresses[i].c_str(), RAFT_VOTER),
            "raft_configuration_add");
    check(raft_bootstrap(&raft_, &configuration), "raft_bootstrap");
    raft_configuration_close(&configuration);
    raft_set_election_timeout(&raft_, index == 0 ? kEagerElectionMs : kElectionMs);
    raft_set_heartbeat_timeout(&raft_, kHeartbeatMs);
    raft_set_snapshot_threshold(&raft_, 1'000'000'000);
    check(raft_start(&raft_), "raft_start");
  }

  uv_loop_t* loop() { return &loop_; }
  raft* operator->() { return &raft_; }
  raft* get() { return &raft_; }

 private:
  uv_loop_t loop_{};
  raft_uv_transport transport_{};
  raft_io io_{};
  raft_fsm fsm_{};
  raft raft_{};
};

/// The load in the leader's loop: entries leave before the loop sleeps.
class Client {
 public:
  Client(Node& node, Load& load) : node_(node), load_(load), requests_(load.slots()) {
    for (Request& request : requests_) {
      request.raft.data = &request;
      request.client = this;
      request.slot = static_cast<std::uint32_t>(&request - requests_.data());
    }
    uv_prepare_init(node.loop(), &prepare_);
    prepare_.data = this;
    uv_timer_init(node.loop(), &timer_);
    timer_.data = this;
  }

  void run() {
    const std::uint64_t give_up_ns = tools::monotonic_ns() + kLeaderNs;
    // The loop must come back now and then, whether or not the node has something to do.
    uv_timer_start(
        &timer_, [](uv_timer_t*) {}, 10, 10);
    while (raft_state(node_.get()) != RAFT_LEADER) {
      if (tools::monotonic_ns() > give_up_ns) throw std::runtime_error("no leader");
      uv_run(node_.loop(), UV_RUN_ONCE);
    }
    raft_set_election_timeout(node_.get(), kElectionMs);
    load_.start();
    uv_prepare_start(&prepare_,
                     [](uv_prepare_t* handle) { static_cast<Client*>(handle->data)->submit(); });
    while (going_) uv_run(node_.loop(), UV_RUN_ONCE);
    if (!error_.empty()) throw std::runtime_error(error_);
  }

 private:
  struct Request {
    struct raft_apply raft {};
    Client* client = nullptr;
    std::uint32_t slot = 0;
  };

  void submit() {
    const std::uint64_t now_ns = tools::monotonic_ns();
    while (error_.empty() && load_.may_begin(now_ns)) apply(load_.begin(now_ns));
    try {
      going_ = error_.empty() && load_.go_on(now_ns);
    } catch (const std::exception& error) {
      error_ = error.what();
      going_ = false;
    }
    const auto ms = static_cast<std::uint64_t>(load_.wait_ms(now_ns));
    uv_timer_start(
        &timer_, [](uv_timer_t*) {}, going_ ? ms : 0, 0);
  }

  void apply(std::uint32_t slot) {
    raft_buffer buffer{};
    buffer.len = (load_.options().entry_bytes + 7) / 8 * 8;  // what libraft wants
    buffer.base = raft_malloc(buffer.len);
    std::memset(buffer.base, 'x', buffer.len);
    const int error = raft_apply(node_.get(), &requests_[slot].raft, &buffer, 1, on_applied);
    if (error != 0) error_ = fmt::format("raft_apply: {}", raft_errmsg(node_.get()));
  }

  static void on_applied(struct raft_apply* done, int status, void*) {
    auto* const request = static_cast<Request*>(done->data);
    if (status != 0) request->client->error_ = fmt::format("apply: {}", raft_strerror(status));
    request->client->load_.complete(request->slot, tools::monotonic_ns());
  }

  Node& node_;
  Load& load_;
  std::vector<Request> requests_;
  uv_prepare_t prepare_{};
  uv_timer_t timer_{};
  bool going_ = true;
  std::string error_;
};

[[noreturn]] void follow(unsigned index, const std::array<std::string, kNodes>& addresses,
                         const std::string& directory, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  try {
    Node node(index, addresses, directory);
    uv_run(node.loop(), UV_RUN_DEFAULT);
  } catch (const std::exception& error) {
    fmt::print(stderr, "follower {}: {}\n", index + 1, error.what());
  }
  ::_exit(1);
}

nlohmann::ordered_json measure(LoadOptions options, const std::string& data_dir) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::array<std::string, kNodes> addresses = free_addresses();
  std::array<std::string, kNodes> directories;
  for (unsigned i = 0; i < kNodes; ++i) {
    directories[i] = fmt::format("{}/craft-{}", data_dir, i + 1);
    if (::mkdir(directories[i].c_str(), 0700) != 0)
      throw std::runtime_error(fmt::format("{}: {}", directories[i], std::strerror(errno)));
  }
  const pid_t self = ::getpid();
  options.server_pids = {self};
  for (unsigned i = 1; i < kNodes; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork");
    if (pid == 0) follow(i, addresses, directories[i], self);
    options.server_pids.push_back(pid);
  }
  Load load(options);
  load.set_leader(0);
  load.set_in_process();
  Node node(0, addresses, directories[0]);
  Client client(node, load);
  client.run();
  for (unsigned i = 1; i < kNodes; ++i) {
    ::kill(options.server_pids[i], SIGKILL);
    ::waitpid(options.server_pids[i], nullptr, 0);
  }
  nlohmann::ordered_json report = load.report();
  // The node would write on while its memory goes away.
  fmt::print("{}\n", report.dump());
  std::fflush(stdout);
  ::_exit(0);
}

}  // namespace
}  // namespace sluice::peers

int main(int argc, char** argv) {
  CLI::App app("Measures C-raft with the client in the leader's process.");
  sluice::peers::LoadOptions options;
  std::string data_dir;
  sluice::peers::declare(app, options);
  app.add_option("--data-dir", data_dir, "a directory without anything of C-raft")
      ->required()
      ->check(CLI::ExistingDirectory);
  return sluice::peers::run_driver(app, argc, argv,
                                   [&] { return sluice::peers::measure(options, data_dir); });
}
