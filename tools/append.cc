// sluice append: each line of a file or of standard input becomes one entry.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "tools/answers.h"
#include "tools/client_loop.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/input_reader.h"
#include "tools/line_appender.h"
#include "tools/progress.h"

namespace sluice::tools {
namespace {

/// Lines above this are not even held: no cluster takes them (Config::batch_bytes_max).
constexpr std::size_t kLineBytesMax = 16u << 20;

class Input {
 public:
  explicit Input(const std::string& path) {
    if (path.empty() || path == "-") return;
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw Failure(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    struct stat info {};
    if (::fstat(fd_, &info) == 0 && S_ISDIR(info.st_mode))
      throw Failure(fmt::format("cannot read {}: it is a directory", path));
    if (S_ISREG(info.st_mode)) size_bytes_ = static_cast<std::uint64_t>(info.st_size);
  }
  ~Input() {
    if (fd_ != STDIN_FILENO) ::close(fd_);
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  /// 0: not known.
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  int fd_ = STDIN_FILENO;
  std::uint64_t size_bytes_ = 0;
};

class Append : public Command, private client::Events {
 public:
  const char* name() const override { return "append"; }
  const char* summary() const override {
    return "Appends each line of a file or of standard input as one entry (without its newline; an "
           "empty line is an empty entry). Prints how many were acknowledged and the last index. "
           "Lines without an acknowledgement are reported, and the exit status is then 1.";
  }

  void declare(OptionSet& options) override {
    cluster_.declare(options);
    declare_group(options, group_);
    cluster_.declare_timeout(options);
    cluster_.declare_batch_bytes(options);
    options.positional("FILE", file_, "what to append; standard input if not given or -");
  }

  int run(const OptionSet&) override {
    const Input input(file_);
    ClientLoop loop(cluster_, *this);
    LineAppender::Options options;
    options.group = GroupId(group_);
    options.timeout_ms = cluster_.timeout_ms;
    lines_ = std::make_unique<LineAppender>(
        options, [&] { return loop.io().random(); },
        [&](std::uint64_t line, const client::AppendOutcome& outcome) {
          report_failed(line, outcome);
        });
    InputReader reader(input.fd(), [&] { loop.wake(); });
    pump(loop, reader, input.size_bytes());
    bar_.clear();
    if (reader.error() != 0)
      fmt::print(stderr, "sluice append: reading failed after line {}: {}\n", line_,
                 std::strerror(reader.error()));
    if (loop.stopped())
      fmt::print(stderr, "sluice append: stopped by a signal after line {}\n", line_);
    fmt::print("acknowledged {} {}, last index {}\n", lines_->acknowledged(),
               lines_->acknowledged() == 1 ? "entry" : "entries", lines_->last_index().value());
    return failed_ == 0 && reader.error() == 0 && !loop.stopped() ? kExitOk : kExitFailure;
  }

 private:
  void pump(ClientLoop& loop, InputReader& reader, std::uint64_t size_bytes) {
    LineSplitter splitter(kLineBytesMax);
    bool more = true;     // of the input
    bool drained = true;  // no whole line is left in the splitter
    for (;;) {
      if (more && drained && !loop.stopped()) more = reader.take(splitter.buffer());
      drained = !take_lines(splitter, /*at_end=*/!more, loop.stopped());
      lines_->submit(loop.client());
      const bool done = (!more && drained) || loop.stopped();
      if (done && lines_->idle()) return;
      loop.turn();
      bar_.show("bytes acknowledged or under way", bytes_, size_bytes);
    }
  }

  /// Moves lines to the appender while it has room. True: a line may be left.
  bool take_lines(LineSplitter& splitter, bool at_end, bool stopped) {
    LineSplitter::Line line;
    while (!stopped && lines_->has_room()) {
      if (!splitter.next(line, at_end)) return false;
      ++line_;
      bytes_ += line.text.size() + 1;
      if (line.too_long) {
        client::AppendOutcome refused;
        refused.status = client::Status::kRefused;
        refused.code = Errc::kTooLarge;
        report_failed(line_, refused);
      } else {
        lines_->add(line_, line.text);
      }
    }
    return true;
  }

  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome) override {
    lines_->on_append(tag, outcome);
  }

  void report_failed(std::uint64_t line, const client::AppendOutcome& outcome) {
    ++failed_;
    bar_.clear();
    fmt::print(stderr, "line {}: {} ({}): {}\n", line,
               outcome.status == client::Status::kUnknown ? "unknown" : "refused",
               code_name(outcome.code), explain(outcome.code));
  }

  ClusterOptions cluster_;
  std::uint32_t group_ = 0;
  std::string file_;
  std::unique_ptr<LineAppender> lines_;
  ProgressBar bar_;
  std::uint64_t line_ = 0;   // lines taken from the input
  std::uint64_t bytes_ = 0;  // of these
  std::uint64_t failed_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_append_command() { return std::make_unique<Append>(); }

}  // namespace sluice::tools
