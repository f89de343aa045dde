// --help in lines of a terminal's width.
#pragma once

#include <memory>

namespace CLI {
class FormatterBase;
}

namespace sluice::tools {

/// Name and placeholder on one line, the explanation below it, wrapped at 80 columns.
[[nodiscard]] std::shared_ptr<CLI::FormatterBase> make_help_format();

}  // namespace sluice::tools
