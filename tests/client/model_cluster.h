// A cluster as a client sees it, without Raft: one log per group, a leader that changes, entries
// that wait to be committed or are lost with their leader, refusals and broken connections at
// random.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/client/fake_node.h"

namespace sluice::client {

class ModelCluster {
 public:
  struct Logged {
    ProducerId producer;
    Sequence sequence;
    std::string data;
  };

  ModelCluster(FakeIo& io, std::vector<FakeNode*> nodes, std::uint32_t seed);

  /// One random thing happens, or nothing.
  void act();
  /// From now on everything goes well, and what is in the logs is committed.
  void calm_down();
  [[nodiscard]] const std::vector<Logged>& log_of(GroupId group) { return groups_[group].log; }

 private:
  /// An entry whose fate somebody waits for.
  struct Waiter {
    FakeNode* node = nullptr;
    Received batch;
    std::uint32_t offset = 0;
    std::uint64_t index = 0;
  };
  struct Group {
    std::vector<Logged> log;
    std::uint64_t committed = 0;  // entries
    std::size_t leader = 0;
    std::vector<Waiter> waiters;
  };

  [[nodiscard]] std::uint32_t draw(std::uint32_t below);
  void on_append(FakeNode& node, const Received& batch);
  void accept(FakeNode& node, Group& group, const Received& batch, std::uint32_t known);
  void commit(Group& group);
  void depose(Group& group);

  FakeIo& io_;
  std::vector<FakeNode*> nodes_;
  std::mt19937 random_;
  bool calm_ = false;
  std::map<GroupId, Group> groups_;
};

}  // namespace sluice::client
