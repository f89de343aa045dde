// What the cluster has committed, as an observer who sees every node remembers it: one log per group
// to which the cluster may only append. Whatever a node commits, serves or acknowledges is compared
// with it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/sim/payload.h"
#include "tests/sim/world.h"
#include "wire/batch.h"

namespace sluice::sim {

class ShadowLog {
 public:
  struct Batch {
    Index first;
    std::uint32_t count = 0;
    Term term;
    Term committed_in;           // the leader's, when it committed this
    std::uint64_t checksum = 0;  // of the header: with its chain it names everything before, too
    bool data = false;           // entries of clients
    std::vector<Uid> uids;       // of a data batch, one an entry
    [[nodiscard]] Index last() const { return first + (count - 1); }
  };
  struct Place {
    GroupId group;
    Index index;
    Term term;
  };

  ShadowLog(World& world, std::uint32_t groups) : world_(world), logs_(groups) {}

  [[nodiscard]] Index last_index(GroupId group) const;
  /// The batch that holds `index`, or nullptr.
  [[nodiscard]] const Batch* find(GroupId group, Index index) const;
  [[nodiscard]] const Batch* last(GroupId group) const;
  /// Where a log may begin: the highest index that a committed trim names.
  [[nodiscard]] Index first_allowed(GroupId group) const { return logs_[group.value()].trimmed; }

  /// A batch was committed that continues the log: the first node that knows of it, in its term.
  void append(GroupId group, BatchView batch, Term committed_in, const std::string& who);

  /// A client was told that its entry stands there.
  void acknowledged(const Place& place, Uid uid, const std::string& who);
  /// A client was told that its entry is in no log. It will not be sent again under this uid.
  void refused(Uid uid, const std::string& who);
  /// A client read `data` at an index.
  void was_read(GroupId group, Index index, Term term, bool internal,
                std::span<const std::byte> data, const std::string& who);

  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] std::uint64_t acknowledgements() const { return acknowledgements_; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  /// Where an entry was committed, or nullptr.
  [[nodiscard]] const Place* place_of(Uid uid) const;

 private:
  struct Log {
    std::vector<Batch> batches;
    Index trimmed{1};
    std::map<std::uint64_t, std::uint64_t> next_sequence;  // by producer
  };

  World& world_;
  std::vector<Log> logs_;
  std::unordered_map<Uid, Place> places_;
  std::unordered_set<Uid> refused_;
  std::uint64_t entries_ = 0, acknowledgements_ = 0, reads_ = 0;
};

}  // namespace sluice::sim
