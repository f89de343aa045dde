#include "engine/io/timer_heap.h"

namespace sluice::io {

void TimerHeap::push(Completion& completion, std::uint64_t deadline_ns) {
  nodes_.push_back({deadline_ns, sequence_++, &completion});
  sift_up(nodes_.size() - 1);
}

Completion& TimerHeap::pop() {
  SLUICE_CHECK(!nodes_.empty());
  Completion& first = *nodes_.front().completion;
  remove(first);
  return first;
}

void TimerHeap::remove(Completion& completion) {
  const std::size_t at = completion.io_state[kPlace];
  SLUICE_CHECK(at < nodes_.size() && nodes_[at].completion == &completion);
  const Node last = nodes_.back();
  nodes_.pop_back();
  if (at == nodes_.size()) return;
  place(at, last);
  sift_up(at);
  sift_down(last.completion->io_state[kPlace]);
}

void TimerHeap::place(std::size_t at, const Node& node) {
  nodes_[at] = node;
  node.completion->io_state[kPlace] = at;
}

void TimerHeap::sift_up(std::size_t at) {
  const Node moving = nodes_[at];
  while (at > 0) {
    const std::size_t parent = (at - 1) / 2;
    if (!moving.before(nodes_[parent])) break;
    place(at, nodes_[parent]);
    at = parent;
  }
  place(at, moving);
}

void TimerHeap::sift_down(std::size_t at) {
  const Node moving = nodes_[at];
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= nodes_.size()) break;
    if (child + 1 < nodes_.size() && nodes_[child + 1].before(nodes_[child])) ++child;
    if (!nodes_[child].before(moving)) break;
    place(at, nodes_[child]);
    at = child;
  }
  place(at, moving);
}

}  // namespace sluice::io
