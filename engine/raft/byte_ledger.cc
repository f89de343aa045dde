#include "engine/raft/byte_ledger.h"

#include "wire/check.h"

namespace sluice::raft {

void ByteLedger::add(Index last_index, std::uint64_t size_bytes) {
  SLUICE_CHECK(batches_.empty() || batches_.back().last_index < last_index);
  batches_.push_back({last_index, size_bytes});
  total_bytes_ += size_bytes;
}

void ByteLedger::commit(Index index) {
  while (!batches_.empty() && batches_.front().last_index <= index) {
    total_bytes_ -= batches_.front().size_bytes;
    batches_.pop_front();
  }
}

void ByteLedger::truncate_from(Index from) {
  while (!batches_.empty() && batches_.back().last_index >= from) {
    total_bytes_ -= batches_.back().size_bytes;
    batches_.pop_back();
  }
}

}  // namespace sluice::raft
