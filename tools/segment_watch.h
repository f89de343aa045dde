// Sees from outside when a node's segments are recycled: a file that was one segment is another one
// now. Until that happened a node writes into files that it has just made, which costs other work
// than what it does for the rest of its life.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::tools {

/// The segments in one directory: by file (its inode), the epoch that it has now.
using SegmentFiles = std::map<std::uint64_t, std::string>;

class SegmentWatch {
 public:
  /// Directories of shards, which hold EPOCH.segment files.
  explicit SegmentWatch(std::vector<std::string> directories);

  /// Looks at all of them now. One that is not there yet has no segments.
  void look();

  /// In every directory a file was used for a second segment, and the log has gone on to it: there
  /// is a newer one, since a node prepares one ahead.
  [[nodiscard]] bool all_recycled() const;

  /// The same, with what was found handed in. By position of the directory.
  void see(std::size_t directory, SegmentFiles now);

 private:
  struct Seen {
    SegmentFiles files;
    std::string recycled;  // oldest epoch that a file got as its second; empty: none
  };
  std::vector<std::string> directories_;
  std::vector<Seen> seen_;
};

}  // namespace sluice::tools
