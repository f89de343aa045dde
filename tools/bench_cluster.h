// The cluster that `sluice bench` starts for itself: processes of this very program on loopback,
// each with a directory of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::tools {

class BenchCluster {
 public:
  struct Options {
    std::uint32_t nodes = 3;
    bool without_first = false;              // node 1 is started by the caller
    std::string data_dir;                    // where the run's own directory is made; empty: chosen
    bool keep = false;                       // leave the directory behind
    std::vector<std::string> serve_options;  // for every node, as on the command line of serve
  };

  /// Starts the nodes; they may not be ready yet. Throws Failure.
  explicit BenchCluster(const Options& options);
  /// Stops the nodes, removes the directory unless it is to be kept.
  ~BenchCluster();
  BenchCluster(const BenchCluster&) = delete;
  BenchCluster& operator=(const BenchCluster&) = delete;

  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The directory of this run, below Options::data_dir.
  [[nodiscard]] const std::string& directory() const { return directory_; }

  /// Throws Failure with the last line that the node wrote if one has ended.
  void check_alive();
  /// Processor time that all nodes have used so far, all their threads.
  [[nodiscard]] std::uint64_t cpu_ns() const;

 private:
  void start_node(std::uint32_t node, const std::vector<std::string>& peers);
  void stop_nodes();
  /// Stops the nodes, and removes the directory unless it is to be kept.
  void clear_away();
  [[nodiscard]] std::string last_words(std::uint32_t node) const;

  Options options_;
  std::string name_;
  std::string directory_;
  std::vector<std::string> addresses_;
  std::vector<pid_t> pids_;  // by node id - 1; 0: ended
};

/// Whether `directory` lies in memory (tmpfs): then nothing in it is durable.
[[nodiscard]] bool on_tmpfs(const std::string& directory);

/// Where data goes if nobody says: /var/tmp or the current directory, whichever can be written and
/// is not in memory; /tmp if neither.
[[nodiscard]] std::string default_data_dir();

/// Ports of 127.0.0.1 that nobody listens on now, below those that the kernel gives to outgoing
/// connections, so that none of them is taken in the meantime.
[[nodiscard]] std::vector<std::uint16_t> free_ports(std::uint32_t count);

}  // namespace sluice::tools
