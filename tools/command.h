// A subcommand of `sluice`.
#pragma once

#include <memory>

#include "tools/option_set.h"

namespace sluice::tools {

class Command {
 public:
  virtual ~Command() = default;
  [[nodiscard]] virtual const char* name() const = 0;
  /// What it does, for --help.
  [[nodiscard]] virtual const char* summary() const = 0;
  virtual void declare(OptionSet& options) = 0;
  /// Runs after the options were resolved. Returns the exit status; throws UsageError, Failure.
  [[nodiscard]] virtual int run(const OptionSet& options) = 0;
};

[[nodiscard]] std::unique_ptr<Command> make_serve_command();
[[nodiscard]] std::unique_ptr<Command> make_append_command();
[[nodiscard]] std::unique_ptr<Command> make_read_command();
[[nodiscard]] std::unique_ptr<Command> make_status_command();
[[nodiscard]] std::unique_ptr<Command> make_pipe_command();
[[nodiscard]] std::unique_ptr<Command> make_bench_command();
[[nodiscard]] std::unique_ptr<Command> make_tune_command();
[[nodiscard]] std::unique_ptr<Command> make_trim_command();
[[nodiscard]] std::unique_ptr<Command> make_inspect_command();

}  // namespace sluice::tools
