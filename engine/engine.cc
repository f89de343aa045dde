#include "engine/engine.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/io/uring_io.h"
#include "engine/local_host.h"
#include "engine/shard/node_start.h"
#include "engine/shard/shard.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

using shard::Shard;

std::string uring_problem(int error) {
  return std::string("cannot set up io_uring: ") + std::strerror(error) +
         "; Sluice needs Linux 6.1 or later with io_uring allowed "
         "(sysctl kernel.io_uring_disabled=0, and no container profile that forbids it)";
}

/// Segments and connections are many; the hard limit is there to be used.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/// The cores that this process may run on.
std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

void pin_this_thread(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  // Best effort: an unpinned shard is slower, not wrong.
  (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

class EngineImpl final : public Engine, private LocalHost {
 public:
  explicit EngineImpl(Config config) : config_(std::move(config)) {}

  ~EngineImpl() override {
    request_stop();
    (void)wait();
    // It would go on with a node that is gone.
    SLUICE_CHECK(local_clients_ == 0);
  }

  /// Empty, or why it cannot start.
  std::string start() {
    raise_descriptor_limit();
    int error = 0;
    auto made = io::make_uring_io({.submission_entries = 8, .completion_entries = 16}, error);
    if (!made) return uring_problem(error);
    io_ = std::move(*made);
    const auto cores = allowed_cores();
    const auto shards_default =
        std::clamp<std::uint32_t>(static_cast<std::uint32_t>(cores.size()), 1, 64);
    auto node = shard::NodeStart::open(*io_, config_, shards_default);
    if (!node) return node.error();
    node_ = std::move(*node);
    port_ = node_->port();
    return start_threads(cores);
  }

  [[nodiscard]] std::uint16_t port() const override { return port_; }
  [[nodiscard]] std::uint32_t shards() const override { return node_->shards(); }

  [[nodiscard]] std::expected<std::unique_ptr<LocalClient>, std::string> local_client(
      const LocalOptions& options, LocalEvents& events) override {
    auto client = make_local_client(options, *this, events);
    if (client) ++local_clients_;
    return client;
  }

  void request_stop() override {
    const std::lock_guard lock(mutex_);
    stop_asked_ = true;
    changed_.notify_all();
    for (Shard* shard : shards_) {
      if (shard != nullptr) shard->mailbox().request_stop();
    }
  }

  [[nodiscard]] std::string wait() override {
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  // For local clients.
  [[nodiscard]] LocalNode local_node() const override {
    return {.cluster = cluster_id_of(config_.cluster_name),
            .groups = config_.groups,
            .shards = node_->shards(),
            .batch_bytes_max = config_.batch_bytes_max};
  }
  [[nodiscard]] bool attach(ShardId id, shard::LocalPort& port,
                            std::shared_ptr<shard::Mailbox>& mailbox) override {
    const std::lock_guard lock(mutex_);
    Shard* shard = shards_[id.value()];
    if (shard == nullptr) return false;
    mailbox = shard->share_mailbox();
    if (mailbox->attach(port)) return true;
    mailbox.reset();
    return false;
  }
  void on_client_gone() override { --local_clients_; }

  std::string start_threads(const std::vector<int>& cores) {
    shards_.assign(node_->shards(), nullptr);
    for (std::uint32_t i = 0; i < node_->shards(); ++i) {
      const int core = cores.empty() ? -1 : cores[(config_.first_core + i) % cores.size()];
      threads_.emplace_back([this, i, core] { run_shard(ShardId(i), core); });
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return opened_ + not_opened_ == node_->shards(); });
    if (not_opened_ == 0) {
      all_open_ = true;
    } else {
      stop_asked_ = true;
    }
    changed_.notify_all();
    const std::string why = failure_;
    lock.unlock();
    if (!why.empty()) (void)wait();
    return why;
  }

  /// A shard's thread: its ring, its shard, its loop.
  void run_shard(ShardId id, int core) {
    if (config_.pin && core >= 0) pin_this_thread(core);
    pthread_setname_np(pthread_self(), ("shard-" + std::to_string(id.value())).c_str());
    int error = 0;
    const std::uint64_t busy_poll_ns = std::uint64_t{config_.busy_poll_us} * 1'000;
    auto made = io::make_uring_io({.busy_poll_ns = busy_poll_ns}, error);
    if (!made) return not_opened(uring_problem(error));
    auto io = std::move(*made);
    auto opened = Shard::open(*io, shard_options(id));
    if (!opened) return not_opened(opened.error());
    std::unique_ptr<Shard> shard = std::move(*opened);
    {
      std::unique_lock lock(mutex_);
      shards_[id.value()] = shard.get();
      ++opened_;
      changed_.notify_all();
      // Nobody takes connections before all can be handed theirs.
      changed_.wait(lock, [this] { return all_open_ || stop_asked_; });
      if (stop_asked_) shard->mailbox().request_stop();
    }
    shard->run();
    {
      const std::lock_guard lock(mutex_);
      shards_[id.value()] = nullptr;
    }
    shard.reset();
  }

  void not_opened(const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = why;
    ++not_opened_;
    changed_.notify_all();
  }

  Shard::Options shard_options(ShardId id) {
    Shard::Options options = node_->shard_options(id);
    options.hand_over = [this](ShardId to, shard::Connection::Moved moved) {
      const std::lock_guard lock(mutex_);
      if (Shard* shard = shards_[to.value()]) {
        shard->mailbox().hand_over(std::move(moved));
      } else {
        io_->close(moved.socket);
      }
    };
    options.on_failure = [this](const std::string& why) {
      {
        const std::lock_guard lock(mutex_);
        if (failure_.empty()) failure_ = why;
      }
      request_stop();
    };
    return options;
  }

  Config config_;
  std::unique_ptr<io::Io> io_;  // of the starting thread
  std::unique_ptr<shard::NodeStart> node_;
  std::uint16_t port_ = 0;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> local_clients_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Shard*> shards_;  // by id; nullptr while it does not run
  std::uint32_t opened_ = 0, not_opened_ = 0;
  bool all_open_ = false;
  bool stop_asked_ = false;
  std::string failure_;
};

}  // namespace

std::expected<std::unique_ptr<Engine>, std::string> Engine::start(const Config& config) {
  if (auto why = config.problem(); !why.empty()) return std::unexpected(std::move(why));
  auto engine = std::make_unique<EngineImpl>(config);
  if (auto why = engine->start(); !why.empty()) return std::unexpected(std::move(why));
  return engine;
}

}  // namespace sluice
