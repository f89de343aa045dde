// What a group remembers of its producers, so that a retry lands once (S47).
//
// The table is a function of the group's log: every batch with a producer that enters the log (as
// leader, as follower or at recovery) is added, every batch that is truncated is removed. So a new
// leader knows the sequences of everything it holds, committed or not, and answers a retry of an
// entry that an earlier leader appended with the index it has.
//
// What trimming takes out of the log goes on in a snapshot record (encode / restore).
//
// Invariants of one producer: runs are contiguous in sequence and rise in index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "wire/batch.h"
#include "wire/ids.h"
#include "wire/result.h"
#include "wire/ring.h"

namespace sluice::shard {

/// At least so many of a producer's newest committed sequences are remembered with their index.
inline constexpr std::uint64_t kSequencesRemembered = 1024;

/// No group has more of one producer's entries uncommitted (Config::uncommitted_bytes_max bounds
/// them by bytes; this bounds what recovery keeps).
inline constexpr std::uint64_t kSequencesUncommittedMax = 1u << 20;

class Sessions {
 public:
  /// A stretch of one producer's sequences that entered the log in one batch.
  struct Run {
    Sequence first;
    Index first_index;
    Term term;
    std::uint32_t count = 0;
    [[nodiscard]] Sequence end() const { return first + count; }
  };

  enum class Answer : std::uint8_t {
    kNew,     // the whole of it is new and may be appended
    kKnown,   // entries [0, known) are in the log already, the others are new
    kGap,     // not the producer's next sequence: `expected` is
    kTooOld,  // begins before what is remembered
  };
  struct Check {
    Answer answer = Answer::kNew;
    std::uint32_t known = 0;
    Sequence expected;
  };

  explicit Sessions(std::uint32_t producers_max) : producers_max_(producers_max) {}

  /// May `count` entries from sequence `first` be appended?
  [[nodiscard]] Check check(ProducerId producer, Sequence first, std::uint32_t count) const;

  /// Calls visit(offset, run part) for each stretch of the known entries [first, first + count).
  /// Precondition: check() said that they are known.
  template <class F>
  void for_known(ProducerId producer, Sequence first, std::uint32_t count, F&& visit) const {
    const auto found = producers_.find(producer);
    if (found == producers_.end()) return;
    const auto& runs = found->second.runs;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const Run& run = runs[i];
      const Sequence begin = first > run.first ? first : run.first;
      const Sequence end = first + count < run.end() ? first + count : run.end();
      if (begin >= end) continue;
      visit(static_cast<std::uint32_t>(begin - first),
            Run{begin, run.first_index + (begin - run.first), run.term,
                static_cast<std::uint32_t>(end - begin)});
    }
  }

  /// A sealed batch entered the log. Nothing happens without a producer. A producer that is not
  /// known may start anywhere; one whose sequence jumps starts anew (its old runs are forgotten).
  void add(BatchView batch, Index commit_index);
  /// The same at recovery, when it is not known yet what is committed: forgets only what lies more
  /// than kSequencesUncommittedMax behind.
  void add(ProducerId producer, const Run& run);

  /// Entries from `from` on left the log.
  void truncate_from(Index from);

  /// The runs of entries below `first` that are still to be remembered, as a snapshot that
  /// restore() understands. Everything below `first` is committed.
  [[nodiscard]] std::vector<std::byte> encode_below(Index first) const;
  /// Adds what a snapshot knows and the log no longer holds. Errors kBadContent, kBadSize.
  [[nodiscard]] Result<void> restore(std::span<const std::byte> snapshot);

  /// Whether check() knows where the producer stands; otherwise it may begin anywhere.
  [[nodiscard]] bool knows(ProducerId producer) const {
    const auto found = producers_.find(producer);
    return found != producers_.end() && !found->second.runs.empty();
  }
  [[nodiscard]] std::size_t producer_count() const { return producers_.size(); }

 private:
  struct Producer {
    Ring<Run> runs;
    std::list<ProducerId>::iterator age;  // in ages_
  };
  Producer& touch(ProducerId id);
  Producer& push(ProducerId id, const Run& run);
  static void forget_old(Producer& producer, Index commit_index);

  std::uint32_t producers_max_;
  std::unordered_map<ProducerId, Producer> producers_;
  std::list<ProducerId> ages_;  // least recently appended first
};

}  // namespace sluice::shard
