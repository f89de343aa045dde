// sluice trim: gives up the beginning of a group's log on every node.
#include <fmt/format.h>

#include <memory>

#include "tools/answers.h"
#include "tools/client_loop.h"
#include "tools/command.h"
#include "tools/errors.h"

namespace sluice::tools {
namespace {

class Trim : public Command, private client::Events {
 public:
  const char* name() const override { return "trim"; }
  const char* summary() const override {
    return "Gives up the entries of a group below an index on every node, for good; whole segment "
           "files that nobody needs any more are freed.";
  }

  void declare(OptionSet& options) override {
    cluster_.declare(options);
    declare_group(options, group_);
    cluster_.declare_timeout(options);
    options.number("first", first_, {1}, "first index that is kept");
    options.require("first");
  }

  int run(const OptionSet&) override {
    ClientLoop loop(cluster_, *this);
    loop.client().trim(0, GroupId(group_), Index(first_), cluster_.timeout_ms);
    while (!done_) loop.turn();
    if (outcome_.code != Errc::kOk)
      throw Failure(outcome_.code == Errc::kTimeout ? "no answer came in time: try again"
                                                    : explain(outcome_.code));
    fmt::print("group {} begins at index {}\n", group_, outcome_.first_index.value());
    return kExitOk;
  }

 private:
  void on_append(std::uint64_t, const client::AppendOutcome&) override {}
  void on_trim(std::uint64_t, const client::TrimOutcome& outcome) override {
    outcome_ = outcome;
    done_ = true;
  }

  ClusterOptions cluster_;
  std::uint32_t group_ = 0;
  std::uint64_t first_ = 1;
  bool done_ = false;
  client::TrimOutcome outcome_;
};

}  // namespace

std::unique_ptr<Command> make_trim_command() { return std::make_unique<Trim>(); }

}  // namespace sluice::tools
