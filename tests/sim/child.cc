#include "tests/sim/child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "wire/check.h"

namespace sluice::sim {
namespace {

/// A child that runs what it is sent and sends back what came of it. Both travel as text with a
/// length before it.
class Child {
 public:
  explicit Child(const RunOptions& options) {
    std::array<int, 2> to{}, from{};
    SLUICE_CHECK(pipe(to.data()) == 0 && pipe(from.data()) == 0);
    errors_ = std::tmpfile();
    SLUICE_CHECK(errors_ != nullptr);
    std::fflush(nullptr);
    pid_ = fork();
    SLUICE_CHECK(pid_ >= 0);
    if (pid_ == 0) {
      close(to[1]);
      close(from[0]);
      dup2(fileno(errors_), STDERR_FILENO);
      serve(to[0], from[1], options);
    }
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }
  ~Child() {
    close(to_);
    close(from_);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    std::fclose(errors_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// False: the child died over it.
  bool run(const Scenario& scenario, Outcome& outcome) {
    if (!write_text(to_, to_text(scenario))) return died(outcome);
    std::string text;
    if (!read_text(from_, text)) return died(outcome);
    Numbers numbers{};
    SLUICE_CHECK(text.size() >= sizeof numbers);
    std::memcpy(&numbers, text.data(), sizeof numbers);
    outcome.events = numbers[0];
    outcome.simulated = numbers[1];
    outcome.hash = numbers[2];
    outcome.entries = numbers[3];
    outcome.acknowledgements = numbers[4];
    outcome.reads = numbers[5];
    outcome.elections = numbers[6];
    outcome.faults = numbers[7];
    outcome.violation = text.substr(sizeof numbers);
    return true;
  }

 private:
  using Numbers = std::array<std::uint64_t, 8>;

  [[noreturn]] static void serve(int in, int out, const RunOptions& options) {
    std::string text;
    while (read_text(in, text)) {
      const auto scenario = parse_scenario(text);
      SLUICE_CHECK(scenario.has_value());
      const Outcome o = run_scenario(*scenario, options);
      const Numbers numbers{o.events, o.simulated, o.hash,      o.entries, o.acknowledgements,
                            o.reads,  o.elections, o.faults};
      std::string answer(sizeof numbers, '\0');
      std::memcpy(answer.data(), &numbers, sizeof numbers);
      std::fflush(nullptr);
      if (!write_text(out, answer + o.violation)) break;
    }
    std::exit(0);  // with the leak checker's look at everything
  }

  bool died(Outcome& outcome) {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    outcome = {};
    outcome.violation = first_line();
    if (outcome.violation.empty()) {
      outcome.violation = WIFSIGNALED(status)
                              ? "ended by signal " + std::to_string(WTERMSIG(status))
                              : "ended with status " + std::to_string(WEXITSTATUS(status));
    }
    return false;
  }

  /// The first line of what the child wrote that says something; all of it goes to stderr.
  [[nodiscard]] std::string first_line() {
    std::rewind(errors_);
    std::string first;
    std::array<char, 1024> line{};
    while (std::fgets(line.data(), line.size(), errors_) != nullptr) {
      std::fputs(line.data(), stderr);
      const std::string_view text(line.data());
      if (first.empty() && text.find_first_not_of("= \n") != std::string_view::npos) {
        first = text.substr(0, text.find('\n'));
      }
    }
    return first;
  }

  static bool write_all(int file, const char* bytes, std::size_t size) {
    while (size > 0) {
      const ssize_t n = ::write(file, bytes, size);
      if (n <= 0) return false;
      bytes += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }
  static bool read_all(int file, char* bytes, std::size_t size) {
    while (size > 0) {
      const ssize_t n = ::read(file, bytes, size);
      if (n <= 0) return false;
      bytes += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }
  static bool write_text(int file, const std::string& text) {
    const std::uint64_t size = text.size();
    return write_all(file, reinterpret_cast<const char*>(&size), sizeof size) &&
           write_all(file, text.data(), text.size());
  }
  static bool read_text(int file, std::string& text) {
    std::uint64_t size = 0;
    if (!read_all(file, reinterpret_cast<char*>(&size), sizeof size)) return false;
    text.resize(size);
    return read_all(file, text.data(), size);
  }

  std::FILE* errors_ = nullptr;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

}  // namespace

Outcome run_in_child(const Scenario& scenario, const RunOptions& options) {
  Child child(options);
  Outcome outcome;
  (void)child.run(scenario, outcome);
  return outcome;
}

void run_many(const std::function<bool(Scenario&)>& next, const RunOptions& options,
              const std::function<bool(const Scenario&, const Outcome&)>& done) {
  std::optional<Child> child;
  Scenario scenario;
  while (next(scenario)) {
    if (!child) child.emplace(options);
    Outcome outcome;
    if (!child->run(scenario, outcome)) child.reset();
    if (!done(scenario, outcome)) return;
  }
}

}  // namespace sluice::sim
