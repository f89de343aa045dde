#include "tools/segment_watch.h"

#include <dirent.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace sluice::tools {
namespace {

SegmentFiles segments_in(const std::string& directory) {
  SegmentFiles found;
  DIR* const handle = ::opendir(directory.c_str());
  if (handle == nullptr) return found;
  while (const dirent* const entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(".segment")) found.emplace(entry->d_ino, name);
  }
  ::closedir(handle);
  return found;
}

}  // namespace

SegmentWatch::SegmentWatch(std::vector<std::string> directories)
    : directories_(std::move(directories)), seen_(directories_.size()) {}

void SegmentWatch::look() {
  for (std::size_t i = 0; i < directories_.size(); ++i) see(i, segments_in(directories_[i]));
}

void SegmentWatch::see(std::size_t directory, SegmentFiles now) {
  Seen& seen = seen_.at(directory);
  for (const auto& [file, epoch] : now) {
    const auto before = seen.files.find(file);
    const bool again = before != seen.files.end() && before->second != epoch;
    if (again && (seen.recycled.empty() || epoch < seen.recycled)) seen.recycled = epoch;
  }
  // What is a spare for a while keeps the name that it had.
  for (const auto& [file, epoch] : seen.files) now.emplace(file, epoch);
  seen.files = std::move(now);
}

bool SegmentWatch::all_recycled() const {
  return std::ranges::all_of(seen_, [](const Seen& seen) {
    return !seen.recycled.empty() && std::ranges::any_of(seen.files, [&](const auto& file) {
      return file.second > seen.recycled;
    });
  });
}

}  // namespace sluice::tools
