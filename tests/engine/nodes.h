// What the tests of the engine share: nodes of one cluster in this process, with directories on the
// disk and sockets on loopback, and clients in the process that remember what they heard.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/client/client.h"
#include "engine/engine.h"
#include "engine/local_client.h"

namespace sluice {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A cluster whose nodes are all in this process. Elections are quick; nothing depends on how quick.
class Nodes {
 public:
  struct Options {
    std::uint32_t nodes = 1;
    std::uint32_t groups = 1;
    std::uint32_t shards = 1;
    std::uint32_t batch_bytes_max = 1u << 20;
    std::uint64_t uncommitted_bytes_max = 32u << 20;
    std::string directory{};  // empty: one of its own, below the working directory
  };
  explicit Nodes(const Options& options);
  ~Nodes();

  /// By position from 0; nullptr once it was stopped.
  [[nodiscard]] Engine* node(std::size_t position) { return engines_[position].get(); }
  [[nodiscard]] std::size_t size() const { return engines_.size(); }
  /// As its owner does: stops it and lets it go.
  void stop(std::size_t position);

  /// Everything committed in a group, read from one of the nodes over its socket.
  [[nodiscard]] std::map<std::uint64_t, std::string> read_all(std::uint32_t group);

 private:
  std::string directory_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Engine>> engines_;
};

/// What was heard of each tag, in order. One outcome for each, or the test fails.
struct Heard : LocalEvents {
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    EXPECT_TRUE(outcomes.emplace(tag, outcome).second) << "a second outcome for tag " << tag;
    order.push_back(tag);
  }
  [[nodiscard]] client::Status status(std::uint64_t tag) const { return outcomes.at(tag).status; }
  [[nodiscard]] Errc code(std::uint64_t tag) const { return outcomes.at(tag).code; }
  [[nodiscard]] std::uint64_t index(std::uint64_t tag) const { return outcomes.at(tag).index.value(); }

  std::map<std::uint64_t, client::AppendOutcome> outcomes;
  std::vector<std::uint64_t> order;
};

/// Flushes, and polls until nothing is pending.
void settle(LocalClient& client);

/// Appends an empty entry to each group until it is committed: a leader has to be elected first. For
/// a node that is alone.
void await_leadership(Engine& engine, std::uint32_t groups = 1);
/// The position of a node that has just committed an empty entry of the group as its leader.
[[nodiscard]] std::size_t leader_of(Nodes& nodes, std::uint32_t group = 0);

}  // namespace sluice
