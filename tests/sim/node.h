// A machine with a node on it: starts it, stops it, kills it, pulls the plug. The node's code is the
// one that serves users; only the Io below it is another.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/shard/shard.h"
#include "tests/sim/local_producer.h"
#include "tests/sim/process.h"

namespace sluice::sim {

class Node {
 public:
  enum class State : std::uint8_t {
    kDown,      // no process
    kStarting,  // recovering; shards do not serve yet
    kUp,        // all shards run
    kFailed,    // the node stopped by itself, or did not start; failure() says why
  };

  /// What sees the node from inside, between two steps of its shards.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    /// A shard recovered and has not said a word yet.
    virtual void on_recovered(Node& node, shard::Shard& shard) = 0;
    virtual void on_step(Node& node, shard::Shard& shard) = 0;
    /// Bytes leave a socket of the node.
    virtual void on_sent(Node& node, const Socket& socket, std::span<const std::byte> bytes) = 0;
    /// The process is gone, however it ended.
    virtual void on_gone(Node& node) = 0;
  };

  Node(World& world, Network& network, Machine& machine, Config config, Watcher& watcher);
  ~Node();

  void start();
  /// As SIGTERM does. The process ends by itself.
  void stop();
  /// As SIGKILL does: the machine goes on.
  void kill();
  void power_off();
  void pause();
  void resume();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] bool paused() const { return process_ && process_->paused(); }
  /// There is a process, whatever it does.
  [[nodiscard]] bool has_process() const { return process_ && !process_->ended(); }
  [[nodiscard]] std::size_t number() const { return machine_.number; }
  [[nodiscard]] NodeId id() const { return config_.node_id; }
  [[nodiscard]] const std::string& name() const { return machine_.name; }
  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] std::uint64_t starts() const { return starts_; }
  /// Shards that run, by number; nullptr where none does.
  [[nodiscard]] const std::vector<shard::Shard*>& shards() const { return shards_; }

  /// Each shard has a client in the process that appends to it; nullptr: none.
  LocalWorkload* local = nullptr;
  /// For good: not started again (its disk lied where nobody could tell).
  bool final = false;
  /// Its disk was exchanged for an empty one: whatever it says, the others refuse it (S56).
  bool replaced = false;

  /// Something that this process read was of another place of its file.
  [[nodiscard]] bool has_misread() const {
    return machine_.disk->misdirected_reads() != misdirected_reads_before_;
  }

 private:
  void main(SimIo& io);
  void run_shard(SimIo& io, ShardId id);
  void end_process();
  void check_handles();

  World& world_;
  Network& network_;
  Machine& machine_;
  Config config_;
  Watcher& watcher_;
  std::unique_ptr<Process> process_;
  std::vector<std::unique_ptr<Process>> past_;  // events may still name them
  State state_ = State::kDown;
  std::uint64_t misdirected_reads_before_ = 0;  // before this start
  std::string failure_;
  std::uint64_t starts_ = 0;

  // Of the process that runs, as engine/engine.cc keeps it behind its mutex.
  struct Running;
  std::unique_ptr<Running> running_;
  std::vector<shard::Shard*> shards_;
};

}  // namespace sluice::sim
