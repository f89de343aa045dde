#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace sluice::sim {

void World::at(Time when, Action action) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::move(action));
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[slot] = std::move(action);
  }
  heap_.push_back({std::max(when, now_), sequence_++, slot});
  std::ranges::push_heap(heap_, [](const Event& a, const Event& b) { return a.after(b); });
}

bool World::step() {
  if (heap_.empty()) return false;
  std::ranges::pop_heap(heap_, [](const Event& a, const Event& b) { return a.after(b); });
  const Event event = heap_.back();
  heap_.pop_back();
  now_ = event.when;
  ++events_;
  mix(event.when);
  Action action = std::exchange(slots_[event.slot], nullptr);
  free_slots_.push_back(event.slot);
  action();
  return true;
}

void World::trace(std::string_view who, std::string_view what) const {
  if (!tracing) return;
  std::printf("%12.6f %-10.*s %.*s\n", static_cast<double>(now_) / 1e9,
              static_cast<int>(who.size()), who.data(), static_cast<int>(what.size()), what.data());
}

}  // namespace sluice::sim
