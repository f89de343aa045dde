// Outcomes of appends between the moment they are known and the end of the completion's handler:
// the caller's code runs only when nothing of the client is half done, and may append again.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/client/client.h"

namespace sluice::client {

class Outbox {
 public:
  void add(std::uint64_t tag, const AppendOutcome& outcome) {
    waiting_.push_back({tag, outcome});
    ++added_;
  }
  /// How many outcomes were added so far, and how many of these the caller was given. The caller
  /// knows the outcome that was the n-th to be added once handed_out() >= n.
  [[nodiscard]] std::uint64_t added() const { return added_; }
  [[nodiscard]] std::uint64_t handed_out() const {
    return added_ - static_cast<std::uint64_t>(size());
  }
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  [[nodiscard]] std::size_t size() const { return waiting_.size() + (handed_out_.size() - next_); }

  /// Hands out what is there now, not what the caller's handlers add.
  void deliver(Events& events) {
    if (waiting_.empty()) return;  // nor does the memory change sides: both have their size soon
    handed_out_.swap(waiting_);
    for (next_ = 0; next_ < handed_out_.size();) {
      const Item& item = handed_out_[next_++];
      events.on_append(item.tag, item.outcome);
    }
    handed_out_.clear();
    next_ = 0;
  }

 private:
  struct Item {
    std::uint64_t tag;
    AppendOutcome outcome;
  };
  std::vector<Item> waiting_;
  std::vector<Item> handed_out_;
  std::size_t next_ = 0;  // of handed_out_
  std::uint64_t added_ = 0;
};

}  // namespace sluice::client
