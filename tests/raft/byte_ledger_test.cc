#include "engine/raft/byte_ledger.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/raft/random.h"

namespace sluice::raft {
namespace {

TEST(RaftByteLedger, CountsWhatIsNeitherCommittedNorTruncated) {
  ByteLedger ledger;
  ledger.add(Index(3), 10);
  ledger.add(Index(5), 20);
  ledger.add(Index(6), 30);
  EXPECT_EQ(ledger.total_bytes(), 60u);
  ledger.commit(Index(4));
  EXPECT_EQ(ledger.total_bytes(), 50u);
  ledger.truncate_from(Index(6));
  EXPECT_EQ(ledger.total_bytes(), 20u);
  ledger.commit(Index(100));
  EXPECT_EQ(ledger.total_bytes(), 0u);
}

TEST(RaftByteLedger, EqualsASimpleMapUnderAnySequenceOfChanges) {
  Random random(7);
  ByteLedger ledger;
  std::map<std::uint64_t, std::uint64_t> model;
  std::uint64_t last_index = 0;
  std::uint64_t committed = 0;
  for (int step = 0; step < 50'000; ++step) {
    const std::uint64_t kind = random.below(10);
    if (kind < 6) {
      last_index += 1 + random.below(4);
      const std::uint64_t size_bytes = random.below(1000);
      ledger.add(Index(last_index), size_bytes);
      model[last_index] = size_bytes;
    } else if (kind < 8) {
      committed += random.below(last_index - committed + 1);
      ledger.commit(Index(committed));
      model.erase(model.begin(), model.upper_bound(committed));
    } else {
      const std::uint64_t from = committed + 1 + random.below(last_index - committed + 1);
      ledger.truncate_from(Index(from));
      model.erase(model.lower_bound(from), model.end());
      last_index = from - 1;
    }
    std::uint64_t total = 0;
    for (const auto& [index, size_bytes] : model) total += size_bytes;
    ASSERT_EQ(ledger.total_bytes(), total) << "step " << step;
  }
}

}  // namespace
}  // namespace sluice::raft
