// Asks every node that --cluster names for its status, all at once.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/client/client.h"
#include "tools/client_loop.h"

namespace sluice::tools {

/// Forward on_status() of the loop's Events to this.
class StatusBoard {
 public:
  /// Sends a question to each of `count` addresses.
  void ask(client::Client& client, std::size_t count, std::uint32_t timeout_ms);
  void on_status(std::uint64_t tag, const client::NodeStatus& status);

  /// Every answer of the last ask() is there.
  [[nodiscard]] bool complete() const { return missing_ == 0; }
  /// By position in --cluster.
  [[nodiscard]] const std::vector<client::NodeStatus>& nodes() const { return nodes_; }
  /// Asks and turns the loop until all answers are there.
  const std::vector<client::NodeStatus>& collect(ClientLoop& loop, std::size_t count,
                                                 std::uint32_t timeout_ms);

 private:
  std::vector<client::NodeStatus> nodes_;
  std::size_t missing_ = 0;
};

}  // namespace sluice::tools
