#include "tests/sim/node.h"

#include <utility>

#include "engine/shard/node_start.h"
#include "tests/sim/sim_io.h"

namespace sluice::sim {

struct Node::Running {
  std::unique_ptr<shard::NodeStart> start;
  std::uint32_t opened = 0, not_opened = 0, ended = 0;
  bool stop_asked = false;
};

Node::Node(World& world, Network& network, Machine& machine, Config config, Watcher& watcher)
    : world_(world),
      network_(network),
      machine_(machine),
      config_(std::move(config)),
      watcher_(watcher) {
  config_.on_notice = [this](const std::string& what) { world_.trace(name(), what); };
}

Node::~Node() { end_process(); }

void Node::end_process() {
  if (process_ == nullptr) return;
  process_->kill();
  running_.reset();
  shards_.clear();
  past_.push_back(std::move(process_));
}

void Node::start() {
  SLUICE_CHECK(!has_process());
  end_process();
  ++starts_;
  failure_.clear();
  misdirected_reads_before_ = machine_.disk->misdirected_reads();
  state_ = State::kStarting;
  world_.trace(name(), "start");
  process_ = std::make_unique<Process>(world_, network_, machine_,
                                       world_.random_for("process", machine_.number * 1000 + starts_)
                                           .next());
  process_->on_sent = [this](const Socket& socket, std::span<const std::byte> bytes) {
    watcher_.on_sent(*this, socket, bytes);
  };
  running_ = std::make_unique<Running>();
  process_->spawn([this](SimIo& io) { main(io); });
}

/// What engine/engine.cc does with threads.
void Node::main(SimIo& io) {
  auto opened = shard::NodeStart::open(io, config_, config_.shards);
  if (!opened) {
    failure_ = opened.error();
    world_.trace(name(), failure_);
    state_ = State::kFailed;
    check_handles();
    return;
  }
  running_->start = std::move(*opened);
  const std::uint32_t count = running_->start->shards();
  shards_.assign(count, nullptr);
  for (std::uint32_t i = 0; i < count; ++i) {
    process_->spawn([this, i](SimIo& shard_io) { run_shard(shard_io, ShardId(i)); });
  }
  while (running_->ended < count) process_->park(io);
  running_->start.reset();
  state_ = failure_.empty() ? State::kDown : State::kFailed;
  world_.trace(name(), failure_.empty() ? "stopped" : failure_);
  check_handles();
}

void Node::check_handles() {
  if (process_->handles_open() != 0) {
    world_.report(name() + ": " + std::to_string(process_->handles_open()) +
                  " descriptors are open at the end of the process: " + process_->handles_text());
  }
  watcher_.on_gone(*this);
}

void Node::run_shard(SimIo& io, ShardId id) {
  Running& running = *running_;
  const auto count = static_cast<std::uint32_t>(shards_.size());
  shard::Shard::Options options = running.start->shard_options(id);
  options.hand_over = [this](ShardId to, shard::Connection::Moved moved) {
    if (shard::Shard* shard = shards_[to.value()]) {
      shard->mailbox().hand_over(std::move(moved));
    } else {
      process_->close_handle(moved.socket);
    }
  };
  options.on_failure = [this](const std::string& why) {
    if (failure_.empty()) failure_ = why;
    world_.trace(name(), why);
    stop();
  };
  auto opened = shard::Shard::open(io, std::move(options));
  if (!opened) {
    if (failure_.empty()) failure_ = opened.error();
    world_.trace(name(), opened.error());
    ++running.not_opened;
    ++running.ended;
    process_->wake_all();
    return;
  }
  std::unique_ptr<LocalProducer> producer;  // outlives the shard, which names its port
  std::unique_ptr<shard::Shard> shard = std::move(*opened);
  watcher_.on_recovered(*this, *shard);
  shards_[id.value()] = shard.get();
  ++running.opened;
  process_->wake_all();
  while (running.opened + running.not_opened < count) process_->park(io);
  if (running.not_opened > 0 || running.stop_asked) shard->mailbox().request_stop();
  if (running.not_opened == 0 && state_ == State::kStarting) {
    state_ = State::kUp;
    world_.trace(name(), "up");
  }
  if (local != nullptr) {
    producer = std::make_unique<LocalProducer>(
        *local,
        LocalProducer::Place{.node = name(),
                             .machine = machine_.number,
                             .start = starts_,
                             .shard = id,
                             .shards = count,
                             .batch_bytes_max = config_.batch_bytes_max},
        io);
    producer->attach(shard->mailbox());
  }
  // The watcher must not outlive what it looks at, however this ends.
  struct Leave {
    std::vector<shard::Shard*>& shards;
    std::size_t at;
    ~Leave() { shards[at] = nullptr; }
  } leave{shards_, id.value()};
  while (!shard->stopped()) {
    shard->step();
    watcher_.on_step(*this, *shard);
    if (producer) producer->check_acknowledged();
  }
  shard->run();  // it has stopped: awaits what is in flight
  shards_[id.value()] = nullptr;
  shard.reset();
  ++running.ended;
  process_->wake_all();
}

void Node::stop() {
  if (running_ == nullptr) return;
  running_->stop_asked = true;
  for (shard::Shard* shard : shards_) {
    if (shard != nullptr) shard->mailbox().request_stop();
  }
}

void Node::kill() {
  if (!has_process()) return;
  world_.trace(name(), "killed");
  process_->kill();
  watcher_.on_gone(*this);
  end_process();
  state_ = State::kDown;
}

void Node::power_off() {
  world_.trace(name(), "loses power");
  ++machine_.boots;
  network_.power_off(machine_.number);
  machine_.disk->crash();
  if (!has_process()) return;
  process_->power_off();
  watcher_.on_gone(*this);
  end_process();
  state_ = State::kDown;
}

void Node::pause() {
  if (!has_process() || process_->paused()) return;
  world_.trace(name(), "paused");
  process_->pause();
}

void Node::resume() {
  if (!has_process() || !process_->paused()) return;
  world_.trace(name(), "resumed");
  process_->resume();
}

}  // namespace sluice::sim
