#include "tools/disk_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>

#include "engine/io/buffer.h"
#include "engine/io/uring_io.h"
#include "tools/client_loop.h"
#include "tools/errors.h"
#include "tools/json.h"
#include "tools/sizes.h"
#include "tools/usage.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

/// Large enough that no path comes to its end in the time that it gets, on any disk of today.
constexpr std::uint64_t kFileBytes = 128u << 20;
constexpr std::size_t kFillBytes = 1u << 20;

std::string filesystem_name(const std::string& directory) {
  struct statfs info {};
  if (::statfs(directory.c_str(), &info) != 0) return "unknown";
  struct Name {
    long magic;
    const char* name;
  };
  static constexpr Name kNames[] = {{EXT4_SUPER_MAGIC, "ext4"},         {XFS_SUPER_MAGIC, "xfs"},
                                    {BTRFS_SUPER_MAGIC, "btrfs"},       {TMPFS_MAGIC, "tmpfs"},
                                    {OVERLAYFS_SUPER_MAGIC, "overlay"}, {F2FS_SUPER_MAGIC, "f2fs"},
                                    {NFS_SUPER_MAGIC, "nfs"},           {RAMFS_MAGIC, "ramfs"}};
  for (const Name& one : kNames)
    if (info.f_type == one.magic) return one.name;
  return fmt::format("of type {:#x}", info.f_type);
}

/// The one line of a file of sysfs; empty if there is none.
std::string line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<bool> flag_of(const fs::path& path) {
  const std::string line = line_of(path);
  if (line != "0" && line != "1") return {};
  return line == "1";
}

/// One write after the other in one of several lanes, each durable before the next begins.
class Lane {
 public:
  struct Shared {
    io::Io& io;
    io::Handle file;
    WritePath path;
    std::span<const std::byte> bytes;
    std::uint64_t next_offset = 0;
    std::uint64_t end_ns = 0;
    std::uint32_t busy = 0;
    ProbeResult& result;
  };

  explicit Lane(Shared& shared) : shared_(shared) {}

  void begin() {
    const std::uint64_t now = monotonic_ns();
    if (!shared_.result.problem.empty() || now >= shared_.end_ns) return;
    if (shared_.next_offset + shared_.bytes.size() > kFileBytes) {
      // Into blocks that nobody wrote: there are none left, and what was measured stands.
      if (shared_.path == WritePath::kDirectAllocated) return;
      shared_.next_offset = 0;
    }
    began_ns_ = now;
    ++shared_.busy;
    shared_.io.write(done_, shared_.file, shared_.bytes, shared_.next_offset,
                     shared_.path != WritePath::kBuffered);
    shared_.next_offset += shared_.bytes.size();
  }

 private:
  void on_done(std::int32_t result) {
    if (result >= 0 && shared_.path == WritePath::kBuffered) {
      shared_.io.sync(synced_, shared_.file);
      return;
    }
    finish(result);
  }
  void on_synced(std::int32_t result) { finish(result); }
  void finish(std::int32_t result) {
    --shared_.busy;
    if (result < 0) {
      shared_.result.problem = std::strerror(-result);
      return;
    }
    shared_.result.latency_ns.record(monotonic_ns() - began_ns_);
    begin();
  }

  Shared& shared_;
  std::uint64_t began_ns_ = 0;
  io::Completion done_{io::Completion::bind<&Lane::on_done>(this)};
  io::Completion synced_{io::Completion::bind<&Lane::on_synced>(this)};
};

std::unique_ptr<io::Io> make_io() {
  int error = 0;
  auto made = io::make_uring_io({.submission_entries = 16, .completion_entries = 32}, error);
  if (!made) throw Failure(fmt::format("cannot set up io_uring: {}", std::strerror(error)));
  return std::move(*made);
}

std::string latency_text(const Histogram& latency, double share) {
  return fmt::format("{:.3f}", static_cast<double>(latency.percentile(share)) / 1e6);
}

}  // namespace

DiskFacts disk_facts(const std::string& directory, const std::string& sysfs) {
  DiskFacts facts;
  facts.filesystem = filesystem_name(directory);
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) return facts;
  std::error_code error;
  fs::path block = fs::canonical(
      fmt::format("{}/dev/block/{}:{}", sysfs, major(info.st_dev), minor(info.st_dev)), error);
  if (error) return facts;
  // The queue is the whole disk's, not the partition's.
  if (!fs::exists(block / "queue", error)) block = block.parent_path();
  facts.device = block.filename();
  facts.rotational = flag_of(block / "queue/rotational");
  facts.write_cache = line_of(block / "queue/write_cache");
  facts.fua = flag_of(block / "queue/fua");
  return facts;
}

std::string cache_promise(const DiskFacts& facts) {
  if (facts.filesystem == "tmpfs" || facts.filesystem == "ramfs")
    return "the directory is in memory: nothing here is durable";
  if (facts.write_cache == "write through")
    return "no volatile cache (or one that survives a power failure): a write that ended is "
           "durable";
  if (facts.write_cache != "write back")
    return "not known: a durable write is as durable as the layers below say that it is";
  if (facts.fua.value_or(false))
    return "volatile cache with FUA: a durable write goes past it, without a flush of the rest";
  return "volatile cache without FUA: each durable write makes the device flush all of its cache";
}

std::string_view path_name(WritePath path) {
  switch (path) {
    case WritePath::kDirectZeroed:
      return "direct, DSYNC, zero-filled";
    case WritePath::kDirectAllocated:
      return "direct, DSYNC, allocated only";
    case WritePath::kBuffered:
      return "buffered, fdatasync";
  }
  return "";
}

std::vector<ProbeCase> probe_cases() {
  std::vector<ProbeCase> cases;
  for (const WritePath path :
       {WritePath::kDirectZeroed, WritePath::kDirectAllocated, WritePath::kBuffered})
    for (std::uint32_t depth = 1; depth <= 4; ++depth) cases.push_back({path, depth, 4096});
  for (const std::uint32_t depth : {1u, 2u, 4u})
    cases.push_back({WritePath::kDirectZeroed, depth, 128u << 10});
  return cases;
}

DiskProbe::DiskProbe(const std::string& directory) {
  std::error_code ignored;
  fs::create_directories(directory, ignored);  // mkstemp tells what is wrong
  path_ = fs::absolute(directory).lexically_normal() / "sluice-probe-XXXXXX";
  const int file = ::mkstemp(path_.data());
  if (file < 0)
    throw Failure(fmt::format("cannot make a file in {}: {} (choose another --data-dir)", directory,
                              std::strerror(errno)));
  ::close(file);
}

DiskProbe::~DiskProbe() { ::unlink(path_.c_str()); }

/// Empty, or why it cannot be made.
std::string DiskProbe::make_file(WritePath path) {
  // Zeros serve again and again; what was only allocated is written once.
  const bool zeroed = path != WritePath::kDirectAllocated;
  if (zeroed && zeroed_) return {};
  zeroed_ = zeroed;
  const int file = ::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (file < 0) return std::strerror(errno);
  int error = 0;
  if (path == WritePath::kDirectAllocated) {
    error = ::fallocate(file, 0, 0, kFileBytes) == 0 ? 0 : errno;
  } else {
    const std::vector<std::byte> zeros(kFillBytes);
    for (std::uint64_t at = 0; at < kFileBytes && error == 0; at += kFillBytes)
      if (::write(file, zeros.data(), kFillBytes) != static_cast<ssize_t>(kFillBytes))
        error = errno == 0 ? EIO : errno;
  }
  if (error == 0 && ::fdatasync(file) != 0) error = errno;
  ::close(file);
  if (error == 0) return {};
  zeroed_ = false;
  return std::strerror(error);
}

ProbeResult DiskProbe::run(const ProbeCase& asked, double seconds,
                           const std::function<bool()>& stopped) {
  ProbeResult result;
  result.asked = asked;
  result.problem = make_file(asked.path);
  if (!result.problem.empty()) return result;
  int flags = O_WRONLY | O_CLOEXEC;
  if (asked.path != WritePath::kBuffered) flags |= O_DIRECT;
  const int file = ::open(path_.c_str(), flags);
  if (file < 0) {
    result.problem = errno == EINVAL ? "O_DIRECT is not possible here" : std::strerror(errno);
    return result;
  }
  const auto io = make_io();
  const io::AlignedBuffer buffer(asked.bytes);
  const std::uint64_t began_ns = monotonic_ns();
  Lane::Shared shared{*io,        static_cast<io::Handle>(file),
                      asked.path, buffer.span(),
                      0,          began_ns + static_cast<std::uint64_t>(seconds * 1e9),
                      0,          result};
  std::vector<std::unique_ptr<Lane>> lanes;
  for (std::uint32_t i = 0; i < asked.depth; ++i) {
    lanes.push_back(std::make_unique<Lane>(shared));
    lanes.back()->begin();
  }
  while (shared.busy > 0) {
    io->run_once();
    if (stopped()) shared.end_ns = 0;
  }
  result.seconds = static_cast<double>(monotonic_ns() - began_ns) / 1e9;
  ::close(file);
  return result;
}

std::string probe_table(const DiskFacts& facts, const std::vector<ProbeResult>& results) {
  std::string table =
      fmt::format("disk: {}{}{}{}\n  cache: {}\n", facts.filesystem,
                  facts.device.empty() ? "" : " on " + facts.device,
                  !facts.rotational   ? ""
                  : *facts.rotational ? ", rotating"
                                      : ", not rotating",
                  facts.write_cache.empty() ? "" : ", " + facts.write_cache, cache_promise(facts));
  table += fmt::format("  {:<30}{:>8}{:>7}{:>11}{:>9}{:>10}{:>10}{:>10}\n", "durable writes",
                       "bytes", "depth", "writes/s", "MB/s", "p50 ms", "p99 ms", "p99.9 ms");
  for (const ProbeResult& one : results) {
    table += fmt::format("  {:<30}{:>8}{:>7}", path_name(one.asked.path),
                         size_text(one.asked.bytes), one.asked.depth);
    if (!one.problem.empty()) {
      table += "  " + one.problem + "\n";
      continue;
    }
    table +=
        fmt::format("{:>11.0f}{:>9.1f}{:>10}{:>10}{:>10}\n", one.writes_per_s(),
                    one.writes_per_s() * one.asked.bytes / 1e6, latency_text(one.latency_ns, 0.5),
                    latency_text(one.latency_ns, 0.99), latency_text(one.latency_ns, 0.999));
  }
  return table;
}

Json probe_json(const DiskFacts& facts, const std::vector<ProbeResult>& results) {
  Json json;
  json["filesystem"] = facts.filesystem;
  json["device"] = facts.device.empty() ? Json() : Json(facts.device);
  json["rotational"] = facts.rotational ? Json(*facts.rotational) : Json();
  json["write_cache"] = facts.write_cache.empty() ? Json() : Json(facts.write_cache);
  json["fua"] = facts.fua ? Json(*facts.fua) : Json();
  Json& writes = json["writes"] = Json::array();
  for (const ProbeResult& one : results) {
    const auto ms = [&](double share) {
      return static_cast<double>(one.latency_ns.percentile(share)) / 1e6;
    };
    writes.push_back({{"path", path_name(one.asked.path)},
                      {"bytes", one.asked.bytes},
                      {"depth", one.asked.depth},
                      {"problem", one.problem.empty() ? Json() : Json(one.problem)},
                      {"writes_per_s", one.writes_per_s()},
                      {"p50_ms", ms(0.5)},
                      {"p99_ms", ms(0.99)},
                      {"p999_ms", ms(0.999)}});
  }
  return json;
}

}  // namespace sluice::tools
