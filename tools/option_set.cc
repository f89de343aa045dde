#include "tools/option_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "tools/config_file.h"
#include "tools/errors.h"
#include "tools/sizes.h"

namespace sluice::tools {

struct OptionSet::Item {
  std::string name;
  Set set;
  CLI::Option* option = nullptr;
  std::vector<std::string> raw;  // as given on the command line
  bool raised = false;           // a flag that was given
  bool is_flag = false;
  bool is_list = false;
  bool is_positional = false;
  bool required = false;
  bool hidden = false;
  bool given = false;

  /// As people write it.
  [[nodiscard]] std::string label() const { return is_positional ? name : "--" + name; }
};

namespace {

/// The values between the commas of a list, as CLI11 takes them from the command line.
std::vector<std::string> split_list(const std::vector<std::string>& texts) {
  std::vector<std::string> values;
  for (const std::string& text : texts) {
    std::istringstream pieces(text);
    for (std::string piece; std::getline(pieces, piece, ',');)
      if (!piece.empty()) values.push_back(piece);
  }
  return values;
}

}  // namespace

OptionSet::OptionSet(CLI::App& app) : app_(app) {
  text("config", config_path_, "FILE",
       "TOML file with any of these options by their long names (data_dir or data-dir = \"...\"); "
       "what the command line says is stronger. What concerns one command alone may stand in a "
       "table of its name, as [serve], that the others pass over");
}

OptionSet::~OptionSet() = default;

OptionSet::Item* OptionSet::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(items_, [&](const auto& item) { return item->name == name; });
  return found == items_.end() ? nullptr : found->get();
}

OptionSet::Item& OptionSet::add(std::string name, std::string placeholder, const std::string& help,
                                Set set) {
  Item& item = *items_.emplace_back(std::make_unique<Item>());
  item.name = std::move(name);
  item.set = std::move(set);
  item.option = app_.add_option("--" + item.name, item.raw, help);
  item.option->type_name(std::move(placeholder))->expected(1)->allow_extra_args(false);
  return item;
}

void OptionSet::text(std::string name, std::string& value, std::string placeholder,
                     std::string help) {
  add(std::move(name), std::move(placeholder), help,
      [&value](const std::string& given) { value = given; });
}

void OptionSet::list(std::string name, std::vector<std::string>& values, std::string placeholder,
                     std::string help) {
  Item& item = add(std::move(name), std::move(placeholder), help,
                   [&values](const std::string& given) { values.push_back(given); });
  item.is_list = true;
  item.option->delimiter(',')->take_all();
}

void OptionSet::choice(std::string name, std::string& value, std::vector<std::string> choices,
                       std::string help) {
  std::string placeholder = fmt::format("{}", fmt::join(choices, "|"));
  help += fmt::format(" (default {})", value);
  add(std::move(name), placeholder, help, [&value, choices](const std::string& given) {
    if (std::ranges::find(choices, given) == choices.end())
      throw UsageError(fmt::format("\"{}\" is not one of: {}", given, fmt::join(choices, ", ")));
    value = given;
  });
}

void OptionSet::flag(std::string name, bool& value, std::string help) {
  Item& item = *items_.emplace_back(std::make_unique<Item>());
  item.name = std::move(name);
  item.is_flag = true;
  item.set = [&value](const std::string& given) {
    if (given != "true" && given != "false")
      throw UsageError(fmt::format("\"{}\" is not true or false", given));
    value = given == "true";
  };
  item.option = app_.add_flag("--" + item.name, item.raised, help);
}

void OptionSet::integer(std::string name, Integer integer, std::string help,
                        std::function<void(std::uint64_t)> set) {
  const auto written = [is_size = integer.is_size](std::uint64_t n) {
    return is_size ? size_text(n) : std::to_string(n);
  };
  const Limits limits = integer.limits;
  const std::string range = limits.max == std::numeric_limits<std::uint64_t>::max()
                                ? fmt::format("at least {}", written(limits.min))
                                : fmt::format("{} to {}", written(limits.min), written(limits.max));
  help += fmt::format(" (default {}, {})", written(integer.initial), range);
  add(std::move(name), integer.is_size ? "BYTES" : "N", help,
      [=, set = std::move(set)](const std::string& given) {
        const auto value = integer.is_size ? parse_size(given) : parse_number(given);
        if (!value)
          throw UsageError(
              fmt::format("\"{}\" is not a {}", given,
                          integer.is_size ? "size: write 65536, 64KiB or 1MiB" : "whole number"));
        if (*value < limits.min || *value > limits.max)
          throw UsageError(fmt::format("{} is out of range: choose {}", given, range));
        set(*value);
      });
}

void OptionSet::real(std::string name, double& value, double max, std::string help) {
  help += fmt::format(" (default {}, at most {})", value, max);
  add(std::move(name), "X", help, [&value, max](const std::string& given) {
    char* end = nullptr;
    const double number = std::strtod(given.c_str(), &end);
    if (given.empty() || *end != '\0')
      throw UsageError(fmt::format("\"{}\" is not a number", given));
    if (!(number >= 0 && number <= max))
      throw UsageError(fmt::format("{} is out of range: choose 0 to {}", given, max));
    value = number;
  });
}

void OptionSet::positional(std::string name, std::string& value, std::string help) {
  Item& item = *items_.emplace_back(std::make_unique<Item>());
  item.name = std::move(name);
  item.is_positional = true;
  item.set = [&value](const std::string& given) { value = given; };
  item.option = app_.add_option(item.name, item.raw, help);
  item.option->type_name("")->expected(1);
}

void OptionSet::require(std::string_view name) { find(name)->required = true; }

void OptionSet::hide(std::string_view name) {
  Item* item = find(name);
  item->hidden = true;
  item->option->group("");
}

bool OptionSet::given(std::string_view name) const { return find(name)->given; }

void OptionSet::merge_file(const std::string& path) {
  const std::vector<ConfigValue> values = read_config_file(path);
  // What stands in a command's own table is stronger than what stands before all tables.
  for (const ConfigValue& value : values)
    if (value.is_table && value.key == app_.get_name()) merge(value.table, path);
  std::vector<ConfigValue> common;
  for (const ConfigValue& value : values)
    if (!value.is_table || !is_command(value.key)) common.push_back(value);
  merge(common, path);
}

bool OptionSet::is_command(const std::string& name) const {
  if (name == app_.get_name()) return true;
  CLI::App* const all = app_.get_parent();
  return all != nullptr &&
         !all->get_subcommands([&](const CLI::App* one) { return one->get_name() == name; })
              .empty();
}

void OptionSet::merge(const std::vector<ConfigValue>& values, const std::string& path) {
  for (const ConfigValue& value : values) {
    Item* item = find(value.key);
    // A list may be named in the plural: peers = [...] for --peer.
    if (item == nullptr && value.key.ends_with('s')) {
      item = find(value.key.substr(0, value.key.size() - 1));
      if (item != nullptr && !item->is_list) item = nullptr;
    }
    const std::string where = fmt::format("{} line {}: {}", path, value.line, value.key);
    if (item == nullptr || item->hidden || item->name == "config")
      throw UsageError(fmt::format("{}: there is no such option", where));
    if (!value.is_plain) throw UsageError(where + ": only plain values may stand here");
    if (item->given) continue;
    take(*item, value, where);
  }
}

void OptionSet::take(Item& item, const ConfigValue& value, const std::string& where) {
  if (!item.is_list && value.texts.size() != 1)
    throw UsageError(fmt::format("{}: one value is wanted, not a list", where));
  if (item.is_flag != value.is_flag)
    throw UsageError(fmt::format("{}: {}", where,
                                 item.is_flag ? "true or false is wanted" : "a value is wanted"));
  const auto texts = item.is_list ? split_list(value.texts) : value.texts;
  if (texts.empty()) throw UsageError(fmt::format("{}: the list is empty", where));
  try {
    for (const std::string& given : texts) item.set(given);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", where, error.what()));
  }
  item.given = true;
}

void OptionSet::resolve() {
  for (const auto& item : items_) {
    if (item->is_flag && item->raised) item->raw = {"true"};
    for (const std::string& given : item->raw) {
      try {
        item->set(given);
      } catch (const UsageError& error) {
        throw UsageError(fmt::format("{}: {}", item->label(), error.what()));
      }
      item->given = true;
    }
  }
  if (!config_path_.empty()) merge_file(config_path_);
  for (const auto& item : items_) {
    if (!item->required || item->given) continue;
    throw UsageError(
        item->is_positional
            ? fmt::format("{} is missing", item->name)
            : fmt::format(
                  "--{0} is missing: give it here, or as {0} in the file that --config names",
                  item->name));
  }
}

}  // namespace sluice::tools
