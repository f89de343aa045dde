// One request line of `sluice pipe`, read and checked.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>

#include "engine/client/client.h"
#include "tools/json.h"

namespace sluice::tools {

struct PipeAppend {
  client::AppendOptions options;
  std::string data;
};
struct PipeRead {
  client::ReadOptions options;
};
struct PipeStatus {
  NodeId node;
  std::uint32_t timeout_ms = 5000;
};

struct PipeRequest {
  Json id;  // as given; null if none was
  std::variant<PipeAppend, PipeRead, PipeStatus> what;
};

/// Why a line is no request, with the id if one could be read.
struct PipeMistake {
  Json id;
  std::string message;
};

/// Strict: an unknown field, a wrong type or a number out of range is a mistake, so that a typing
/// error never changes what a request means.
[[nodiscard]] std::expected<PipeRequest, PipeMistake> parse_pipe_request(
    std::string_view line, std::uint32_t timeout_ms_default);

}  // namespace sluice::tools
