#include <string_view>

#include "engine/engine.h"

/// Counts what was appended; a database would mark its transactions as committed here.
struct Outcomes : sluice::LocalEvents {
  void on_append(std::uint64_t tag, const sluice::client::AppendOutcome& outcome) override {
    last_tag = tag;
    if (outcome.status == sluice::client::Status::kOk) last_index = outcome.index;
  }
  std::uint64_t last_tag = 0;
  sluice::Index last_index;
};

/// Appends a line to group 0 of a node that is in this process, and waits until it is committed.
sluice::Index append_line(sluice::Engine& engine, std::string_view line) {
  Outcomes outcomes;
  auto client = engine.local_client({}, outcomes);
  if (!client) return {};
  const auto bytes = std::as_bytes(std::span(line.data(), line.size()));
  const auto taken = (*client)->append(1, {.group = sluice::GroupId(0)}, bytes);
  if (taken != sluice::Errc::kOk) return {};
  (*client)->flush();
  while ((*client)->pending() > 0) {
    if ((*client)->poll() == 0) (*client)->wait(/*timeout_ms=*/1000);
  }
  return outcomes.last_index;  // 0: not appended, or nobody knows
}
