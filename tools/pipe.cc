// sluice pipe: requests as JSON lines on standard input, answers as JSON lines on standard output.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tools/answers.h"
#include "tools/client_loop.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/input_reader.h"
#include "tools/json.h"
#include "tools/output_writer.h"
#include "tools/pipe_request.h"
#include "tools/text.h"

namespace sluice::tools {
namespace {

/// An entry of 16 MiB, every byte of it escaped as \u0000, and the fields around it.
constexpr std::size_t kLineBytesMax = 100u << 20;
/// Answers that wait for their reader; above it no more requests are taken.
constexpr std::size_t kOutputBytesMax = 16u << 20;

class Pipe : public Command, private client::Events {
 public:
  const char* name() const override { return "pipe"; }
  const char* summary() const override {
    return "A door for scripts: one JSON request a line on standard input, one JSON answer a line "
           "on standard output, each with the id of its request, as they complete. Operations: "
           "append, read, status. Ends when the input has ended and everything is answered.";
  }

  void declare(OptionSet& options) override {
    cluster_.declare(options);
    cluster_.declare_timeout(options);
    cluster_.declare_batch_bytes(options);
    options.size("inflight-bytes-max", inflight_bytes_max_, {1u << 16, 128u << 20},
                 "bytes of requests without an answer, a read counting as a whole batch; above it "
                 "no more input is read");
    options.number("inflight-max", inflight_max_, {1, 1'000'000},
                   "requests without an answer; above it no more input is read");
  }

  int run(const OptionSet&) override {
    ClientLoop loop(cluster_, *this);
    OutputWriter output(STDOUT_FILENO, [&] { loop.wake(); });
    output_ = &output;
    client_ = &loop.client();
    {
      InputReader reader(STDIN_FILENO, [&] { loop.wake(); });
      pump(loop, reader);
      if (reader.error() != 0)
        throw Failure(fmt::format("reading failed: {}", std::strerror(reader.error())));
    }
    output.drain();
    if (output.error() != 0 && output.error() != EPIPE)
      throw Failure(fmt::format("writing failed: {}", std::strerror(output.error())));
    return kExitOk;
  }

 private:
  struct Pending {
    Json id;
    std::uint64_t size_bytes = 0;
    NodeId node;  // of a status
  };

  void pump(ClientLoop& loop, InputReader& reader) {
    LineSplitter splitter(kLineBytesMax);
    bool more = true;
    bool drained = true;  // no whole line is left in the splitter
    for (;;) {
      if (more && drained && !loop.stopped()) more = reader.take(splitter.buffer());
      drained = !take_lines(splitter, /*at_end=*/!more, loop.stopped());
      output_->flush();
      const bool done = (!more && drained) || loop.stopped();
      if ((done && pending_ == 0) || output_->error() != 0) return;
      loop.turn();
      output_->flush();
    }
  }

  [[nodiscard]] bool has_room() const {
    return pending_ < inflight_max_ && inflight_bytes_ < inflight_bytes_max_ &&
           output_->pending_bytes() < kOutputBytesMax;
  }

  /// True: a line may be left.
  bool take_lines(LineSplitter& splitter, bool at_end, bool stopped) {
    LineSplitter::Line line;
    while (!stopped && has_room()) {
      if (!splitter.next(line, at_end)) return false;
      if (line.too_long) {
        answer(Json(), invalid_json("the line is too long"));
      } else if (line.text.find_first_not_of(" \t\r") != std::string_view::npos) {
        take(line.text);
      }
    }
    return true;
  }

  void take(std::string_view line) {
    std::expected<PipeRequest, PipeMistake> request = parse_pipe_request(line, cluster_.timeout_ms);
    if (!request) {
      answer(request.error().id, invalid_json(request.error().message));
      return;
    }
    const bool is_read = std::holds_alternative<PipeRead>(request->what);
    // What a read brings is not known yet: it counts with the most that a node answers.
    const std::uint64_t size_bytes = line.size() + (is_read ? cluster_.batch_bytes_max : 0);
    const std::uint64_t tag = keep(std::move(request->id), size_bytes);
    if (const auto* append = std::get_if<PipeAppend>(&request->what)) {
      client_->append(tag, append->options, as_bytes(append->data));
    } else if (const auto* read = std::get_if<PipeRead>(&request->what)) {
      client_->read(tag, read->options);
    } else {
      const PipeStatus& status = std::get<PipeStatus>(request->what);
      requests_[tag].node = status.node;
      client_->status(tag, status.node, status.timeout_ms);
    }
  }

  std::uint64_t keep(Json id, std::uint64_t size_bytes) {
    if (free_.empty()) {
      free_.push_back(requests_.size());
      requests_.emplace_back();
    }
    const std::uint64_t tag = free_.back();
    free_.pop_back();
    requests_[tag] = {std::move(id), size_bytes, kNoNode};
    ++pending_;
    inflight_bytes_ += size_bytes;
    return tag;
  }

  void finish(std::uint64_t tag, const Json& result) {
    Pending& request = requests_.at(tag);
    answer(request.id, result);
    --pending_;
    inflight_bytes_ -= request.size_bytes;
    free_.push_back(tag);
  }

  void answer(const Json& id, const Json& result) {
    Json line;
    line["id"] = id;
    line.update(result);
    // An id may hold anything that JSON can; data is UTF-8 by entry_json().
    output_->write(line.dump(-1, ' ', false, Json::error_handler_t::replace));
    output_->write("\n");
  }

  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    finish(tag, append_json(outcome));
  }
  void on_read(std::uint64_t tag, const client::ReadOutcome& outcome) override {
    finish(tag, read_json(outcome));
  }
  void on_status(std::uint64_t tag, const client::NodeStatus& status) override {
    client::NodeStatus named = status;
    if (named.node == kNoNode) named.node = requests_.at(tag).node;
    Json result;
    result["ok"] = true;
    result.update(status_json(named));
    finish(tag, result);
  }

  ClusterOptions cluster_;
  std::uint64_t inflight_bytes_max_ = 64u << 20;
  std::uint32_t inflight_max_ = 100'000;
  client::Client* client_ = nullptr;
  OutputWriter* output_ = nullptr;
  std::vector<Pending> requests_;    // by tag
  std::vector<std::uint64_t> free_;  // tags
  std::size_t pending_ = 0;
  /// Request lines, which are never shorter than their data, and room for what reads bring.
  std::uint64_t inflight_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_pipe_command() { return std::make_unique<Pipe>(); }

}  // namespace sluice::tools
