// The `sluice` command: finds the subcommand, runs it, turns what went wrong into one line and an
// exit status.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "tools/command.h"
#include "tools/errors.h"
#include "tools/help_format.h"

namespace sluice::tools {
namespace {

struct Subcommand {
  std::unique_ptr<Command> command;
  std::unique_ptr<OptionSet> options;
  CLI::App* app = nullptr;
};

std::vector<Subcommand> declare_all(CLI::App& app) {
  std::vector<Subcommand> all;
  for (auto* make : {make_serve_command, make_append_command, make_read_command,
                     make_status_command, make_pipe_command, make_bench_command, make_tune_command,
                     make_trim_command, make_inspect_command}) {
    Subcommand& one = all.emplace_back();
    one.command = make();
    one.app = app.add_subcommand(one.command->name(), one.command->summary());
    one.options = std::make_unique<OptionSet>(*one.app);
    one.command->declare(*one.options);
  }
  return all;
}

/// One line, whatever a library wrote.
int report(const std::string& who, std::string what, int status) {
  std::ranges::replace(what, '\n', ' ');
  fmt::print(stderr, "{}: {}\n", who, what);
  return status;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Sluice: a replicated log. Many independent logs (groups), each kept on several "
      "nodes; an append is acknowledged when a majority has it on stable storage.");
  app.name("sluice");
  app.formatter(make_help_format());
  app.require_subcommand(1);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  std::vector<Subcommand> all = declare_all(app);
  const auto chosen = [&]() -> Subcommand* {
    const auto found = std::ranges::find_if(all, [](const auto& one) { return one.app->parsed(); });
    return found == all.end() ? nullptr : &*found;
  };
  const auto who = [&] {
    const Subcommand* one = chosen();
    return one == nullptr ? std::string("sluice") : fmt::format("sluice {}", one->command->name());
  };
  try {
    app.parse(argc, argv);
    chosen()->options->resolve();
    return chosen()->command->run(*chosen()->options);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return report(who(), fmt::format("{} (see {} --help)", error.what(), who()), kExitUsage);
  } catch (const UsageError& error) {
    return report(who(), error.what(), kExitUsage);
  } catch (const std::exception& error) {
    return report(who(), error.what(), kExitFailure);
  }
}

}  // namespace
}  // namespace sluice::tools

int main(int argc, char** argv) { return sluice::tools::run(argc, argv); }
