#include "tools/pipe_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

#include "tools/errors.h"
#include "tools/json.h"
#include "tools/text.h"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kU32Max = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kU64Max = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kTimeoutMsMax = 3'600'000;

/// The fields of one object. Its own mistakes are thrown and caught in parse_pipe_request().
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  [[nodiscard]] bool has(const char* name) const { return object_.contains(name); }

  std::uint64_t number(const char* name, std::uint64_t otherwise, std::uint64_t min,
                       std::uint64_t max) const {
    const auto found = object_.find(name);
    if (found == object_.end()) return otherwise;
    if (!found->is_number_unsigned())
      throw UsageError(fmt::format("\"{}\" must be a whole number from {}", name, min));
    const auto value = found->get<std::uint64_t>();
    if (value < min || value > max)
      throw UsageError(fmt::format("\"{}\" is {}: choose {} to {}", name, value, min, max));
    return value;
  }
  std::uint32_t number32(const char* name, std::uint64_t otherwise, std::uint64_t min,
                         std::uint64_t max = kU32Max) const {
    return static_cast<std::uint32_t>(number(name, otherwise, min, max));
  }
  const std::string& text(const char* name) const {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_string())
      throw UsageError(fmt::format("\"{}\" must be a string", name));
    return found->get_ref<const std::string&>();
  }
  void only(std::initializer_list<std::string_view> known) const {
    for (const auto& [name, value] : object_.items())
      if (std::ranges::find(known, name) == known.end())
        throw UsageError(fmt::format("\"{}\" is not a field of this operation", name));
  }

 private:
  const Json& object_;
};

std::string data_of(const Fields& fields) {
  if (fields.has("data") == fields.has("data_base64"))
    throw UsageError("an append needs either \"data\" or \"data_base64\"");
  if (fields.has("data")) return fields.text("data");
  std::optional<std::string> bytes = base64_decode(fields.text("data_base64"));
  if (!bytes) throw UsageError("\"data_base64\" is not base64 (RFC 4648, with padding)");
  return *std::move(bytes);
}

PipeAppend parse_append(const Fields& fields, std::uint32_t timeout_ms) {
  fields.only(
      {"id", "op", "group", "data", "data_base64", "producer", "sequence", "timeout_ms", "node"});
  if (fields.has("producer") != fields.has("sequence"))
    throw UsageError("\"producer\" and \"sequence\" belong together: give both or none");
  PipeAppend append;
  append.options.group = GroupId(fields.number32("group", 0, 0));
  append.options.producer = ProducerId(fields.number("producer", 0, 1, kU64Max));
  append.options.sequence = Sequence(fields.number("sequence", 0, 1, kU64Max));
  append.options.timeout_ms = fields.number32("timeout_ms", timeout_ms, 1, kTimeoutMsMax);
  append.options.node = NodeId(fields.number32("node", 0, 1));
  append.data = data_of(fields);
  return append;
}

PipeRead parse_read(const Fields& fields, std::uint32_t timeout_ms) {
  fields.only({"id", "op", "group", "from", "count", "wait_ms", "timeout_ms", "node"});
  PipeRead read;
  read.options.group = GroupId(fields.number32("group", 0, 0));
  read.options.from = Index(fields.number("from", 1, 0, kU64Max));
  read.options.count_max = fields.number32("count", 1000, 1);
  read.options.wait_ms = fields.number32("wait_ms", 0, 0, kTimeoutMsMax);
  read.options.timeout_ms = fields.number32("timeout_ms", timeout_ms, 1, kTimeoutMsMax);
  read.options.node = NodeId(fields.number32("node", 0, 1));
  return read;
}

PipeStatus parse_status(const Fields& fields, std::uint32_t timeout_ms) {
  fields.only({"id", "op", "node", "timeout_ms"});
  if (!fields.has("node")) throw UsageError("a status needs \"node\": the id of the one to ask");
  PipeStatus status;
  status.node = NodeId(fields.number32("node", 0, 1));
  status.timeout_ms = fields.number32("timeout_ms", timeout_ms, 1, kTimeoutMsMax);
  return status;
}

}  // namespace

std::expected<PipeRequest, PipeMistake> parse_pipe_request(std::string_view line,
                                                           std::uint32_t timeout_ms_default) {
  const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) return std::unexpected(PipeMistake{{}, "the line is not JSON"});
  if (!object.is_object()) return std::unexpected(PipeMistake{{}, "the line is not a JSON object"});
  PipeRequest request;
  if (const auto id = object.find("id"); id != object.end()) request.id = *id;
  try {
    const Fields fields(object);
    const std::string& op = fields.text("op");
    if (op == "append") {
      request.what = parse_append(fields, timeout_ms_default);
    } else if (op == "read") {
      request.what = parse_read(fields, timeout_ms_default);
    } else if (op == "status") {
      request.what = parse_status(fields, timeout_ms_default);
    } else {
      throw UsageError(fmt::format("\"{}\" is not an operation: append, read or status", op));
    }
  } catch (const UsageError& mistake) {
    return std::unexpected(PipeMistake{std::move(request.id), mistake.what()});
  }
  return request;
}

}  // namespace sluice::tools
