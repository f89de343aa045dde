// What a running node tells its operator, as log lines on stderr.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace spdlog {
class logger;
}

namespace sluice::tools {

/// Thread-safe. A notice that repeats itself (a peer that refuses us at every attempt) is logged
/// once a minute.
class Notices {
 public:
  Notices();
  ~Notices();
  void warn(const std::string& text);

 private:
  std::shared_ptr<spdlog::logger> logger_;
  std::mutex mutex_;
  std::map<std::string, std::chrono::steady_clock::time_point> last_;
};

}  // namespace sluice::tools
