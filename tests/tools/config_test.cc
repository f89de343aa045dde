#include "engine/config.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace sluice {
namespace {

Config sound() {
  Config config;
  config.node_id = NodeId(1);
  config.cluster_name = "test";
  config.data_dir = "/tmp/x";
  config.listen = "127.0.0.1:4101";
  for (std::uint32_t node = 1; node <= 3; ++node)
    config.peers.push_back({NodeId(node), "127.0.0.1:410" + std::to_string(node)});
  return config;
}

TEST(FsyncPolicy, ReadsWhatItWrites) {
  for (const char* text : {"always", "never", "interval=1ms", "interval=10ms", "interval=2s",
                           "interval=1500us", "interval=60s"}) {
    const Result<FsyncPolicy> policy = FsyncPolicy::parse(text);
    ASSERT_TRUE(policy.has_value()) << text;
    EXPECT_EQ(policy->to_string(), text);
  }
  EXPECT_EQ(FsyncPolicy::parse("interval=2000ms")->to_string(), "interval=2s");
  EXPECT_EQ(FsyncPolicy::parse("interval=10ms")->interval_ns, 10'000'000u);
  EXPECT_EQ(FsyncPolicy().to_string(), "always");
}

TEST(FsyncPolicy, RefusesEverythingElse) {
  for (const char* text :
       {"", "Always", "always ", "sometimes", "interval", "interval=", "interval=ms", "interval=10",
        "interval=-1ms", "interval=1.5s", "interval=10 ms", "interval=10m",
        "interval=99999999999999999999s", "interval=18446744073709551615s", "never=1s"})
    EXPECT_FALSE(FsyncPolicy::parse(text).has_value()) << text;
}

TEST(Config, DefaultsOfASoundNodeAreSound) { EXPECT_EQ(sound().problem(), ""); }

TEST(Config, APeerListWithoutTheOwnIdIsRefused) {
  Config config = sound();
  config.node_id = NodeId(4);
  EXPECT_NE(config.problem().find("do not name this node (4)"), std::string::npos)
      << config.problem();
}

TEST(Config, EachMistakeIsFoundAndNamed) {
  struct Case {
    std::function<void(Config&)> breaks;
    const char* named;
  };
  const Case cases[] = {
      {[](Config& c) { c.node_id = kNoNode; }, "node_id"},
      {[](Config& c) { c.cluster_name = ""; }, "name"},
      {[](Config& c) { c.cluster_name = std::string(65, 'x'); }, "name"},
      {[](Config& c) { c.data_dir = ""; }, "data_dir"},
      {[](Config& c) { c.listen = "localhost"; }, "HOST:PORT"},
      {[](Config& c) { c.listen = "localhost:70000"; }, "HOST:PORT"},
      {[](Config& c) { c.listen = "::1:4000"; }, "HOST:PORT"},
      {[](Config& c) { c.peers.clear(); }, "0 peers"},
      {[](Config& c) { c.peers[1].address = "b:0"; }, "peer 2"},
      {[](Config& c) { c.peers[2].address = c.peers[0].address; }, "same address"},
      {[](Config& c) { c.peers[2].node = NodeId(2); }, "given twice"},
      {[](Config& c) { c.trusted_again = {NodeId(4)}; }, "node 4"},
      {[](Config& c) { c.trusted_again = {NodeId(2), NodeId(1)}; }, "its own"},
      {[](Config& c) { c.groups = 0; }, "groups"},
      {[](Config& c) { c.groups = 65'537; }, "groups"},
      {[](Config& c) { c.shards = 65; }, "shards"},
      {[](Config& c) { c.groups = 65'536, c.shards = 3; }, "use more --shards"},
      {[](Config& c) { c.batch_bytes_max = 4095; }, "batch_bytes_max"},
      {[](Config& c) { c.batch_bytes_max = 4100; }, "multiple of 8"},
      {[](Config& c) { c.batch_bytes_max = 16u << 20; }, "segment_bytes"},
      {[](Config& c) { c.segment_bytes = (64u << 20) + 1; }, "4096"},
      {[](Config& c) { c.segment_bytes = 1u << 20; }, "must be at least"},
      {[](Config& c) { c.writes_inflight_max = 0; }, "writes_inflight_max"},
      {[](Config& c) { c.inflight_bytes_max = 1u << 16; }, "inflight_bytes_max"},
      {[](Config& c) { c.producers_max = 0; }, "producers_max"},
      {[](Config& c) { c.catch_up_bytes_per_s_min = 4096; }, "catch_up_bytes_per_s_min"},
      {[](Config& c) { c.busy_poll_us = 1'001; }, "busy_poll_us"},
      {[](Config& c) { c.tick_ms = 0; }, "tick_ms"},
      {[](Config& c) { c.heartbeat_ms = 5; }, "heartbeat_ms"},
      {[](Config& c) { c.election_timeout_ms = 60; }, "election_timeout_ms"},
      {[](Config& c) { c.fsync = *FsyncPolicy::parse("interval=500us"); }, "1ms to 60s"},
      {[](Config& c) { c.fsync = *FsyncPolicy::parse("interval=61s"); }, "1ms to 60s"},
  };
  for (const Case& one : cases) {
    Config config = sound();
    one.breaks(config);
    EXPECT_NE(config.problem().find(one.named), std::string::npos)
        << one.named << ": \"" << config.problem() << "\"";
    EXPECT_EQ(config.problem().find('\n'), std::string::npos);
  }
}

TEST(Config, S56_PeersMayBeTrustedAgain) {
  Config config = sound();
  config.trusted_again = {NodeId(2), NodeId(3)};
  EXPECT_EQ(config.problem(), "");
}

TEST(Config, GroupsMayFillTheirShards) {
  Config config = sound();
  config.groups = 65'536;
  for (const std::uint32_t shards : {0u, 4u}) {
    config.shards = shards;
    EXPECT_EQ(config.problem(), "");
  }
}

TEST(Config, AddressesOfAllKinds) {
  Config config = sound();
  config.listen = "[::1]:0";
  EXPECT_EQ(config.problem(), "");
  config.listen = "node-1.example:4000";
  EXPECT_EQ(config.problem(), "");
}

TEST(Config, AClusterOfOneMayLeaveItsPortToTheSystem) {
  Config config = sound();
  config.peers = {{NodeId(1), "127.0.0.1:0"}};
  config.listen = "127.0.0.1:0";
  EXPECT_EQ(config.problem(), "");
}

}  // namespace
}  // namespace sluice
