#include "tools/config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "tools/errors.h"

namespace sluice::tools {
namespace {

/// A string, a whole number, a fraction or a boolean, as it would stand on the command line.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return {};
}

/// As ConfigValue::texts; nothing if there is more in it than plain values.
std::optional<std::vector<std::string>> texts_of(const toml::node& node) {
  std::vector<std::string> texts;
  bool plain = true;
  const auto take = [&](const toml::node& element, const std::string& prefix) {
    const std::optional<std::string> text = scalar_text(element);
    plain = plain && text;
    if (text) texts.push_back(prefix + *text);
  };
  if (const auto* array = node.as_array()) {
    for (const toml::node& element : *array) take(element, "");
  } else if (const auto* table = node.as_table()) {
    for (const auto& [name, element] : *table) take(element, std::string(name.str()) + "=");
  } else {
    take(node, "");
  }
  if (!plain) return {};
  return texts;
}

std::vector<ConfigValue> values_of(const toml::table& table) {
  std::vector<ConfigValue> values;
  for (const auto& [name, node] : table) {
    ConfigValue value;
    value.key = name.str();
    std::ranges::replace(value.key, '_', '-');
    value.line = static_cast<unsigned>(name.source().begin.line);
    const auto texts = texts_of(node);
    value.is_plain = texts.has_value();
    if (texts) value.texts = *texts;
    value.is_flag = node.is_boolean();
    value.is_table = node.is_table();
    if (const auto* inner = node.as_table()) value.table = values_of(*inner);
    values.push_back(std::move(value));
  }
  std::ranges::sort(values, {}, &ConfigValue::line);
  return values;
}

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw UsageError(fmt::format("cannot read the config file {}", path));
  return std::move(text).str();
}

}  // namespace

std::vector<ConfigValue> read_config_file(const std::string& path) {
  const std::string text = read_whole(path);
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw UsageError(
        fmt::format("{} line {}: {}", path, error.source().begin.line, error.description()));
  }
  return values_of(table);
}

}  // namespace sluice::tools
