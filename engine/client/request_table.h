// Request ids: a slot and how often it was used, so that a late answer to something that has ended
// is told from an answer to what uses the slot now.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::client {

/// Ids are unique over the life of the table (until a slot was used 2^31 times). `kSalt` keeps the
/// ids of two tables apart.
template <class T, std::uint64_t kSalt>
class RequestTable {
 public:
  /// A fresh id for `subject` on the connection number `connection`.
  [[nodiscard]] std::uint64_t add(T& subject, std::size_t connection) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t at = free_.back();
    free_.pop_back();
    Slot& slot = slots_[at];
    slot.subject = &subject;
    slot.connection = connection;
    slot.use = (slot.use + 1) & 0x7fffffffu;
    return kSalt << 63 | std::uint64_t{slot.use} << 32 | at;
  }

  /// nullptr: it has ended, or was never sent over this connection.
  [[nodiscard]] T* find(std::uint64_t id, std::size_t connection) const {
    const auto at = static_cast<std::uint32_t>(id);
    if (at >= slots_.size() || id >> 63 != kSalt) return nullptr;
    const Slot& slot = slots_[at];
    const bool same = slot.use == (id >> 32 & 0x7fffffffu) && slot.connection == connection;
    return same ? slot.subject : nullptr;
  }

  void remove(std::uint64_t id) {
    const auto at = static_cast<std::uint32_t>(id);
    slots_[at].subject = nullptr;
    free_.push_back(at);
  }

 private:
  struct Slot {
    T* subject = nullptr;
    std::size_t connection = 0;
    std::uint32_t use = 0;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace sluice::client
