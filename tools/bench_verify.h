// Reads back what a benchmark appended, from every node, and compares it byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/client/client.h"
#include "tools/acked_index.h"
#include "tools/bench_payload.h"

namespace sluice::tools {

/// A few groups are read at once on each node. Forward on_read() of the loop's Events to this, and
/// call submit() once per loop.
class BenchVerify {
 public:
  BenchVerify(const std::vector<AckedIndex>& acked, BenchPayload& payload,
              std::vector<NodeId> nodes);

  void submit(client::Client& client, std::uint64_t now_ns);
  void on_read(std::uint64_t tag, const client::ReadOutcome& outcome, std::uint64_t now_ns);

  /// Every node was read to its end, or something is wrong.
  [[nodiscard]] bool done() const;
  /// Empty: all nodes hold every acknowledged entry, at its index, with its bytes.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// When to call submit() again at the latest; 0: when an answer comes.
  [[nodiscard]] std::uint64_t next_due_ns() const;

  /// Entries compared, and entries to compare, over all nodes.
  [[nodiscard]] std::uint64_t checked() const { return checked_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  /// Reads some of the groups of one node, one after the other.
  struct Reader {
    NodeId node;
    std::size_t group = 0;      // that is being read; beyond the last: done
    std::size_t stride = 1;     // to the next of its groups
    Index next;                 // 0: begin with the group's first
    std::uint64_t checked = 0;  // in this group
    bool asked = false;
    std::uint64_t retry_ns = 0;     // not before
    std::uint64_t progress_ns = 0;  // last time something new came
  };
  void check_entry(Reader& reader, const client::Entry& entry);
  void skip_done_groups(Reader& reader);
  [[nodiscard]] bool is_done(const Reader& reader) const { return reader.group >= acked_.size(); }
  void fail_at(const Reader& reader, Index index, const std::string& what);

  const std::vector<AckedIndex>& acked_;
  BenchPayload& payload_;
  std::vector<Reader> readers_;
  std::uint64_t checked_ = 0;
  std::uint64_t total_ = 0;
  std::string problem_;
};

}  // namespace sluice::tools
