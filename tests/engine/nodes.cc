#include "tests/engine/nodes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

#include "engine/io/uring_io.h"

namespace sluice {
namespace {

/// Ports below those that the kernel gives to outgoing connections, that nobody has now.
std::vector<std::uint16_t> free_ports(std::size_t count) {
  std::random_device random;
  std::uniform_int_distribution<int> below_ephemeral(10'240, 32'000);
  std::vector<std::uint16_t> ports;
  std::vector<int> sockets;
  while (ports.size() < count) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(below_ephemeral(random)));
    if (::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      ports.push_back(ntohs(address.sin_port));
    }
    sockets.push_back(socket);
  }
  for (const int socket : sockets) ::close(socket);
  return ports;
}

/// Reads with a network client of its own.
struct Reader : client::Events {
  void on_append(std::uint64_t, const client::AppendOutcome&) override {}
  void on_read(std::uint64_t, const client::ReadOutcome& outcome) override {
    code = outcome.code;
    count = outcome.entries.size();
    answered = true;
    for (const client::Entry& entry : outcome.entries) {
      last = entry.index;
      if (entry.internal) continue;
      entries[entry.index.value()].assign(reinterpret_cast<const char*>(entry.data.data()),
                                          entry.data.size());
    }
  }
  bool answered = false;
  Errc code = Errc::kOk;
  std::size_t count = 0;
  Index last;
  std::map<std::uint64_t, std::string> entries;
};

}  // namespace

Nodes::Nodes(const Options& options) {
  // Below the working directory, which is on the disk that is built on: /tmp may be in memory.
  directory_ = options.directory;
  if (directory_.empty()) {
    std::string pattern = "./engine-test-XXXXXX";
    SLUICE_CHECK(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
  }
  std::filesystem::create_directories(directory_);
  Config config;
  config.cluster_name = "engine-test";
  config.groups = options.groups;
  config.shards = options.shards;
  config.segment_bytes = 8u << 20;
  config.tail_bytes = 16u << 20;
  config.batch_bytes_max = options.batch_bytes_max;
  config.uncommitted_bytes_max = options.uncommitted_bytes_max;
  config.pin = false;
  config.tick_ms = 5;
  config.election_timeout_ms = 200;
  config.heartbeat_ms = 20;
  for (const std::uint16_t port : free_ports(options.nodes)) {
    addresses_.push_back("127.0.0.1:" + std::to_string(port));
    config.peers.push_back(
        {NodeId(static_cast<std::uint32_t>(addresses_.size())), addresses_.back()});
  }
  for (std::uint32_t i = 0; i < options.nodes; ++i) {
    config.node_id = NodeId(i + 1);
    config.data_dir = directory_ + "/node-" + std::to_string(i + 1);
    config.listen = addresses_[i];
    auto engine = Engine::start(config);
    if (!engine) std::fprintf(stderr, "%s\n", engine.error().c_str());
    SLUICE_CHECK(engine.has_value());
    engines_.push_back(std::move(*engine));
  }
}

Nodes::~Nodes() {
  engines_.clear();
  std::filesystem::remove_all(directory_);
}

void Nodes::stop(std::size_t position) {
  engines_[position]->request_stop();
  EXPECT_EQ(engines_[position]->wait(), "");
  engines_[position].reset();
}

std::map<std::uint64_t, std::string> Nodes::read_all(std::uint32_t group) {
  int error = 0;
  auto io = io::make_uring_io({}, error);
  SLUICE_CHECK(io.has_value());
  Reader reader;
  std::string what;
  client::Options options;
  options.nodes = addresses_;
  auto client = client::Client::make(std::move(options), **io, reader, what);
  SLUICE_CHECK(client.has_value());
  do {
    reader.answered = false;
    (*client)->read(0, {.group = GroupId(group), .from = reader.last.next(), .timeout_ms = 60'000});
    while (!reader.answered) {
      (*client)->flush();
      (*io)->run_once();
    }
    EXPECT_EQ(reader.code, Errc::kOk);
  } while (reader.code == Errc::kOk && reader.count > 0);
  (*client)->close();
  while (!(*client)->closed()) (*io)->run_once();
  return std::move(reader.entries);
}

void settle(LocalClient& client) {
  client.flush();
  while (client.pending() > 0) {
    if (client.poll() == 0) client.wait(1000);
  }
}

void await_leadership(Engine& engine, std::uint32_t groups) {
  for (std::uint32_t group = 0; group < groups; ++group) {
    Heard heard;
    auto client = engine.local_client({}, heard);
    SLUICE_CHECK(client.has_value());
    for (std::uint64_t tag = 0;; ++tag) {
      SLUICE_CHECK((*client)->append(tag, {.group = GroupId(group)}, {}) == Errc::kOk);
      settle(**client);
      if (heard.status(tag) == client::Status::kOk) break;
      (*client)->wait(5);
    }
  }
}

std::size_t leader_of(Nodes& nodes, std::uint32_t group) {
  for (;;) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes.node(i) == nullptr) continue;
      Heard heard;
      auto client = nodes.node(i)->local_client({}, heard);
      SLUICE_CHECK(client.has_value());
      SLUICE_CHECK((*client)->append(0, {.group = GroupId(group)}, {}) == Errc::kOk);
      settle(**client);
      if (heard.status(0) == client::Status::kOk) return i;
      (*client)->wait(5);
    }
  }
}

}  // namespace sluice
