// sluice serve: one node of a cluster, until a signal stops it.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <expected>
#include <memory>
#include <string>

#include "engine/config.h"
#include "engine/engine.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/node_options.h"
#include "tools/notices.h"
#include "tools/stop_signal.h"

namespace sluice::tools {
namespace {

/// For a node that a benchmark started: it must not outlive it, however that ends. The kernel does
/// it from here on; a parent that was gone before is seen by its changed id.
void die_with(std::uint32_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (static_cast<std::uint32_t>(::getppid()) != parent) ::_exit(kExitFailure);
}

/// "HOST:PORT" with the port that the system chose.
std::string with_port(const std::string& listen, std::uint16_t port) {
  return fmt::format("{}:{}", listen.substr(0, listen.rfind(':')), port);
}

class Serve : public Command {
 public:
  const char* name() const override { return "serve"; }
  const char* summary() const override {
    return "Runs one node of a cluster. Stops cleanly on SIGTERM and SIGINT.";
  }

  void declare(OptionSet& options) override {
    node_.declare(options);
    options.number("die-with-parent", parent_, {}, "");
    options.hide("die-with-parent");
  }

  int run(const OptionSet& options) override {
    if (options.given("die-with-parent")) die_with(parent_);
    Notices notices;
    Config config = node_.config();
    config.on_notice = [&notices](const std::string& text) { notices.warn(text); };
    // The signals are blocked before the engine's threads exist; the engine that they stop is
    // known only later, so a signal that comes before is remembered.
    std::unique_ptr<Engine> engine;
    std::atomic<Engine*> running = nullptr;
    StopSignal stop([&] {
      if (Engine* node = running.load()) node->request_stop();
    });
    std::expected<std::unique_ptr<Engine>, std::string> started = Engine::start(config);
    if (!started) throw Failure(started.error());
    engine = std::move(*started);
    running = engine.get();
    if (stop.stopped()) engine->request_stop();
    announce(config, *engine);
    if (!config.trusted_again.empty()) {
      notices.warn(
          "takes a new directory from the peers of --trust-new-directory-of; start without that "
          "option the next time");
    }
    const std::string problem = engine->wait();
    if (!problem.empty()) throw Failure(problem);
    return kExitOk;
  }

 private:
  static void announce(const Config& config, const Engine& engine) {
    fmt::print("node {} of cluster {} listens on {}, {} group{} on {} shard{}, fsync {}\n",
               config.node_id.value(), config.cluster_name, with_port(config.listen, engine.port()),
               config.groups, config.groups == 1 ? "" : "s", engine.shards(),
               engine.shards() == 1 ? "" : "s", config.fsync.to_string());
    std::fflush(stdout);
  }

  NodeOptions node_;
  std::uint32_t parent_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_serve_command() { return std::make_unique<Serve>(); }

}  // namespace sluice::tools
