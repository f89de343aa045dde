// What the client library answers, as JSON for scripts and as words for people.
#pragma once

#include <string>
#include <string_view>

#include "engine/client/client.h"
#include "tools/json_fwd.h"
#include "wire/result.h"

namespace sluice::tools {

/// One sentence for people: what happened and what to do about it.
[[nodiscard]] std::string explain(Errc code);

/// "follower", "pre_candidate", "candidate", "leader".
[[nodiscard]] std::string_view role_name(std::uint8_t role);

/// {"ok":true,"index":..,"term":..} or {"ok":false,"error":"refused"|"not_leader"|"unknown",...}.
[[nodiscard]] Json append_json(const client::AppendOutcome& outcome);

/// {"index":..,"term":..,"data":".."}, "data_base64" for what is not UTF-8, "internal":true for
/// what no client appended.
[[nodiscard]] Json entry_json(const client::Entry& entry);

/// {"ok":true,"commit_index":..,"entries":[..]} or {"ok":false,"error":"trimmed",...}.
[[nodiscard]] Json read_json(const client::ReadOutcome& outcome);

/// The object of a node in `sluice status --json`.
[[nodiscard]] Json status_json(const client::NodeStatus& status);

/// {"ok":false,"error":"refused","code":"invalid_request","message":..}.
[[nodiscard]] Json invalid_json(std::string_view message);

}  // namespace sluice::tools
