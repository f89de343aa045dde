// Whatever happens to the nodes, every outcome is true. One seed is one case.
#include <algorithm>
#include <random>
#include <set>

#include "tests/client/fixture.h"
#include "tests/client/model_cluster.h"

namespace sluice::client {
namespace {

class ClientChaos : public ClientTest, public ::testing::WithParamInterface<std::uint32_t> {
 protected:
  static constexpr std::uint32_t kGroups = 3;

  struct Sent {
    GroupId group;
    ProducerId producer;
    std::uint64_t sequence = 0;
    std::string data;
  };

  std::uint32_t draw(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }

  void append_something() {
    const GroupId group(draw(kGroups));
    const auto tag = static_cast<std::uint64_t>(sent.size());
    AppendOptions options{.group = group, .timeout_ms = draw(4) == 0 ? 20 + draw(200) : 3000};
    if (draw(3) > 0) {
      // A producer whose append did not end well is given up, as its caller would.
      auto& [producer, sequence] = producers[group];
      if (sequence == 0 || failed.contains(producer)) {
        producer = ProducerId(++last_producer);
        sequence = 0;
      }
      options.producer = producer;
      options.sequence = Sequence(++sequence);
    }
    sent.push_back({group, options.producer, options.sequence.value(), "e" + std::to_string(tag)});
    append(tag, sent.back().data, options);
  }

  void note_failures() {
    for (; noted < events.order.size(); ++noted) {
      const std::uint64_t tag = events.order[noted];
      if (events.appends[tag].status != Status::kOk) failed.insert(sent[tag].producer);
    }
  }

  void check(ModelCluster& cluster) {
    std::map<std::string, std::uint64_t> index_of;
    for (std::uint32_t g = 0; g < kGroups; ++g) {
      std::map<ProducerId, std::uint64_t> last;
      const auto& log = cluster.log_of(GroupId(g));
      for (std::size_t i = 0; i < log.size(); ++i) {
        EXPECT_TRUE(index_of.emplace(log[i].data, i + 1).second) << log[i].data << " landed twice";
        if (log[i].producer == kNoProducer) continue;
        EXPECT_EQ(log[i].sequence.value(), last[log[i].producer] + 1) << "a gap, or out of order";
        last[log[i].producer] = log[i].sequence.value();
      }
    }
    ASSERT_EQ(events.appends.size(), sent.size()) << "an append has no outcome";
    for (const auto& [tag, outcome] : events.appends) {
      const auto at = index_of.find(sent[tag].data);
      switch (outcome.status) {
        case Status::kOk:
          ASSERT_NE(at, index_of.end()) << tag << " was acknowledged and is gone";
          EXPECT_EQ(outcome.index.value(), at->second) << tag;
          ++ok;
          break;
        case Status::kRefused:
          EXPECT_EQ(at, index_of.end()) << tag << " was refused and is there";
          ++refused;
          break;
        case Status::kUnknown:
          ++unknown;
          break;
        case Status::kNotLeader:
          ADD_FAILURE() << "without a node";
          break;
      }
    }
  }

  std::mt19937 random_{GetParam()};
  std::vector<Sent> sent;  // by tag
  std::map<GroupId, std::pair<ProducerId, std::uint64_t>> producers;
  std::set<ProducerId> failed;
  std::uint64_t last_producer = 0;
  std::size_t noted = 0;
  std::size_t ok = 0, refused = 0, unknown = 0;
};

TEST_P(ClientChaos, EveryOutcomeIsTrue) {
  ModelCluster cluster(io, {&a, &b, &c}, GetParam() + 1000);
  Options options;
  options.batch_bytes_max = 256;
  start(options);
  for (int step = 0; step < 1500; ++step) {
    for (std::uint32_t count = draw(4); count > 0; --count) append_something();
    client->flush();
    io.run_ms(draw(4));
    cluster.act();
    note_failures();
  }
  cluster.calm_down();
  io.run_ms(10'000);
  EXPECT_EQ(client->pending(), 0u);
  check(cluster);
  EXPECT_GT(ok, 300u) << "the case proves little: ok " << ok << ", refused " << refused
                      << ", unknown " << unknown;
}

INSTANTIATE_TEST_SUITE_P(Seeds, ClientChaos, ::testing::Range(1u, 41u));

}  // namespace
}  // namespace sluice::client
