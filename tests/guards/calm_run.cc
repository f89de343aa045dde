#include "tests/guards/calm_run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/client/client.h"
#include "engine/shard/node_start.h"
#include "tests/guards/metered_io.h"
#include "tests/sim/frame_tap.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_io.h"

namespace sluice::guards {
namespace {

constexpr std::size_t kNodes = 3;
constexpr std::uint16_t kPort = 7000;
/// Until then the nodes are among themselves: they elect a leader and prepare their segments.
constexpr sim::Time kClientsStart = 5 * sim::kSecond;
constexpr std::uint32_t kTimeoutMs = 60'000;  // longer than any run
constexpr std::uint64_t kEventsMax = 200'000'000;
const std::string kCluster = "calm";

std::string address(std::size_t machine) {
  return "m" + std::to_string(machine) + ":" + std::to_string(kPort);
}

/// Counts the frames that leave a process, connection by connection.
class FrameCounter {
 public:
  explicit FrameCounter(Counts& counts) : counts_(counts) {}

  void on_sent(const sim::Socket& socket, std::span<const std::byte> bytes) {
    counts_.sent_bytes += bytes.size();
    taps_[socket.number].take(bytes, [this](const FrameView& frame) { count(frame); });
  }

 private:
  void count(const FrameView& frame) {
    ++counts_.frames;
    if (frame.kind == FrameKind::kClientAppend) ++counts_.request_frames;
    if (frame.kind == FrameKind::kClientAppendReply) {
      const auto reply = envelope_as<wire::ClientAppendReply>(frame);
      ++counts_.answer_frames;
      if (reply && (*reply)->results() != nullptr) counts_.answers += (*reply)->results()->size();
    }
    if (frame.kind != FrameKind::kPeerMessages) return;
    const auto messages = envelope_as<wire::PeerMessages>(frame);
    if (!messages) return;
    if ((*messages)->append_requests() != nullptr) ++counts_.request_frames;
    if (const auto* replies = (*messages)->append_replies()) {
      ++counts_.answer_frames;
      counts_.answers += replies->size();
    }
  }

  Counts& counts_;
  std::map<std::uint64_t, sim::FrameTap> taps_;
};

/// What a machine has: its process, whose code goes through a meter.
struct Host {
  sim::Machine machine;
  Meter meter;
  FrameCounter frames{meter.counts};
  std::unique_ptr<sim::Process> process;
};

/// Keeps a number of appends without an answer, each of the same size.
class LoadClient final : public client::Events {
 public:
  LoadClient(const Shape& shape, std::uint32_t number, Meter& meter, std::string& failure)
      : shape_(shape), number_(number), meter_(meter), failure_(failure) {
    entry_.resize(shape.entry_bytes);
    for (std::size_t i = 0; i < entry_.size(); ++i) entry_[i] = std::byte(i * 151 + 7);
  }

  /// The body of its process.
  void main(sim::SimIo& below) {
    MeteredIo io(below, meter_);
    client::Options options;
    options.cluster_name = kCluster;
    options.batch_bytes_max = shape_.batch_bytes_max;
    for (std::size_t i = 0; i < kNodes; ++i) options.nodes.push_back(address(i));
    std::string what;
    auto made = client::Client::make(std::move(options), io, *this, what);
    if (!made) return fail(what);
    client_ = made->get();
    for (std::uint32_t i = 0; i < shape_.outstanding / shape_.clients; ++i) append();
    bool told = false;
    while (!client_->closed()) {
      if (stopping_ && !std::exchange(told, true)) client_->close();
      const Inside inside(meter_);
      client_->flush();
      io.run_once();
    }
    client_ = nullptr;
  }

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }
  void stop() { stopping_ = true; }

 private:
  void append() {
    client::AppendOptions options{.group = GroupId(static_cast<std::uint32_t>(appended_ % shape_.groups)),
                                  .timeout_ms = kTimeoutMs};
    ++appended_;
    if (shape_.numbered) {
      options.producer = ProducerId(number_ + 1);
      options.sequence = Sequence(appended_);
    }
    const Inside inside(meter_);
    client_->append(appended_, options, entry_);
  }

  void on_append(std::uint64_t, const client::AppendOutcome& outcome) override {
    const Outside outside;
    if (stopping_) return;
    if (outcome.status == client::Status::kOk) {
      ++acknowledged_;
    } else if (shape_.away_for == 0 || shape_.groups == 1) {
      // With more groups some may be led by the node that is killed.
      return fail("an append was not acknowledged");
    }
    if (number_ == 0 && shape_.trim_every != 0 && acknowledged_ % shape_.trim_every == 0) {
      const Inside inside(meter_);
      client_->trim(0, GroupId(0), outcome.index, kTimeoutMs);
    }
    append();
  }

  void fail(const std::string& what) {
    if (failure_.empty()) failure_ = "the client: " + what;
  }

  const Shape& shape_;
  const std::uint32_t number_;
  Meter& meter_;
  std::string& failure_;
  client::Client* client_ = nullptr;
  std::vector<std::byte> entry_;
  std::uint64_t appended_ = 0, acknowledged_ = 0;
  bool stopping_ = false;
};

class CalmRun {
 public:
  explicit CalmRun(const Shape& shape)
      : shape_(shape),
        world_(shape.seed),
        network_(world_, kNodes + shape.clients),
        shards_(kNodes, nullptr) {
    for (std::size_t i = 0; i < kNodes + shape.clients; ++i) add_host(i);
    for (std::uint32_t i = 0; i < shape.clients; ++i) {
      clients_.push_back(
          std::make_unique<LoadClient>(shape_, i, hosts_[kNodes + i]->meter, failure_));
    }
  }

  RunResult run(Party instructions_of) {
    RunResult result;
    if (go_on_until(shape_.warm_up)) {
      leader_ = leader_now();
      const bool measurable = shape_.away_for == 0 || send_away();
      for (std::size_t i = 0; i < hosts_.size(); ++i) {
        hosts_[i]->meter.instructions = party_of(i) == instructions_of;
      }
      if (measurable) measure(result);
    }
    stop();
    result.failure = !failure_.empty() ? failure_ : world_.violation();
    return result;
  }

 private:
  void add_host(std::size_t i) {
    hosts_.push_back(std::make_unique<Host>());
    Host& host = *hosts_.back();
    host.machine.number = i;
    host.machine.name =
        i < kNodes ? "n" + std::to_string(i + 1) : "c" + std::to_string(i - kNodes + 1);
    host.machine.clock.base = sim::kSecond;
    host.machine.times.spread = 1;
    host.machine.times.reorder = false;
    if (shape_.slow) host.machine.times.durable_write = 8 * sim::kMs;
    host.machine.disk = std::make_unique<sim::Disk>(world_.random_for("disk", i));
    make_process(i);
    if (i < kNodes) return start_node(i);
    world_.at(kClientsStart, [this, i] {
      hosts_[i]->process->spawn([this, i](sim::SimIo& io) { clients_[i - kNodes]->main(io); });
    });
  }

  void make_process(std::size_t i) {
    Host& host = *hosts_[i];
    host.process = std::make_unique<sim::Process>(world_, network_, host.machine,
                                                  world_.random_for("process", i).next());
    host.process->on_sent = [&host](const sim::Socket& socket, std::span<const std::byte> bytes) {
      host.frames.on_sent(socket, bytes);
    };
  }

  void start_node(std::size_t i) {
    hosts_[i]->process->spawn([this, i](sim::SimIo& io) { run_node(i, io); });
  }

  [[nodiscard]] Config config(std::size_t i) const {
    Config config;  // as a user gets it
    config.node_id = NodeId(static_cast<std::uint32_t>(i + 1));
    config.cluster_name = kCluster;
    config.data_dir = "/data";
    config.listen = address(i);
    for (std::size_t j = 0; j < kNodes; ++j) {
      config.peers.push_back({NodeId(static_cast<std::uint32_t>(j + 1)), address(j)});
    }
    config.shards = 1;
    config.groups = shape_.groups;
    config.pin = false;
    config.segment_bytes = shape_.segment_bytes;
    config.tail_bytes = 0;  // as little as there may be
    if (shape_.slow) config.catch_up_bytes_per_s_min = 1u << 20;
    return config;
  }

  /// What engine/engine.cc does, with one thread for everything.
  void run_node(std::size_t i, sim::SimIo& below) {
    Meter& meter = hosts_[i]->meter;
    MeteredIo io(below, meter);
    const Inside inside(meter);
    auto start = shard::NodeStart::open(io, config(i), 1);
    if (!start) return fail(i, start.error());
    shard::Shard::Options options = (*start)->shard_options(ShardId(0));
    options.on_failure = [this, i](const std::string& why) { fail(i, why); };
    auto opened = shard::Shard::open(io, std::move(options));
    if (!opened) return fail(i, opened.error());
    shards_[i] = opened->get();
    while (!(*opened)->stopped()) (*opened)->step();
    (*opened)->run();  // it has stopped: awaits what is in flight
    shards_[i] = nullptr;
  }

  void fail(std::size_t node, const std::string& why) {
    const Outside outside;
    if (failure_.empty()) failure_ = "node " + std::to_string(node + 1) + ": " + why;
  }

  [[nodiscard]] bool step() {
    if (world_.events() > kEventsMax) failure_ = "it does not get on";
    return failure_.empty() && world_.violation().empty() && world_.step();
  }

  [[nodiscard]] std::uint64_t acknowledged() const {
    std::uint64_t sum = 0;
    for (const auto& client : clients_) sum += client->acknowledged();
    return sum;
  }

  bool go_on_until(std::uint64_t entries) {
    while (acknowledged() < entries) {
      if (!step()) return false;
    }
    return true;
  }

  [[nodiscard]] Party party_of(std::size_t host) const {
    if (host >= kNodes) return Party::kClients;
    if (shape_.away_for != 0) return host == away_ ? Party::kFollowers : Party::kLeader;
    return host == leader_ ? Party::kLeader : Party::kFollowers;
  }

  /// Who leads most groups.
  [[nodiscard]] std::size_t leader_now() {
    std::vector<std::ptrdiff_t> led;
    for (const shard::Shard* shard : shards_) {
      led.push_back(std::ranges::count(shard->groups().all(), raft::Role::kLeader,
                                       [](const auto& group) { return group->raft.role(); }));
    }
    const auto most = std::ranges::max_element(led);
    if (*most == 0) failure_ = "nobody leads";
    return static_cast<std::size_t>(most - led.begin());
  }

  /// A follower is killed, misses `away_for` entries, is started again, and gets the first of them.
  bool send_away() {
    away_ = leader_ == 0 ? 1 : 0;
    const std::uint64_t held = durable_entries(away_) + shape_.outstanding;
    hosts_[away_]->process->kill();
    shards_[away_] = nullptr;
    went_at_ = acknowledged();
    if (!go_on_until(went_at_ + shape_.away_for)) return false;
    gone_ = std::exchange(hosts_[away_]->process, nullptr);
    make_process(away_);
    start_node(away_);
    while (durable_entries(away_) <= held) {
      if (!step()) return false;
    }
    return true;
  }

  /// Of all groups. None of a node that does not run.
  [[nodiscard]] std::uint64_t durable_entries(std::size_t node) const {
    std::uint64_t sum = 0;
    if (shards_[node] == nullptr) return sum;
    for (const auto& group : shards_[node]->groups().all()) sum += group->raft.durable_index().value();
    return sum;
  }

  /// It lacks no more than what may be on its way under load.
  [[nodiscard]] bool has_caught_up() const {
    return durable_entries(away_) + 2 * shape_.outstanding >= durable_entries(leader_);
  }

  /// Who was away hears its leader, also while what it lacks has to be read first.
  [[nodiscard]] bool follows() const {
    if (shards_[away_] == nullptr) return false;
    const raft::Raft& raft = shards_[away_]->groups().all().front()->raft;
    return raft.role() == raft::Role::kFollower && raft.leader() != kNoNode;
  }

  bool go_on_until_caught_up() {
    while (!has_caught_up()) {
      if (!step()) return false;
      if (shape_.groups > 1) continue;  // one after the other gets its first entries
      if (!follows()) return fail(away_, "lost its leader while it caught up"), false;
    }
    return true;
  }

  void measure(RunResult& result) {
    std::vector<Counts> before;
    for (const auto& host : hosts_) before.push_back(host->meter.counts);
    const std::uint64_t first = acknowledged();
    Meter::open_window();
    const bool well =
        shape_.window != 0 ? go_on_until(first + shape_.window) : go_on_until_caught_up();
    Meter::close_window();
    if (!well) return;
    result.entries = acknowledged() - first;
    result.payload_bytes = result.entries * shape_.entry_bytes;
    if (shape_.away_for != 0) {
      result.lacked_bytes = (acknowledged() - went_at_) * shape_.entry_bytes;
    }
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      const Party party = party_of(i);
      Counts& sum = party == Party::kLeader      ? result.leader
                    : party == Party::kFollowers ? result.followers
                                                 : result.clients;
      sum += hosts_[i]->meter.counts;
      sum -= before[i];
    }
  }

  /// The clients first, so that nobody is refused.
  void stop() {
    for (const auto& client : clients_) client->stop();
    go_on_until_ended(kNodes);
    for (shard::Shard* shard : shards_) {
      if (shard != nullptr) shard->mailbox().request_stop();
    }
    go_on_until_ended(0);
  }

  void go_on_until_ended(std::size_t first_host) {
    const auto all_ended = [&] {
      return std::all_of(hosts_.begin() + static_cast<std::ptrdiff_t>(first_host), hosts_.end(),
                         [](const auto& host) { return host->process->ended(); });
    };
    while (!all_ended() && step()) {}
  }

  const Shape& shape_;
  sim::World world_;
  sim::Network network_;
  std::string failure_;
  std::vector<shard::Shard*> shards_;  // that run
  std::size_t leader_ = 0;
  std::size_t away_ = 0;       // who is killed, with Shape::away_for
  std::uint64_t went_at_ = 0;  // entries acknowledged then
  std::vector<std::unique_ptr<LoadClient>> clients_;
  // Last: who runs yet is unwound with its process, and may look at what is above.
  std::vector<std::unique_ptr<Host>> hosts_;
  std::unique_ptr<sim::Process> gone_;  // of the node that was killed
};

}  // namespace

std::string Shape::name() const {
  std::string text = std::to_string(outstanding) + "x" + std::to_string(entry_bytes);
  if (clients > 1) text += "-of-" + std::to_string(clients);
  if (groups > 1) text += "-in-" + std::to_string(groups);
  if (numbered) text += "-numbered";
  if (trim_every != 0) text += "-trimmed";
  if (slow) text += "-slow";
  if (away_for != 0) text += "-behind";
  return text;
}

RunResult run_calmly(const Shape& shape, Party instructions_of) {
  return CalmRun(shape).run(instructions_of);
}

}  // namespace sluice::guards
