#include "tests/tools/run_command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

extern char** environ;

namespace sluice::tools {
namespace {

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Ran run_sluice(const std::vector<std::string>& arguments, const std::string& input) {
  char directory[] = "/tmp/sluice-command-XXXXXX";
  if (::mkdtemp(directory) == nullptr) return {};
  const std::string base = directory;
  std::ofstream(base + "/in", std::ios::binary) << input;

  std::vector<std::string> all = {"sluice"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, (base + "/in").c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, (base + "/out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&files, 2, (base + "/err").c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t pid = 0;
  Ran ran;
  if (::posix_spawn(&pid, SLUICE_BINARY, &files, nullptr, argv.data(), environ) == 0) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    ran.out = read_whole(base + "/out");
    ran.err = read_whole(base + "/err");
  }
  posix_spawn_file_actions_destroy(&files);
  std::filesystem::remove_all(base);
  return ran;
}

}  // namespace sluice::tools
