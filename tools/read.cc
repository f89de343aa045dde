// sluice read: committed entries on standard output.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "tools/answers.h"
#include "tools/client_loop.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/json.h"
#include "tools/log_end.h"
#include "tools/output_writer.h"
#include "tools/status_board.h"
#include "tools/text.h"
#include "tools/usage.h"

namespace sluice::tools {
namespace {

/// Output that waits for its reader; above it no more is read from the cluster.
constexpr std::size_t kOutputBytesMax = 8u << 20;
/// How long a node may hold a read of --follow until something commits.
constexpr std::uint32_t kFollowWaitMs = 1000;
/// How long --follow leaves a cluster alone that did not answer.
constexpr std::uint64_t kRetryNs = 200'000'000;

class Read : public Command, private client::Events {
 public:
  const char* name() const override { return "read"; }
  const char* summary() const override {
    return "Prints the committed entries of a group (not those that nodes append for themselves).";
  }

  void declare(OptionSet& options) override {
    cluster_.declare(options);
    declare_group(options, group_);
    options.number("from", from_, {1}, "index to begin with; without it, the first that is kept");
    options.number("count", count_, {}, "print at most so many entries; 0: all");
    options.flag("follow", follow_, "go on as new entries commit, until a signal comes");
    options.choice("format", format_, {"raw", "json"},
                   "raw: the bytes and a newline. json: one object a line with index, term and "
                   "data (data_base64 if it is not UTF-8)");
    options.number("node", node_, {0, 0xFFFF'FFFF}, "read from this node alone; 0: from any");
    cluster_.declare_timeout(options);
  }

  int run(const OptionSet& options) override {
    from_given_ = options.given("from");
    if (count_ == 0) count_ = std::numeric_limits<std::uint64_t>::max();
    ClientLoop loop(cluster_, *this);
    OutputWriter output(STDOUT_FILENO, [&] { loop.wake(); });
    output_ = &output;
    if (!follow_) find_end(loop);
    while (!finished(loop)) {
      if (paused_ && monotonic_ns() >= resume_ns_) paused_ = false;
      if (!asked_ && !paused_ && output.pending_bytes() < kOutputBytesMax) ask(loop.client());
      if (paused_) loop.wake_at(resume_ns_);
      loop.turn();
      output.flush();
    }
    output.drain();
    if (!problem_.empty()) throw Failure(problem_);
    if (!follow_ && loop.stopped() && !complete())
      throw Failure(fmt::format("stopped by a signal before index {}", from_));
    if (leaderless_ && printed_ < count_)
      throw Failure(
          "no leader was there in time: what is committed for certain was printed, but entries "
          "that "
          "were acknowledged last may be missing");
    if (output.error() != 0 && output.error() != EPIPE)
      throw Failure(fmt::format("writing failed: {}", std::strerror(output.error())));
    return kExitOk;
  }

 private:
  /// The end of a read without --follow: what was acknowledged before is printed, whichever node
  /// answers. From one node alone it is what that node knows.
  void find_end(ClientLoop& loop) {
    const std::uint64_t give_up_ns =
        monotonic_ns() + std::uint64_t{cluster_.timeout_ms} * 1'000'000;
    LogEnd log_end{GroupId(group_)};
    for (bool settled = false; !settled && !loop.stopped();) {
      const auto& nodes = board_.collect(loop, cluster_.cluster.size(), cluster_.timeout_ms);
      settled = log_end.look(nodes);
      if (!log_end.reachable())
        throw Failure("no node can be reached: check --cluster and --cluster-id");
      if (!log_end.group_found()) throw Failure(explain(Errc::kUnknownGroup));
      if (node_ != 0) {
        end_ = commit_index_of_node(nodes);
        return;
      }
      if (!settled && monotonic_ns() >= give_up_ns) {
        leaderless_ = true;
        break;
      }
      if (!settled) pause(loop, kRetryNs / 4);
    }
    end_ = log_end.end().value();
  }

  [[nodiscard]] std::uint64_t commit_index_of_node(
      const std::vector<client::NodeStatus>& nodes) const {
    for (const client::NodeStatus& node : nodes)
      for (const client::GroupState& group : node.groups)
        if (node.node == NodeId(node_) && group.group == GroupId(group_))
          return group.commit_index.value();
    throw Failure(fmt::format("node {} cannot be reached: check --node and --cluster", node_));
  }

  static void pause(ClientLoop& loop, std::uint64_t ns) {
    const std::uint64_t until_ns = monotonic_ns() + ns;
    while (monotonic_ns() < until_ns && !loop.stopped()) {
      loop.wake_at(until_ns);
      loop.turn();
    }
  }

  bool finished(const ClientLoop& loop) {
    if (!problem_.empty() || loop.stopped() || output_->error() != 0) return true;
    return complete();
  }

  [[nodiscard]] bool complete() const { return printed_ >= count_ || from_ > end_; }

  void ask(client::Client& client) {
    client::ReadOptions options;
    options.group = GroupId(group_);
    options.from = Index(from_);
    options.count_max =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(count_ - printed_, 10'000));
    options.timeout_ms = cluster_.timeout_ms;
    // Without --follow too: another node may not know yet that the end is committed.
    options.wait_ms = std::min(kFollowWaitMs, cluster_.timeout_ms / 2);
    options.node = NodeId(node_);
    client.read(0, options);
    asked_ = true;
    if (waiting_since_ns_ == 0) waiting_since_ns_ = monotonic_ns();
  }

  void on_append(std::uint64_t, const client::AppendOutcome&) override {}
  void on_status(std::uint64_t tag, const client::NodeStatus& status) override {
    board_.on_status(tag, status);
  }

  void on_read(std::uint64_t, const client::ReadOutcome& outcome) override {
    asked_ = false;
    const std::uint64_t from_before = from_;
    take(outcome);
    if (from_ != from_before) waiting_since_ns_ = 0;
    if (!follow_ && problem_.empty() && !complete()) check_progress();
  }

  /// The end was committed somewhere, so entries up to it must come, unless what knew them is gone.
  void check_progress() {
    if (waiting_since_ns_ == 0) return;
    const std::uint64_t waited_ns = monotonic_ns() - waiting_since_ns_;
    if (waited_ns < std::uint64_t{cluster_.timeout_ms} * 1'000'000) return;
    problem_ = fmt::format(
        "nothing came from index {} on for {} ms, though a node has said that the entries up to "
        "{} are committed",
        from_, cluster_.timeout_ms, end_);
  }

  void take(const client::ReadOutcome& outcome) {
    if (outcome.code == Errc::kTrimmed && !from_given_) {
      from_ = outcome.first_index.value();  // the log begins there
      return;
    }
    if (outcome.code == Errc::kTrimmed) {
      problem_ = fmt::format("index {} was trimmed: the group begins at {} (--from {})", from_,
                             outcome.first_index.value(), outcome.first_index.value());
      return;
    }
    if (follow_ && (outcome.code == Errc::kUnreachable || is_unknown(outcome.code))) {
      if (!complained_) fmt::print(stderr, "sluice read: no node answers; trying on\n");
      complained_ = paused_ = true;
      resume_ns_ = monotonic_ns() + kRetryNs;
      return;
    }
    complained_ = false;
    if (outcome.code != Errc::kOk) {
      problem_ = outcome.code == Errc::kTimeout ? "no node answered in time: check that they run"
                                                : explain(outcome.code);
      return;
    }
    for (const client::Entry& entry : outcome.entries) {
      if (entry.index.value() < from_) continue;
      if (entry.index.value() > end_ || printed_ >= count_) return;
      from_ = entry.index.value() + 1;
      from_given_ = true;
      if (!entry.internal) print(entry);
    }
  }

  void print(const client::Entry& entry) {
    ++printed_;
    output_->write(format_ == "raw" ? as_text(entry.data) : entry_json(entry).dump());
    output_->write("\n");
  }

  ClusterOptions cluster_;
  std::uint32_t group_ = 0;
  std::uint64_t from_ = 1;
  std::uint64_t count_ = 0;
  bool follow_ = false;
  std::string format_ = "raw";
  std::uint32_t node_ = 0;

  bool from_given_ = false;
  bool asked_ = false;
  bool leaderless_ = false;  // end_ may be too low
  bool paused_ = false;      // until resume_ns_
  bool complained_ = false;
  std::uint64_t resume_ns_ = 0;
  std::uint64_t waiting_since_ns_ = 0;  // asked since then without a new entry; 0: not asked
  std::uint64_t end_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t printed_ = 0;
  std::string problem_;
  StatusBoard board_;
  OutputWriter* output_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> make_read_command() { return std::make_unique<Read>(); }

}  // namespace sluice::tools
