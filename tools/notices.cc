#include "tools/notices.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace sluice::tools {
namespace {
constexpr std::chrono::seconds kRepeatAfter{60};
constexpr std::size_t kTextsMax = 1024;
}  // namespace

Notices::Notices()
    : logger_(std::make_shared<spdlog::logger>(
          "sluice", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {}

Notices::~Notices() = default;

void Notices::warn(const std::string& text) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (last_.size() >= kTextsMax) last_.clear();
  const auto [at, fresh] = last_.emplace(text, now);
  if (!fresh && now - at->second < kRepeatAfter) return;
  at->second = now;
  logger_->warn("{}", text);
}

}  // namespace sluice::tools
