// peer_nats: NATS JetStream, a stream of three replicas on files for each group. Publishes and
// acknowledgements in NATS' text protocol (https://docs.nats.io/reference/reference-protocols),
// many of them a system call.
//
// Not durable as the server comes: it answers before its files are flushed.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/usage.h"
#include "perf/peers/load.h"
#include "perf/peers/socket.h"

namespace sluice::peers {
namespace {

using tools::monotonic_ns;
using Json = nlohmann::json;

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kReadyNs = 120 * kSecondNs;

class Nats {
 public:
  explicit Nats(const std::string& address)
      : socket_(address), inbox_(fmt::format("_INBOX.perf{}.", ::getpid())) {
    socket_.put(
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"lang\":\"c\","
        "\"version\":\"1\",\"protocol\":1}\r\n");
    socket_.put(fmt::format("SUB {}* 1\r\n", inbox_));
  }

  void publish(std::string_view subject, std::uint32_t reply, std::string_view payload) {
    fmt::format_int number(reply), size(payload.size());
    for (const std::string_view part :
         {std::string_view("PUB "), subject, std::string_view(" "), std::string_view(inbox_),
          std::string_view(number.data(), number.size()), std::string_view(" "),
          std::string_view(size.data(), size.size()), std::string_view("\r\n"), payload,
          std::string_view("\r\n")})
      socket_.put(part);
  }

  /// Sends, waits at most `wait_ns`, and calls handle(reply, payload) for each answer.
  template <typename Handle>
  void turn(std::uint64_t wait_ns, Handle&& handle) {
    socket_.flush();
    wait_for(socket_, wait_ns);
    socket_.fill();
    while (parse_one(handle)) {
    }
  }

  /// One request of JetStream's API. Nothing if no answer came in time.
  std::optional<Json> request(const std::string& subject, const std::string& payload) {
    publish(subject, kApiReply, payload);
    std::optional<Json> answer;
    for (const std::uint64_t until_ns = monotonic_ns() + 5 * kSecondNs;
         !answer && monotonic_ns() < until_ns;)
      turn(kSecondNs / 10, [&](std::uint32_t reply, std::string_view text) {
        if (reply == kApiReply) answer = Json::parse(text);
      });
    return answer;
  }

 private:
  static constexpr std::uint32_t kApiReply = 4'000'000'000u;

  template <typename Handle>
  bool parse_one(Handle&& handle) {
    const std::string_view in = socket_.in();
    const std::size_t line_end = in.find("\r\n");
    if (line_end == std::string_view::npos) return false;
    const std::string_view line = in.substr(0, line_end);
    if (!line.starts_with("MSG ")) {
      if (line.starts_with("PING")) socket_.put("PONG\r\n");
      if (line.starts_with("-ERR")) throw std::runtime_error(std::string(line));
      socket_.take(line_end + 2);
      return true;
    }
    // MSG <subject> <sid> [reply-to] <size>
    const std::size_t size_at = line.rfind(' ') + 1;
    std::size_t size = 0;
    std::from_chars(line.data() + size_at, line.data() + line.size(), size);
    if (in.size() < line_end + 2 + size + 2) return false;
    std::uint32_t reply = 0;
    const std::size_t reply_at = 4 + inbox_.size();
    std::from_chars(line.data() + reply_at, line.data() + line.size(), reply);
    handle(reply, in.substr(line_end + 2, size));
    socket_.take(line_end + 2 + size + 2);
    return true;
  }

  Socket socket_;
  std::string inbox_;
};

std::string stream_name(std::uint32_t group) { return fmt::format("S{}", group); }
std::string subject_of(std::uint32_t group) { return fmt::format("s.{}", group); }

/// Repeats `ask` until it returns something.
template <typename Ask>
auto until_ready(const char* what, Ask&& ask) {
  for (const std::uint64_t give_up_ns = monotonic_ns() + kReadyNs; monotonic_ns() < give_up_ns;) {
    if (auto answer = ask()) return *answer;
    ::usleep(100'000);
  }
  throw std::runtime_error(fmt::format("not ready: {}", what));
}

void create_stream(Nats& nats, std::uint32_t group) {
  const Json wanted = {{"name", stream_name(group)},
                       {"subjects", {subject_of(group)}},
                       {"retention", "limits"},
                       {"storage", "file"},
                       {"num_replicas", 3},
                       {"discard", "old"},
                       {"max_consumers", -1},
                       {"max_msgs", -1},
                       {"max_bytes", -1},
                       {"max_age", 0},
                       {"max_msg_size", -1}};
  until_ready("making a stream", [&]() -> std::optional<bool> {
    const auto answer = nats.request("$JS.API.STREAM.CREATE." + stream_name(group), wanted.dump());
    if (!answer || answer->contains("error")) return {};
    return true;
  });
}

/// The name of the server that leads, once all replicas are at hand.
std::string leader_of(Nats& nats, std::uint32_t group) {
  return until_ready("a stream's replicas", [&]() -> std::optional<std::string> {
    const auto answer = nats.request("$JS.API.STREAM.INFO." + stream_name(group), "");
    if (!answer || !answer->contains("cluster")) return {};
    const Json& cluster = (*answer)["cluster"];
    if (!cluster.contains("leader") || !cluster.contains("replicas")) return {};
    const Json& replicas = cluster["replicas"];
    const bool current = replicas.size() == 2 && std::ranges::all_of(replicas, [](const Json& one) {
                           return one.value("current", false);
                         });
    if (!current) return {};
    return cluster["leader"].get<std::string>();
  });
}

nlohmann::ordered_json measure(const LoadOptions& options, const std::vector<std::string>& servers,
                               const std::vector<std::string>& names) {
  Load load(options);
  std::string leader;
  {
    Nats nats(servers.front());
    for (std::uint32_t group = 0; group < options.groups; ++group) create_stream(nats, group);
    for (std::uint32_t group = options.groups; group > 0; --group)
      leader = leader_of(nats, group - 1);
  }
  const auto position = std::ranges::find(names, leader) - names.begin();
  if (position >= std::ssize(servers)) throw std::runtime_error("no server is called " + leader);
  load.set_leader(static_cast<std::size_t>(position));

  Nats nats(servers[static_cast<std::size_t>(position)]);
  std::vector<std::string> subjects;
  for (std::uint32_t group = 0; group < options.groups; ++group)
    subjects.push_back(subject_of(group));
  const std::string payload(options.entry_bytes, 'x');
  load.start();
  for (std::uint64_t now_ns = monotonic_ns(); load.go_on(now_ns); now_ns = monotonic_ns()) {
    while (load.may_begin(now_ns)) {
      const std::string& subject = subjects[load.next_group()];
      nats.publish(subject, load.begin(now_ns), payload);
    }
    std::uint64_t answered_ns = 0;
    nats.turn(load.wait_ns(now_ns), [&](std::uint32_t reply, std::string_view answer) {
      if (answer.find("\"error\"") != std::string_view::npos)
        throw std::runtime_error(std::string(answer));
      if (answered_ns == 0) answered_ns = monotonic_ns();
      load.complete(reply, answered_ns);
    });
  }
  for (std::uint32_t group = 0; group < options.groups; ++group)
    (void)nats.request("$JS.API.STREAM.DELETE." + stream_name(group), "");
  return load.report();
}

}  // namespace
}  // namespace sluice::peers

int main(int argc, char** argv) {
  CLI::App app("Measures NATS JetStream.");
  sluice::peers::LoadOptions options;
  std::vector<std::string> servers, names;
  sluice::peers::declare(app, options);
  app.add_option("--server", servers, "HOST:PORT,... in the order of --pid")
      ->required()
      ->delimiter(',');
  app.add_option("--name", names, "what the servers are called")->required()->delimiter(',');
  return sluice::peers::run_driver(app, argc, argv,
                                   [&] { return sluice::peers::measure(options, servers, names); });
}
