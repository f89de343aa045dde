// Appends lines in order, each once: the heart of `sluice append`.
//
// Each line carries the next sequence of a random producer, so that the client library may send it
// again after a leader change and it still lands once. A line that is refused for good (too large)
// leaves a hole in the sequences, and the cluster refuses what comes behind it: those lines are
// certainly in no log. They wait here until everything under way is answered, then go out again, in
// their order, under a new producer.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/client/client.h"

namespace sluice::tools {

class LineAppender {
 public:
  struct Options {
    GroupId group;
    std::uint32_t timeout_ms = 5000;
    // Without an answer yet. A line's time-out runs from here on, so no more is handed over than a
    // slow cluster takes in a fraction of it.
    std::uint32_t lines_max = 16'384;
    std::uint64_t bytes_max = 4u << 20;  // of these
  };
  using RandomId = std::function<std::uint64_t()>;
  /// Line number from 1, and why it was not acknowledged.
  using OnFailed = std::function<void(std::uint64_t line, const client::AppendOutcome&)>;

  LineAppender(const Options& options, RandomId random, OnFailed on_failed);

  /// Whether another line may be added now.
  [[nodiscard]] bool has_room() const;
  /// Precondition: has_room().
  void add(std::uint64_t line, std::string_view text);
  /// Hands what may go to the client. Call once per loop.
  void submit(client::Client& client);
  /// An outcome of the client for a tag that submit() gave out.
  void on_append(std::uint64_t tag, const client::AppendOutcome& outcome);

  [[nodiscard]] bool idle() const { return waiting_.empty() && outstanding_ == 0; }
  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }
  /// Highest index that was acknowledged; 0 if none was.
  [[nodiscard]] Index last_index() const { return last_index_; }

 private:
  struct Line {
    std::uint64_t number = 0;
    std::string text;
  };
  void renew_producer();

  const Options options_;
  const RandomId random_;
  const OnFailed on_failed_;
  std::vector<Line> slots_;          // by tag
  std::vector<std::uint32_t> free_;  // tags
  std::deque<Line> waiting_;         // by line number
  std::uint32_t outstanding_ = 0;
  std::uint64_t bytes_ = 0;  // of slots_ and waiting_
  bool broken_ = false;      // a hole in the sequences: wait, then a new producer
  ProducerId producer_;
  Sequence next_sequence_;
  std::uint64_t acknowledged_ = 0;
  Index last_index_;
};

}  // namespace sluice::tools
