#include "tests/tools/run_command.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

extern char** environ;

namespace sluice::tools {
namespace {

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Starts the binary with its three streams on files. -1: it could not be.
pid_t start(const std::vector<std::string>& arguments, const std::string& in,
            const std::string& out, const std::string& err) {
  std::vector<std::string> all = {"sluice"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  constexpr int kCreate = O_WRONLY | O_CREAT | O_APPEND;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out.c_str(), kCreate, 0600);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), kCreate, 0600);
  pid_t pid = -1;
  if (::posix_spawn(&pid, SLUICE_BINARY, &files, nullptr, argv.data(), environ) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&files);
  return pid;
}

int wait_for_end(pid_t pid) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Ran run_sluice(const std::vector<std::string>& arguments, const std::string& input) {
  char directory[] = "/tmp/sluice-command-XXXXXX";
  if (::mkdtemp(directory) == nullptr) return {};
  const std::string base = directory;
  std::ofstream(base + "/in", std::ios::binary) << input;
  const pid_t pid = start(arguments, base + "/in", base + "/out", base + "/err");
  Ran ran;
  if (pid > 0) ran = {wait_for_end(pid), read_whole(base + "/out"), read_whole(base + "/err")};
  std::filesystem::remove_all(base);
  return ran;
}

Running::Running(std::vector<std::string> arguments, const std::string& output_path)
    : output_path_(output_path), pid_(start(arguments, "/dev/null", output_path, output_path)) {}

Running::~Running() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)wait_for_end(pid_);
}

void Running::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Running::wait() { return wait_for_end(std::exchange(pid_, -1)); }

bool Running::wait_for(const std::string& text) {
  for (int tries = 0; tries < 2000 && pid_ > 0; ++tries) {
    if (output().find(text) != std::string::npos) return true;
    siginfo_t ended{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == pid_)
      return output().find(text) != std::string::npos;
    ::usleep(10'000);
  }
  return false;
}

std::string Running::output() const { return read_whole(output_path_); }

}  // namespace sluice::tools
