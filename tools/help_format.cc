#include "tools/help_format.h"

#include <CLI/App.hpp>
#include <CLI/Formatter.hpp>
#include <sstream>
#include <string>

namespace sluice::tools {
namespace {

constexpr std::size_t kColumns = 80;

std::string wrapped(const std::string& text, const std::string& indent) {
  std::istringstream words(text);
  std::string lines, line = indent, word;
  while (words >> word) {
    if (line.size() > indent.size() && line.size() + 1 + word.size() > kColumns) {
      lines += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += ' ';
    line += word;
  }
  return lines + line + "\n";
}

class HelpFormat : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string head = "  " + make_option_name(option, is_positional);
    if (!is_positional && !option->get_type_name().empty()) head += " " + option->get_type_name();
    return head + "\n" + wrapped(make_option_desc(option), "      ");
  }
  std::string make_description(const CLI::App* app) const override {
    return wrapped(app->get_description(), "");
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> make_help_format() { return std::make_shared<HelpFormat>(); }

}  // namespace sluice::tools
