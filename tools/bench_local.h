// The load of a benchmark from within the process of the node that leads: it runs on the shard's own
// thread, in the events of a LocalClient, so that nothing stands between it and the engine.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/engine.h"
#include "engine/local_client.h"
#include "tools/bench_load.h"

namespace sluice::tools {

class BenchLocal : private LocalEvents {
 public:
  /// Moves in with shard 0 of `engine`, which must be its only one. Throws Failure.
  BenchLocal(Engine& engine, BenchLoad& load, std::uint64_t entry_bytes, std::uint32_t outstanding,
             std::uint32_t groups, std::uint64_t batch_bytes_max);
  /// Entries without an outcome get theirs.
  ~BenchLocal() override;

  /// Runs `what` on the shard's thread, which alone may touch the load, and lets the load go on.
  /// Returns when that is done. Throws Failure if the node has stopped.
  void run(const std::function<void()>& what);

 private:
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override;
  void on_turn(LocalClient& client) override;

  BenchLoad& load_;
  std::unique_ptr<LocalClient> client_;
  std::uint64_t turn_ns_ = 0;  // 0: not read in this turn
  std::vector<std::uint64_t> refused_;  // tags that the client did not take in this turn

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* wanted_ = nullptr;
};

}  // namespace sluice::tools
