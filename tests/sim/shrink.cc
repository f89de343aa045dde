#include "tests/sim/shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::sim {
namespace {

class Shrinker {
 public:
  Shrinker(Scenario scenario, unsigned tries_max,
           const std::function<bool(const Scenario&)>& fails)
      : best_(std::move(scenario)), tries_(tries_max), fails_(fails) {}

  Scenario run() {
    for (bool smaller = true; smaller && tries_ > 0;) {
      smaller = fewer_faults();
      smaller = simpler_cluster() || smaller;
      smaller = less_work() || smaller;
    }
    return std::move(best_);
  }

 private:
  bool keep_if_fails(Scenario candidate) {
    if (tries_ == 0) return false;
    --tries_;
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  bool fewer_faults() {
    bool any = false;
    for (std::size_t part = best_.faults.size(); part > 0; part /= 2) {
      for (std::size_t begin = 0; begin < best_.faults.size() && tries_ > 0;) {
        Scenario candidate = best_;
        const auto first = candidate.faults.begin() + static_cast<std::ptrdiff_t>(begin);
        const auto count = std::min(part, candidate.faults.size() - begin);
        candidate.faults.erase(first, first + static_cast<std::ptrdiff_t>(count));
        if (keep_if_fails(std::move(candidate))) {
          any = true;
        } else {
          begin += part;
        }
      }
    }
    return any;
  }

  template <class T>
  bool try_setting(T Scenario::* field, T value) {
    if (best_.*field == value) return false;
    Scenario candidate = best_;
    candidate.*field = value;
    return keep_if_fails(std::move(candidate));
  }

  bool simpler_cluster() {
    bool any = false;
    any |= try_setting(&Scenario::shards, 1u);
    any |= best_.shards == 1 && try_setting(&Scenario::groups, 1u);
    any |= best_.groups > best_.shards && try_setting(&Scenario::groups, best_.shards);
    any |= best_.clients > 1 && try_setting(&Scenario::clients, 1u);
    any |= best_.nodes > 3 && try_setting(&Scenario::nodes, 3u);
    any |= try_setting(&Scenario::clock_ppm, 0u);
    return any;
  }

  bool less_work() {
    bool any = false;
    any |= try_setting(&Scenario::reads, false);
    any |= try_setting(&Scenario::trims, false);
    any |= try_setting(&Scenario::named, false);
    any |= try_setting(&Scenario::locals, false);
    if (best_.producers > 0) any |= try_setting(&Scenario::plain, false);
    if (best_.producers > 1) any |= try_setting(&Scenario::producers, 1u);
    const Time last = best_.faults.empty() ? kSecond : best_.faults.back().at + kSecond;
    if (last < best_.faults_end) any |= try_setting(&Scenario::faults_end, last);
    for (std::uint64_t limit = 4; limit < std::min<std::uint64_t>(best_.operations_max, 5000);
         limit *= 2) {
      if (try_setting(&Scenario::operations_max, limit)) {
        any = true;
        break;
      }
    }
    return any;
  }

  Scenario best_;
  unsigned tries_;
  const std::function<bool(const Scenario&)>& fails_;
};

}  // namespace

Scenario shrink(Scenario scenario, unsigned tries_max,
                const std::function<bool(const Scenario&)>& fails) {
  return Shrinker(std::move(scenario), tries_max, fails).run();
}

}  // namespace sluice::sim
