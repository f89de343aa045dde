#include "tools/bench_compare.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <string_view>

#include "tools/errors.h"
#include "tools/json.h"

namespace sluice::tools {
namespace {

struct Figure {
  std::string_view name;
  std::string_view path;  // in the report
};
constexpr Figure kFigures[] = {
    {"entries/s", "/entries_per_s"},
    {"latency p50 ms", "/latency_ms/p50"},
    {"latency p90 ms", "/latency_ms/p90"},
    {"latency p99 ms", "/latency_ms/p99"},
    {"latency p99.9 ms", "/latency_ms/p999"},
    {"latency p99.99 ms", "/latency_ms/p9999"},
    {"latency max ms", "/latency_ms/max"},
    {"flushes/s", "/flushes_per_s"},
    {"entries per flush", "/entries_per_flush"},
    {"CPU us per entry, nodes", "/cpu_us_per_entry"},
    {"CPU us per entry, client", "/client_cpu_us_per_entry"},
    {"queue p50 ms", "/stages/queue_ms/p50"},
    {"leader disk p50 ms", "/stages/disk_ms/p50"},
    {"wire, follower disk p50 ms", "/stages/follower_ms/p50"},
    {"commit p50 ms", "/stages/commit_ms/p50"},
    {"reply p50 ms", "/stages/reply_ms/p50"},
};

/// What `path` names in `json`; null if there is no such thing.
Json at(const Json& json, std::string_view path) {
  const Json::json_pointer pointer{std::string(path)};
  return json.contains(pointer) ? json.at(pointer) : Json();
}

}  // namespace

std::vector<Difference> differences(const Json& before, const Json& now) {
  std::vector<Difference> all;
  for (const Figure& figure : kFigures) {
    const Json old_value = at(before, figure.path), new_value = at(now, figure.path);
    if (old_value.is_number() && new_value.is_number())
      all.push_back({std::string(figure.name), old_value.get<double>(), new_value.get<double>()});
  }
  return all;
}

std::vector<std::string> different_options(const Json& before, const Json& now) {
  std::vector<std::string> all;
  const Json old_options = at(before, "/options"), new_options = at(now, "/options");
  for (const auto& [name, value] : new_options.items()) {
    const Json old_value = at(old_options, "/" + name);
    if (name != "data_dir" && old_value != value)
      all.push_back(fmt::format("{}: {}, now {}", name, old_value.dump(), value.dump()));
  }
  return all;
}

std::string compare_table(const Json& before, const Json& now) {
  std::string table = fmt::format("{:<30}{:>14}{:>14}{:>9}\n", "", "before", "now", "ratio");
  for (const Difference& one : differences(before, now))
    table += fmt::format("{:<30}{:>14.3f}{:>14.3f}{:>9}\n", one.name, one.before, one.now,
                         one.before == 0 ? "-" : fmt::format("{:.2f}", one.ratio()));
  for (const std::string& option : different_options(before, now))
    table += fmt::format("not measured alike: {}\n", option);
  table +=
      "One run against one run: on most machines a ratio within 0.9 to 1.1 (percentiles beyond "
      "p99: "
      "0.5 to 2) says nothing. Repeat both, in turn, and compare the medians.\n";
  return table;
}

Json compare_json(const Json& before, const Json& now) {
  Json json = Json::object();
  for (const Difference& one : differences(before, now))
    json[one.name] = {{"before", one.before},
                      {"now", one.now},
                      {"ratio", one.before == 0 ? Json() : Json(one.ratio())}};
  return json;
}

Json read_report(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw UsageError(fmt::format("--compare: cannot read {}", path));
  Json json = Json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !at(json, "/entries_per_s").is_number())
    throw UsageError(fmt::format("--compare: {} is not what \"sluice bench --json\" prints", path));
  return json;
}

}  // namespace sluice::tools
