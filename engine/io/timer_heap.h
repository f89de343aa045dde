// Timers in user space: a binary heap by deadline, so that any number of them costs the kernel one
// alarm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/io/io.h"

namespace sluice::io {

/// The pending timers of one Io. A completion in the heap knows its place in io_state[kPlace],
/// which makes its removal O(log n).
class TimerHeap {
 public:
  /// Which word of Completion::io_state holds the place in the heap.
  static constexpr std::size_t kPlace = 1;

  [[nodiscard]] bool empty() const { return nodes_.empty(); }
  /// Deadline of the next timer. Requires: not empty.
  [[nodiscard]] std::uint64_t next_deadline_ns() const { return nodes_.front().deadline_ns; }

  void push(Completion& completion, std::uint64_t deadline_ns);
  /// The timer with the earliest deadline; of equal ones the one pushed first.
  Completion& pop();
  /// Requires: `completion` is in the heap.
  void remove(Completion& completion);

 private:
  struct Node {
    std::uint64_t deadline_ns;
    std::uint64_t sequence;  // order of arrival, which decides between equal deadlines
    Completion* completion;

    [[nodiscard]] bool before(const Node& other) const {
      return deadline_ns != other.deadline_ns ? deadline_ns < other.deadline_ns
                                              : sequence < other.sequence;
    }
  };

  void place(std::size_t at, const Node& node);
  void sift_up(std::size_t at);
  void sift_down(std::size_t at);

  std::vector<Node> nodes_;
  std::uint64_t sequence_ = 0;
};

}  // namespace sluice::io
