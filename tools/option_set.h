// The options of one subcommand, declared once: for the command line, for the TOML file that
// --config names, and for --help.
//
// The command line is stronger than the file, the file is stronger than the default. A key of the
// file is the long name of an option, with - or _; a table with the name of a subcommand holds what
// is for that one alone, so that several can share a file. What is declared with limits is checked
// here, so that a command sees sound values only.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice::tools {

struct ConfigValue;

struct Limits {
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
};

class OptionSet {
 public:
  /// Declares on `app`, which outlives this. Adds --config itself.
  explicit OptionSet(CLI::App& app);
  ~OptionSet();
  OptionSet(const OptionSet&) = delete;
  OptionSet& operator=(const OptionSet&) = delete;

  /// `value` holds the default and gets the result; it outlives the set. `name` without dashes.
  /// `placeholder` stands for the value in --help.
  void text(std::string name, std::string& value, std::string placeholder, std::string help);
  /// Given several times, or once with commas.
  void list(std::string name, std::vector<std::string>& values, std::string placeholder,
            std::string help);
  void choice(std::string name, std::string& value, std::vector<std::string> choices,
              std::string help);
  void flag(std::string name, bool& value, std::string help);
  template <std::unsigned_integral T>
  void number(std::string name, T& value, Limits limits, std::string help) {
    integer(std::move(name), {value, limits, /*is_size=*/false}, std::move(help),
            [&value](std::uint64_t n) { value = static_cast<T>(n); });
  }
  /// A number of bytes: 65536, 64KiB, 1MiB.
  template <std::unsigned_integral T>
  void size(std::string name, T& value, Limits limits, std::string help) {
    integer(std::move(name), {value, limits, /*is_size=*/true}, std::move(help),
            [&value](std::uint64_t n) { value = static_cast<T>(n); });
  }
  /// Above 0, with a fraction if wanted.
  void real(std::string name, double& value, double max, std::string help);
  void positional(std::string name, std::string& value, std::string help);

  /// Must be given, here or in the file.
  void require(std::string_view name);
  /// Not in --help and not in the file: for the program's own use.
  void hide(std::string_view name);

  /// Once the command line is parsed: merges the file, checks everything, fills the values.
  /// Throws UsageError.
  void resolve();

  /// In the command line or in the file. Valid after resolve().
  [[nodiscard]] bool given(std::string_view name) const;

 private:
  struct Integer {
    std::uint64_t initial;
    Limits limits;
    bool is_size;
  };
  struct Item;
  using Set = std::function<void(const std::string&)>;  // throws UsageError

  void integer(std::string name, Integer integer, std::string help,
               std::function<void(std::uint64_t)> set);
  Item& add(std::string name, std::string placeholder, const std::string& help, Set set);
  [[nodiscard]] Item* find(std::string_view name) const;
  void merge_file(const std::string& path);
  void merge(const std::vector<ConfigValue>& values, const std::string& path);
  void take(Item& item, const ConfigValue& value, const std::string& where);
  [[nodiscard]] bool is_command(const std::string& name) const;

  CLI::App& app_;
  std::vector<std::unique_ptr<Item>> items_;
  std::string config_path_;
};

}  // namespace sluice::tools
