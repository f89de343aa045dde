// sluice status: what each node says of itself.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "tools/answers.h"
#include "tools/client_loop.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/json.h"
#include "tools/status_board.h"

namespace sluice::tools {
namespace {

/// Rows of text under a header, columns as wide as they need to be.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

class StatusCommand : public Command, private client::Events {
 public:
  const char* name() const override { return "status"; }
  const char* summary() const override {
    return "Shows each node of a cluster and its groups. Exit status 1 if no node can be reached.";
  }

  void declare(OptionSet& options) override {
    cluster_.declare(options);
    cluster_.declare_timeout(options);
    options.flag("json", json_, "print one JSON array with an object for each node");
  }

  int run(const OptionSet&) override {
    ClientLoop loop(cluster_, *this);
    const auto& nodes = board_.collect(loop, cluster_.cluster.size(), cluster_.timeout_ms);
    if (json_) {
      Json all = Json::array();
      for (const client::NodeStatus& node : nodes) all.push_back(status_json(node));
      fmt::print("{}\n", all.dump());
    } else {
      print_people(nodes);
    }
    for (const client::NodeStatus& node : nodes)
      if (node.code == Errc::kWrongCluster)
        throw Failure(fmt::format(
            "{} belongs to another cluster than {}: list nodes of one cluster", node.address,
            cluster_.cluster_id.empty() ? "the others" : cluster_.cluster_id));
    if (std::ranges::any_of(nodes, &client::NodeStatus::reachable)) return kExitOk;
    throw Failure(
        "no node can be reached: check --cluster and --cluster-id, and that the nodes run");
  }

 private:
  static void print_people(const std::vector<client::NodeStatus>& nodes) {
    std::vector<std::vector<std::string>> rows = {{"NODE", "ADDRESS", "FSYNC", "GROUP", "ROLE",
                                                   "TERM", "LEADER", "FIRST", "LAST", "DURABLE",
                                                   "COMMIT"}};
    for (const client::NodeStatus& node : nodes) {
      const std::string id = node.node == kNoNode ? "?" : std::to_string(node.node.value());
      if (!node.reachable)
        rows.push_back({id, node.address, fmt::format("not reachable ({})", code_name(node.code))});
      for (const client::GroupState& group : node.groups)
        rows.push_back({id, node.address, node.fsync_policy, std::to_string(group.group.value()),
                        std::string(role_name(group.role)), std::to_string(group.term.value()),
                        group.leader == kNoNode ? "-" : std::to_string(group.leader.value()),
                        std::to_string(group.first_index.value()),
                        std::to_string(group.last_index.value()),
                        std::to_string(group.durable_index.value()),
                        std::to_string(group.commit_index.value())});
    }
    print_table(rows);
  }

  void on_append(std::uint64_t, const client::AppendOutcome&) override {}
  void on_status(std::uint64_t tag, const client::NodeStatus& status) override {
    board_.on_status(tag, status);
  }

  ClusterOptions cluster_;
  bool json_ = false;
  StatusBoard board_;
};

}  // namespace

std::unique_ptr<Command> make_status_command() { return std::make_unique<StatusCommand>(); }

}  // namespace sluice::tools
