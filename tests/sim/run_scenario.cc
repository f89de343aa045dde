#include "tests/sim/run_scenario.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "tests/sim/checks.h"
#include "tests/sim/node.h"
#include "tests/sim/workload.h"

namespace sluice::sim {
namespace {

constexpr std::uint16_t kPort = 7000;
constexpr Time kRestMax = 120 * kSecond;  // for the cluster to come to rest once nothing fails
constexpr Time kMarkMax = 10 * kSecond;
/// What a cluster at rest may do: events in a tick, for each shard and each group of each node. Restarts
/// and dials that fail go on and take up to twenty; two nodes that keep each other busy, hundreds.
constexpr std::uint64_t kRestEventsMax = 100;
constexpr Time kStopMax = 20 * kSecond;
constexpr Time kLook = 20 * kMs;
constexpr unsigned kStartsOfALiarMax = 3;

std::string address(std::size_t machine) {
  return "m" + std::to_string(machine) + ":" + std::to_string(kPort);
}

class Run {
 public:
  Run(const Scenario& scenario, const RunOptions& options)
      : scenario_(scenario),
        options_(options),
        world_(scenario.seed),
        network_(world_, scenario.nodes + scenario.clients),
        shadow_(world_, scenario.groups),
        checks_(world_, shadow_,
                {.groups = scenario.groups,
                 .nodes = scenario.nodes,
                 .fsync_always = scenario.fsync == "always"}) {
    world_.tracing = options.trace;
    checks_.on_election = [this](GroupId group, const Node& node) { on_election(group, node); };
    make_machines();
    make_nodes();
    make_clients();
  }

  Outcome run() {
    for (const auto& node : nodes_) node->start();
    for (const auto& client : clients_) client->start();
    for (std::size_t i = 0; i < scenario_.faults.size(); ++i) {
      Fault& fault = scenario_.faults[i];
      world_.at(fault.at, [this, &fault] { find_target(fault); });
    }
    supervise();
    if (until(scenario_.faults_end)) {
      if (scenario_.liveness) {
        check_liveness();
      } else {
        check_safety();
      }
    }
    Outcome outcome;
    outcome.violation = world_.violation();
    outcome.events = world_.events();
    outcome.simulated = world_.now();
    outcome.hash = world_.hash();
    outcome.entries = shadow_.entries();
    outcome.acknowledgements = shadow_.acknowledgements();
    outcome.reads = shadow_.reads();
    outcome.elections = checks_.elections();
    outcome.faults = faults_;
    return outcome;
  }

 private:
  // --- the cluster ----------------------------------------------------------------------------

  void make_machines() {
    Random random = world_.random_for("machines");
    for (std::size_t i = 0; i < scenario_.nodes + scenario_.clients; ++i) {
      auto machine = std::make_unique<Machine>();
      machine->number = i;
      machine->name = i < scenario_.nodes ? "n" + std::to_string(i + 1)
                                          : "c" + std::to_string(i - scenario_.nodes + 1);
      machine->clock.base = random.between(1, 1000) * kSecond;
      if (scenario_.clock_ppm > 0) {
        machine->clock.rate_ppm = static_cast<std::int64_t>(random.below(2 * scenario_.clock_ppm)) -
                                  static_cast<std::int64_t>(scenario_.clock_ppm);
      }
      machine->times.durable_write = Time{scenario_.disk_us} * kUs;
      machine->times.sync = 2 * machine->times.durable_write;
      machine->times.write_kib = Time{scenario_.disk_us_per_kib} * kUs;
      machine->disk = std::make_unique<Disk>(world_.random_for("disk", i));
      machine->disk->can_allocate = world_.random_for("allocate", i).below(4) != 0;
      machines_.push_back(std::move(machine));
    }
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      for (std::size_t j = 0; j < machines_.size(); ++j) {
        if (i == j) continue;
        network_.link(i, j).latency = Time{scenario_.latency_us} * kUs;
        network_.link(i, j).jitter = Time{scenario_.latency_us} * kUs / 2;
      }
    }
  }

  void make_nodes() {
    local_.groups = scenario_.groups;
    local_.interval_us = scenario_.interval_us;
    local_.burst = scenario_.burst;
    local_.entry_bytes_max = scenario_.entry_bytes_max;
    local_.numbered = scenario_.producers > 0;
    for (std::size_t i = 0; i < scenario_.nodes; ++i) {
      Config config;
      config.node_id = NodeId(static_cast<std::uint32_t>(i + 1));
      config.cluster_name = "sim";
      config.data_dir = "/data";
      config.listen = address(i);
      for (std::size_t j = 0; j < scenario_.nodes; ++j) {
        config.peers.push_back({NodeId(static_cast<std::uint32_t>(j + 1)), address(j)});
      }
      config.groups = scenario_.groups;
      config.shards = scenario_.shards;
      config.pin = false;
      const auto fsync = FsyncPolicy::parse(scenario_.fsync);
      SLUICE_CHECK(fsync.has_value());
      config.fsync = *fsync;
      config.batch_bytes_max = scenario_.batch_bytes_max;
      config.segment_bytes = scenario_.segment_bytes;
      config.writes_inflight_max = scenario_.writes_inflight_max;
      config.tail_bytes = 0;  // as little as there may be
      config.send_queue_bytes_max = 1u << 20;
      config.connections_max = 64;
      config.inflight_bytes_max = scenario_.inflight_bytes_max;
      config.catch_up_bytes_per_s_min = scenario_.catch_up_bytes_per_s_min;
      config.uncommitted_bytes_max = scenario_.uncommitted_bytes_max;
      config.tick_ms = scenario_.tick_ms;
      config.election_timeout_ms = scenario_.election_ms;
      config.heartbeat_ms = scenario_.heartbeat_ms;
      nodes_.push_back(
          std::make_unique<Node>(world_, network_, *machines_[i], std::move(config), checks_));
      if (scenario_.locals) nodes_.back()->local = &local_;
      checks_.add(*nodes_.back());
    }
  }

  void make_clients() {
    WorkloadOptions options;
    options.nodes = scenario_.nodes;
    options.groups = scenario_.groups;
    options.producers = scenario_.producers;
    options.interval_us = scenario_.interval_us;
    options.burst = scenario_.burst;
    options.entry_bytes_max = scenario_.entry_bytes_max;
    options.window = scenario_.window;
    options.operations_max = scenario_.operations_max;
    options.plain = scenario_.plain;
    options.named = scenario_.named;
    options.reads = scenario_.reads;
    options.trims = scenario_.trims;
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < scenario_.nodes; ++i) addresses.push_back(address(i));
    for (std::size_t i = 0; i < scenario_.clients; ++i) {
      clients_.push_back(std::make_unique<WorkloadClient>(
          world_, network_, *machines_[scenario_.nodes + i], shadow_, options, addresses));
    }
  }

  // --- driving --------------------------------------------------------------------------------

  [[nodiscard]] bool going_on() {
    if (!world_.violation().empty()) return false;
    const std::uint64_t events_max =
        options_.events_max > 0 ? options_.events_max : scenario_.events_max;
    if (world_.events() < events_max) return true;
    world_.report("still busy after " + std::to_string(events_max) + " events");
    return false;
  }

  /// False: a violation ended the run.
  bool until(Time when) {
    bool there = false;
    world_.at(when, [&there] { there = true; });
    while (!there) {
      if (!going_on()) return false;
      SLUICE_CHECK(world_.step());
    }
    return going_on();
  }

  /// Looks now and then whether `rested`. False: a violation, or not within `longest`.
  template <class F>
  bool wait_for(Time longest, const std::string& what, F&& rested) {
    const Time deadline = world_.now() + longest;
    while (!rested()) {
      if (world_.now() >= deadline) {
        world_.report(what + " within " + std::to_string(longest / kSecond) + " s: " + state_text());
        return false;
      }
      if (!until(world_.now() + kLook)) return false;
    }
    return true;
  }

  // --- faults ---------------------------------------------------------------------------------

  [[nodiscard]] Node& node(std::size_t i) { return *nodes_[i % nodes_.size()]; }
  [[nodiscard]] Disk& disk(std::size_t i) { return *node(i).machine().disk; }
  [[nodiscard]] bool exists(const Fault& fault) const {
    return fault.a < machines_.size() && fault.b < machines_.size();
  }
  [[nodiscard]] std::uint32_t* disk_rate(const Fault& fault) {
    DiskFaults& faults = disk(fault.a).faults;
    switch (fault.kind) {
      case FaultKind::kDiskShort: return &faults.short_transfer;
      case FaultKind::kReadError: return &faults.read_error;
      case FaultKind::kWriteError: return &faults.write_error;
      case FaultKind::kSyncError: return &faults.sync_error;
      case FaultKind::kMisdirectedWrite: return &faults.misdirected_write;
      case FaultKind::kMisdirectedRead: return &faults.misdirected_read;
      case FaultKind::kFlipOnRead: return &faults.flip_on_read;
      default: return nullptr;
    }
  }

  /// Who leads is known only now; who is elected next is known only then.
  void find_target(Fault& fault) {
    if (fault.a >= kNextLeaderOf) {
      waiting_.push_back(&fault);
      return;
    }
    if (fault.a >= kLeaderOf) {
      const std::size_t group = (fault.a - kLeaderOf) % scenario_.groups;
      aim(fault, checks_.newest_leader(GroupId(static_cast<std::uint32_t>(group))).node);
    }
    let_happen(fault);
  }

  void aim(Fault& fault, const Node* node) const {
    fault.a = node != nullptr ? node->number() : 0;
    if (fault.a == fault.b) fault.b = (fault.b + 1) % scenario_.nodes;
  }

  void let_happen(Fault& fault) {
    const Time lasts = fault.until - fault.at;
    fault.at = world_.now();
    fault.until = fault.at + lasts;
    begin(fault);
    world_.at(fault.until, [this, &fault] { end(fault); });
  }

  void on_election(GroupId group, const Node& node) {
    std::erase_if(waiting_, [&](Fault* fault) {
      if ((fault->a - kNextLeaderOf) % scenario_.groups != group.value()) return false;
      aim(*fault, &node);
      const Time moments = 2 * Time{scenario_.latency_us} * kUs + kMs;
      world_.after(ambush_.below(moments), [this, fault] { let_happen(*fault); });
      return true;
    });
  }

  void begin(const Fault& fault) {
    if (faults_over_ || !exists(fault)) return;
    ++faults_;
    if (world_.tracing) world_.trace("fault", to_text(fault));
    Link& link = network_.link(fault.a, fault.b);
    switch (fault.kind) {
      case FaultKind::kKill: return node(fault.a).kill();
      case FaultKind::kPower:
        if (fault.amount == 0) return node(fault.a).power_off();
        return power_off_between_files(node(fault.a));
      case FaultKind::kStop: return node(fault.a).stop();
      case FaultKind::kPause: return node(fault.a).pause();
      case FaultKind::kCut: return network_.cut(fault.a, fault.b);
      case FaultKind::kIsolate:
        return for_links_between({fault.a}, [&](auto i, auto j) { network_.cut(i, j); });
      case FaultKind::kPair:
        return for_links_between({fault.a, fault.b}, [&](auto i, auto j) { network_.cut(i, j); });
      case FaultKind::kMute:
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
          if (i != fault.a) network_.link(fault.a, i).latency += fault.amount * kUs;
        }
        return;
      case FaultKind::kReset: return reset(fault);
      case FaultKind::kSlow: link.latency += fault.amount * kUs; return;
      case FaultKind::kNarrow: link.bytes_per_ms = fault.amount; return;
      case FaultKind::kFlip: link.flip = static_cast<std::uint32_t>(fault.amount); return;
      case FaultKind::kShortIo: link.short_transfer = static_cast<std::uint32_t>(fault.amount); return;
      case FaultKind::kDiskStall: {
        Time& until = node(fault.a).machine().disk_stalled_until;
        until = std::max(until, fault.until);
        return;
      }
      case FaultKind::kDiskFull:
        disk(fault.a).capacity_pages = disk(fault.a).pages_in_use() + fault.amount;
        return;
      case FaultKind::kRot:
        if (const auto what = disk(fault.a).rot(".segment")) world_.trace("fault", *what);
        return;
      case FaultKind::kWipe:
        wipe(node(fault.a));
        return;
      case FaultKind::kOldDisk: return back_up(fault);
      default:
        *disk_rate(fault) = static_cast<std::uint32_t>(fault.amount);
        return;
    }
  }

  void end(const Fault& fault) {
    if (faults_over_ || !exists(fault)) return;
    Link& link = network_.link(fault.a, fault.b);
    switch (fault.kind) {
      case FaultKind::kKill:
      case FaultKind::kStop: return start(node(fault.a));
      case FaultKind::kPower:
        node(fault.a).machine().on_two_files = nullptr;
        [[fallthrough]];
      case FaultKind::kWipe:
        if (!network_.has_power(fault.a)) network_.power_on(fault.a);
        return start(node(fault.a));
      case FaultKind::kOldDisk: return set_back(fault);
      case FaultKind::kPause: return node(fault.a).resume();
      case FaultKind::kCut: return network_.mend(fault.a, fault.b);
      case FaultKind::kIsolate:
        return for_links_between({fault.a}, [&](auto i, auto j) { network_.mend(i, j); });
      case FaultKind::kPair:
        return for_links_between({fault.a, fault.b}, [&](auto i, auto j) { network_.mend(i, j); });
      case FaultKind::kMute:
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
          if (i != fault.a) network_.link(fault.a, i).latency -= fault.amount * kUs;
        }
        return;
      case FaultKind::kSlow: link.latency -= fault.amount * kUs; return;
      case FaultKind::kNarrow: link.bytes_per_ms = 0; return;
      case FaultKind::kFlip: link.flip = 0; return;
      case FaultKind::kShortIo: link.short_transfer = 0; return;
      case FaultKind::kDiskFull: disk(fault.a).capacity_pages = ~std::uint64_t{0}; return;
      case FaultKind::kReset:
      case FaultKind::kDiskStall:
      case FaultKind::kRot: return;
      default: *disk_rate(fault) = 0; return;
    }
  }

  /// Only of a node that all others have met: whom nobody knows, nobody can tell from another (the
  /// README of the project says so).
  void wipe(Node& node) {
    if (!checks_.is_known_to_all(node, scenario_.shards)) return;
    node.power_off();
    node.machine().disk->wipe();
    node.replaced = true;
  }

  /// Calls f(i, j) for each link between one of `some` nodes and one of the other nodes.
  template <class F>
  void for_links_between(const std::set<std::size_t>& some, F&& f) {
    for (const std::size_t i : some) {
      for (std::size_t j = 0; j < nodes_.size(); ++j) {
        if (some.contains(j)) continue;
        f(i, j);
        f(j, i);
      }
    }
  }

  /// Recovery must then do with what chance kept of the end of one segment and of the beginning of
  /// the next (S32).
  void power_off_between_files(Node& node) {
    node.machine().on_two_files = [this, &node] {
      world_.after(0, [this, &node] {
        if (std::exchange(node.machine().on_two_files, nullptr) && !faults_over_) node.power_off();
      });
    };
  }

  // An old copy of a directory (S57). Nobody can tell it from the directory itself, so what it lacks
  // must be on every other node when it comes back, and no vote that it forgot may still count: the
  // same as before an operator vouches for a new directory (README of the engine).

  struct Backup {
    std::shared_ptr<const Disk::Backup> disk;
    std::vector<Index> last_indexes;  // by group
  };

  void back_up(const Fault& fault) {
    Node& node = this->node(fault.a);
    if (node.state() != Node::State::kUp) return;
    Backup backup;
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      const shard::Group* group = group_of(node, GroupId(g));
      if (group == nullptr) return;
      backup.last_indexes.push_back(group->raft.durable_index());
    }
    backup.disk = node.machine().disk->backup();
    backups_[&fault] = std::move(backup);
  }

  void set_back(const Fault& fault) {
    Node& node = this->node(fault.a);
    const auto backup = backups_.find(&fault);
    if (faults_over_ || backup == backups_.end() || node.replaced || node.final) return;
    if (!others_hold_all(node, backup->second)) {
      world_.after(kLook / 4, [this, &fault] { set_back(fault); });
      return;
    }
    if (world_.tracing) world_.trace("fault", node.name() + "'s disk is as it was");
    node.power_off();
    node.machine().disk->restore(*backup->second.disk);
    checks_.set_back(node);
    network_.power_on(fault.a);
    start(node);
  }

  /// In every group one of the others leads, all the others follow it in its term and hold and have
  /// committed the same, and what the copy lacks was not trimmed.
  [[nodiscard]] bool others_hold_all(const Node& node, const Backup& backup) const {
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      const auto [term, leader] = checks_.newest_leader(GroupId(g));
      if (leader == nullptr || leader == &node) return false;
      for (const auto& other : nodes_) {
        if (other.get() == &node) continue;
        const shard::Group* group = sound(*other) ? group_of(*other, GroupId(g)) : nullptr;
        if (group == nullptr || group->raft.term() != term || group->raft.leader() != leader->id() ||
            group->raft.commit_index() != group->index.last_index() ||
            !holds_all(*other, GroupId(g)) ||
            group->index.first_index() > backup.last_indexes[g].next()) {
          return false;
        }
      }
    }
    return true;
  }

  void reset(const Fault& fault) {
    for (const auto& socket : network_.sockets()) {
      if (socket->machine == fault.a && socket->to_machine == fault.b) {
        network_.reset(socket, fault.amount == 0);
      }
    }
  }

  void start(Node& node) {
    if (node.has_process() || node.final || !network_.has_power(node.number())) return;
    node.start();
  }

  /// An operator who starts what stopped by itself, some time later. What an honest disk holds must
  /// start again; what a lying one holds may be refused, for good.
  void supervise() {
    for (const auto& node : nodes_) {
      if (node->has_process() || node->final) continue;
      if (node->state() == Node::State::kDown && faults_over_) start(*node);
      if (node->state() != Node::State::kFailed || node->replaced) continue;
      const Disk& disk = *node->machine().disk;
      const bool trouble = disk.has_lied() || disk.faults != DiskFaults{} ||
                           disk.capacity_pages != ~std::uint64_t{0} || had_errors(*node);
      if (!trouble) {
        world_.report(node->name() + " stopped by itself or does not start, with nothing wrong: " +
                      node->failure());
        return;
      }
      if (disk.has_lied() && ++failed_starts_[node.get()] >= kStartsOfALiarMax) {
        world_.trace(node->name(), "stays down: " + node->failure());
        node->final = true;
        continue;
      }
      start(*node);
    }
    world_.after(500 * kMs, [this] {
      if (!unattended_) supervise();
    });
  }

  /// Errors that its disk reported count as an excuse for one failure.
  [[nodiscard]] bool had_errors(const Node& node) const {
    return (scenario_.liars >> node.number() & 1) != 0 ||
           std::ranges::any_of(scenario_.faults, [&](const Fault& f) {
             return f.a == node.number() && f.kind == FaultKind::kDiskFull && f.at <= world_.now();
           });
  }

  void mend_link(std::size_t i, std::size_t j) {
    Link& link = network_.link(i, j);
    while (network_.is_cut(i, j)) network_.mend(i, j);
    link.latency = Time{scenario_.latency_us} * kUs;
    link.bytes_per_ms = 0;
    link.flip = link.short_transfer = 0;
  }

  /// Nothing fails on this machine from now on.
  void mend(Node& node) {
    node.machine().disk_stalled_until = 0;
    node.machine().disk->faults = {};
    node.machine().disk->capacity_pages = ~std::uint64_t{0};
    if (!network_.has_power(node.number())) network_.power_on(node.number());
    node.resume();
    start(node);
  }

  // --- safety ---------------------------------------------------------------------------------

  [[nodiscard]] bool sound(const Node& node) const {
    return !node.final && !node.replaced && node.state() == Node::State::kUp;
  }

  void check_safety() {
    faults_over_ = true;
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      for (std::size_t j = 0; j < machines_.size(); ++j) {
        if (i != j) mend_link(i, j);
      }
    }
    for (const auto& node : nodes_) mend(*node);
    world_.trace("world", "nothing fails any more");
    if (!until(world_.now() + kSecond)) return;
    for (const auto& client : clients_) client->drain();
    local_.draining = true;
    const bool rested = wait_for(kRestMax, "the cluster did not come to rest", [&] {
      return std::ranges::all_of(clients_, [](const auto& c) { return c->drained(); }) &&
             converged();
    });
    if (!rested) return;
    world_.trace("world", "at rest");
    if (!marks_follow()) return;
    for (const auto& node : nodes_) {
      if (!sound(*node)) continue;
      WorkloadClient& reader = *clients_.front();
      reader.read_everything(node->id());
      if (!wait_for(kRestMax, node->name() + " did not serve all that is committed",
                    [&] { return reader.read_everything_done() || !sound(*node); })) {
        return;
      }
      reader.stop_reading();
    }
    stop_everything();
  }

  /// A mark follows after some idle ticks (S29). A node is idle from when its logs last moved: what the
  /// clients gave up, nodes that were slow to take it in may append yet.
  bool marks_follow() {
    struct Rest {
      std::vector<std::uint64_t> positions;
      Time since = 0;
    };
    std::vector<Rest> rests(nodes_.size());
    const Node* late = nullptr;
    const bool ended = wait_for(kRestMax, "the logs did not come to rest", [&] {
      bool marked = true;
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const Node& node = *nodes_[i];
        if (auto now = positions(node); now != rests[i].positions) rests[i] = {now, world_.now()};
        if (!sound(node) || checks_.has_marks(node)) continue;
        marked = false;
        if (world_.now() > rests[i].since + kMarkMax) late = &node;
      }
      return marked || late != nullptr;
    });
    if (late == nullptr) return ended;
    world_.report(late->name() + " is idle and has not marked its newest entries (S29): " +
                  state_text());
    return false;
  }

  /// Of the logs of a node.
  [[nodiscard]] std::vector<std::uint64_t> positions(const Node& node) const {
    std::vector<std::uint64_t> all;
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      const shard::Group* group = group_of(node, GroupId(g));
      if (group == nullptr) continue;
      const raft::Raft& raft = group->raft;
      for (const Index index : {raft.log().first_index(), raft.log().last_index(),
                                raft.durable_index(), raft.commit_index()}) {
        all.push_back(index.value());
      }
      all.push_back(raft.term().value());
    }
    return all;
  }

  /// Every node that can run does, and holds what is committed, and nothing else.
  [[nodiscard]] bool converged() const {
    for (const auto& node : nodes_) {
      if (node->final || node->replaced) continue;
      if (node->state() != Node::State::kUp) return false;
      for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
        if (!holds_all(*node, GroupId(g))) return false;
      }
    }
    return true;
  }

  [[nodiscard]] bool holds_all(const Node& node, GroupId id) const {
    const shard::Group* group = group_of(node, id);
    const auto* committed = shadow_.last(id);
    return group != nullptr && committed != nullptr &&
           group->raft.commit_index() == committed->last() &&
           group->index.last_checksum() == committed->checksum;
  }

  /// Of a node that is up; else nullptr.
  [[nodiscard]] static const shard::Group* group_of(const Node& node, GroupId id) {
    if (node.state() != Node::State::kUp || node.shards().empty()) return nullptr;
    const shard::Shard* shard = node.shards()[id.value() % node.shards().size()];
    if (shard == nullptr) return nullptr;
    for (const auto& group : shard->groups().all()) {
      if (group->id == id) return group.get();
    }
    return nullptr;
  }

  void stop_everything() {
    unattended_ = true;
    for (const auto& client : clients_) client->close();
    if (!wait_for(kStopMax, "a client did not close", [&] {
          return std::ranges::all_of(clients_, [](const auto& c) { return c->ended(); });
        })) {
      return;
    }
    for (const auto& node : nodes_) node->stop();
    if (!wait_for(kStopMax, "a node did not stop", [&] {
          return std::ranges::none_of(nodes_, [](const auto& n) { return n->has_process(); });
        })) {
      return;
    }
    for (const auto& node : nodes_) {
      if (node->machine().disk->files_open() != 0) {
        world_.report(node->name() + ": files are open though no process runs");
      }
    }
  }

  // --- liveness -------------------------------------------------------------------------------

  /// Faults stop for a quorum of nodes and the clients; the rest stays as it is, for ever.
  void check_liveness() {
    faults_over_ = true;
    unattended_ = true;
    std::vector<Node*> quorum;
    Random random = world_.random_for("quorum");
    std::vector<Node*> candidates;
    for (const auto& node : nodes_) {
      if (!node->final && (scenario_.liars >> node->number() & 1) == 0) {
        candidates.push_back(node.get());
      }
    }
    random.shuffle(std::span(candidates));
    const std::size_t wanted = scenario_.nodes / 2 + 1;
    SLUICE_CHECK(candidates.size() >= wanted);
    quorum.assign(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(wanted));
    const auto healthy = [&](std::size_t machine) {
      return machine >= nodes_.size() ||
             std::ranges::any_of(quorum, [&](const Node* n) { return n->number() == machine; });
    };
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      for (std::size_t j = 0; j < machines_.size(); ++j) {
        // Between clients and nodes all is well: a leader that the clients alone cannot reach is
        // no failure that an election could see.
        const bool client = i >= nodes_.size() || j >= nodes_.size();
        if (i != j && (client || (healthy(i) && healthy(j)))) mend_link(i, j);
      }
    }
    std::string names;
    for (const auto& node : nodes_) {
      Time& stalled = node->machine().disk_stalled_until;
      if (stalled > world_.now()) stalled = ~Time{0} / 2;  // for ever
    }
    for (Node* node : quorum) {
      mend(*node);
      names += " " + node->name();
    }
    world_.trace("world", "nothing fails any more between" + names);
    quorum_names_ = names;
    // Ten election time-outs (each drawn from [1, 2) times the least), and what it takes to start
    // and to catch up.
    const Time timeout = 2 * Time{scenario_.election_ms} * kMs;
    const Time longest = 10 * timeout + 20 * kSecond;
    const auto all_up = [&] {
      return std::ranges::all_of(quorum, [&](Node* n) {
        start(*n);
        return n->state() == Node::State::kUp;
      });
    };
    if (!wait_for(longest, "the nodes of a quorum did not start", all_up)) return;
    for (const auto& client : clients_) client->drain();
    local_.draining = true;
    clients_.front()->probe();
    const bool lives = wait_for(longest, "a healthy quorum did not commit", [&] {
      for (Node* n : quorum) start(*n);  // it may have been about to stop
      return clients_.front()->probes_left() == 0 &&
             std::ranges::all_of(quorum, [&](Node* n) { return caught_up(*n); });
    });
    if (!lives) return;
    // A node whose disk was full asks for space once a second, and may hand over until then.
    if (!until(world_.now() + 2 * timeout + 2 * kSecond)) return;
    std::vector<Checks::Leadership> leaders;
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      leaders.push_back(checks_.newest_leader(GroupId(g)));
    }
    std::vector<bool> overtaken;
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      overtaken.push_back(is_overtaken(GroupId(g), leaders[g].term));
    }
    const std::uint64_t events_before = world_.events();
    if (!until(world_.now() + 20 * timeout)) return;
    const std::uint64_t ticks = 20 * timeout / (Time{scenario_.tick_ms} * kMs);
    const std::uint64_t places =
        std::uint64_t{scenario_.nodes} * (scenario_.shards + scenario_.groups);
    if (const std::uint64_t events = world_.events() - events_before;
        events > kRestEventsMax * ticks * places) {
      world_.report("a cluster at rest is busy: " + std::to_string(events) + " events in " +
                    std::to_string(ticks) + " ticks: " + state_text());
    }
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      const auto now = checks_.newest_leader(GroupId(g));
      // One outside of the quorum may lose its office to what still ails it.
      const bool was_healthy = std::ranges::find(quorum, leaders[g].node) != quorum.end();
      if (now.term != leaders[g].term && was_healthy && !overtaken[g]) {
        world_.report("group " + std::to_string(g) + " changed its leader from " +
                      leaders[g].node->name() + " to " + now.node->name() +
                      " though a quorum is healthy (S19 to S22)");
      }
    }
  }

  /// Some node is in a later term than the leader: a vote or a pre-vote that it was given while
  /// faults went on took it there. It can take nothing from this leader, so when they meet the leader
  /// must make way (Raft §5.1), once.
  [[nodiscard]] bool is_overtaken(GroupId id, Term term) const {
    return std::ranges::any_of(nodes_, [&](const auto& node) {
      const shard::Group* group = group_of(*node, id);
      return group != nullptr && group->raft.term() > term;
    });
  }

  /// Holds all that is committed, in every group whose leader it can hear and answer. (A leader
  /// outside of the healthy quorum may have a majority of its own: it is not to be deposed for
  /// the sake of a node that is cut off from it, S19.)
  [[nodiscard]] bool caught_up(const Node& node) {
    for (std::uint32_t g = 0; g < scenario_.groups; ++g) {
      const Node* leader = checks_.newest_leader(GroupId(g)).node;
      if (leader == nullptr) return false;
      const bool apart = is_apart(node, *leader) || is_apart(*leader, node);
      if (!apart && !holds_all(node, GroupId(g))) return false;
    }
    return node.state() == Node::State::kUp;
  }

  /// Nothing comes from one to the other in the time in which it counts.
  [[nodiscard]] bool is_apart(const Node& from, const Node& to) {
    const Link& way = network_.link(from.number(), to.number());
    return way.cuts > 0 || way.bytes_per_ms > 0 || way.flip > 0 ||
           way.latency > scenario_.election_ms * kMs / 4;
  }

  [[nodiscard]] std::string state_text() const {
    std::string text = quorum_names_.empty() ? "" : "healthy are" + quorum_names_ + ": ";
    for (const auto& node : nodes_) {
      static constexpr const char* kStates[] = {"down", "starting", "up", "failed"};
      text += node->name() + " " + (node->final ? "final " : "") +
              kStates[static_cast<std::size_t>(node->state())] + " " + node->failure();
      for (std::uint32_t g = 0; g < scenario_.groups && !node->shards().empty(); ++g) {
        const shard::Shard* shard = node->shards()[g % node->shards().size()];
        if (shard == nullptr) continue;
        for (const auto& group : shard->groups().all()) {
          if (group->id != GroupId(g)) continue;
          text += " [g" + std::to_string(g) + " term " + std::to_string(group->raft.term().value()) +
                  " role " + std::to_string(static_cast<int>(group->raft.role())) + " last " +
                  std::to_string(group->index.last_index().value()) + " durable " +
                  std::to_string(group->raft.durable_index().value()) + " commit " +
                  std::to_string(group->raft.commit_index().value()) + "]";
        }
      }
      text += "; ";
    }
    for (const auto& client : clients_) text += client->pending_text() + "; ";
    return text;
  }

  Scenario scenario_;
  RunOptions options_;
  World world_;
  Network network_;
  ShadowLog shadow_;
  LocalWorkload local_{.world = world_, .shadow = shadow_};
  Checks checks_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<WorkloadClient>> clients_;
  std::map<const Fault*, Backup> backups_;
  std::map<const Node*, unsigned> failed_starts_;
  std::string quorum_names_;
  std::vector<Fault*> waiting_;  // for an election
  Random ambush_ = world_.random_for("ambush");
  std::uint64_t faults_ = 0;
  bool faults_over_ = false;  // none begins or ends by itself any more
  bool unattended_ = false;   // nobody starts what stopped
};

}  // namespace

Outcome run_scenario(const Scenario& scenario, const RunOptions& options) {
  Run run(scenario, options);
  return run.run();
}

}  // namespace sluice::sim
