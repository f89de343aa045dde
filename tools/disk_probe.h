// What a disk does with durable writes: how long each way of writing takes at each depth, and what
// the kernel says of the device below.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/histogram.h"
#include "tools/json_fwd.h"

namespace sluice::tools {

/// As far as the kernel tells; nothing is known of what lies behind several layers of devices.
struct DiskFacts {
  std::string filesystem;  // "ext4"
  std::string device;      // "vda"; empty: not known
  std::optional<bool> rotational;
  std::string write_cache;  // "write back", "write through", or empty: not known
  std::optional<bool> fua;  // a single write can be durable without a flush of the whole cache
};

/// `sysfs` is /sys, or what a test made.
[[nodiscard]] DiskFacts disk_facts(const std::string& directory, const std::string& sysfs = "/sys");

/// What the cache promises, in one sentence for people.
[[nodiscard]] std::string cache_promise(const DiskFacts& facts);

/// A way to make bytes durable.
enum class WritePath : std::uint8_t {
  kDirectZeroed,     // O_DIRECT with RWF_DSYNC over zeros that were written before: what nodes do
  kDirectAllocated,  // the same into blocks that fallocate() gave and nobody wrote
  kBuffered,         // through the page cache, then fdatasync()
};
[[nodiscard]] std::string_view path_name(WritePath path);

struct ProbeCase {
  WritePath path = WritePath::kDirectZeroed;
  std::uint32_t depth = 1;  // writes under way at any time
  std::uint32_t bytes = 4096;
  bool operator==(const ProbeCase&) const = default;
};

/// All that is worth asking: each path at the depths 1 to 4 with 4 KiB, and what nodes do with
/// 128 KiB, as a group commit under load has.
[[nodiscard]] std::vector<ProbeCase> probe_cases();

struct ProbeResult {
  ProbeCase asked;
  Histogram latency_ns;  // of one durable write
  double seconds = 0;
  std::string problem;  // why there is no figure ("O_DIRECT is not possible here")

  [[nodiscard]] double writes_per_s() const {
    return seconds > 0 ? static_cast<double>(latency_ns.count()) / seconds : 0;
  }
};

/// Writes to a file of its own in `directory`, which is removed at the end.
class DiskProbe {
 public:
  /// Throws Failure (cannot write there, no io_uring).
  explicit DiskProbe(const std::string& directory);
  ~DiskProbe();
  DiskProbe(const DiskProbe&) = delete;
  DiskProbe& operator=(const DiskProbe&) = delete;

  /// Takes `seconds` and what the file needs to be made. Ends early if `stopped` says so.
  [[nodiscard]] ProbeResult run(const ProbeCase& asked, double seconds,
                                const std::function<bool()>& stopped);

 private:
  [[nodiscard]] std::string make_file(WritePath path);

  std::string path_;
  bool zeroed_ = false;  // the file is whole and full of written bytes
};

[[nodiscard]] std::string probe_table(const DiskFacts& facts,
                                      const std::vector<ProbeResult>& results);
[[nodiscard]] Json probe_json(const DiskFacts& facts, const std::vector<ProbeResult>& results);

}  // namespace sluice::tools
