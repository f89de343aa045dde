#include "engine/raft/byte_ledger.h"

#include <utility>

#include "wire/check.h"

namespace sluice::raft {

void ByteLedger::add(Index last_index, std::uint64_t size_bytes) {
  if (count_ == ring_.size()) grow();
  SLUICE_CHECK(count_ == 0 || at(count_ - 1).last_index < last_index);
  at(count_++) = {last_index, size_bytes};
  total_bytes_ += size_bytes;
}

void ByteLedger::commit(Index index) {
  while (count_ > 0 && at(0).last_index <= index) {
    total_bytes_ -= at(0).size_bytes;
    head_ = (head_ + 1) & (ring_.size() - 1);
    --count_;
  }
}

void ByteLedger::truncate_from(Index from) {
  while (count_ > 0 && at(count_ - 1).last_index >= from) {
    total_bytes_ -= at(count_ - 1).size_bytes;
    --count_;
  }
}

void ByteLedger::grow() {
  std::vector<Item> bigger(ring_.empty() ? 16 : ring_.size() * 2);
  for (std::size_t i = 0; i < count_; ++i) bigger[i] = at(i);
  ring_ = std::move(bigger);
  head_ = 0;
}

}  // namespace sluice::raft
