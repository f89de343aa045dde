// The TOML file of --config, as plain keys and texts.
#pragma once

#include <string>
#include <vector>

namespace sluice::tools {

struct ConfigValue {
  std::string key;  // with - for _, as the long option is called
  unsigned line = 0;
  std::vector<std::string> texts;  // one, or the elements of an array; of a table "name=value"
  bool is_flag = false;            // true or false
  bool is_plain = true;            // false: arrays or tables within, and no texts
  bool is_table = false;
  std::vector<ConfigValue> table;  // of a table: what stands in it, as values of their own
};

/// Reads a TOML file: strings, numbers, booleans, arrays of them, and tables. Throws UsageError
/// that names file and line.
[[nodiscard]] std::vector<ConfigValue> read_config_file(const std::string& path);

}  // namespace sluice::tools
