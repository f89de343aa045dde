// The options of `sluice serve`, and the Config that they make.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/config.h"
#include "tools/option_set.h"

namespace sluice::tools {

class NodeOptions {
 public:
  /// Lives as long as `options`.
  void declare(OptionSet& options);
  /// Throws UsageError: what Config::problem() says.
  [[nodiscard]] Config config() const;

 private:
  void declare_identity(OptionSet& options);
  void declare_bounds(OptionSet& options);
  void declare_times(OptionSet& options);

  Config config_;
  std::uint32_t node_id_ = 0;
  std::vector<std::string> peers_;
  std::vector<std::string> trusted_again_;
  std::string fsync_ = "always";
  bool no_pin_ = false;
};

/// What --help says of --fsync, for every command that has it.
[[nodiscard]] std::string fsync_help();

/// Throws UsageError.
[[nodiscard]] FsyncPolicy fsync_policy(const std::string& text);

}  // namespace sluice::tools
