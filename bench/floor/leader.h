// The leader: makes entries, seals them into batches, writes and sends them, and counts an entry as
// committed when two of the three processes have it on stable storage.
//
// A batch is closed as soon as anybody can take it: a follower's socket that has nothing in flight,
// or the disk. So a slow disk does not make the batches on the wires wait, nor the other way round.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/floor/batch.h"
#include "bench/floor/byte_ring.h"
#include "bench/floor/disk.h"
#include "bench/floor/options.h"
#include "bench/floor/uring.h"
#include "tools/histogram.h"

namespace sluice::floor {

inline constexpr std::size_t kFollowers = 2;

class Leader {
 public:
  /// Prepares the disk. `followers`: the processes whose time is reported.
  Leader(const Options& options, const std::array<pid_t, kFollowers>& followers);

  /// Warms up, measures, waits until all three have everything, and reports.
  nlohmann::ordered_json run(const std::array<int, kFollowers>& sockets);

 private:
  struct Link {
    int socket = -1;
    std::uint64_t send_begun_end = 0;
    std::uint64_t sent_end = 0;
    std::uint64_t durable_sequence = 0;
    std::array<std::byte, 4096> acks{};
    std::size_t acks_bytes = 0;
  };
  /// Where a batch ends.
  struct Boundary {
    std::uint64_t end;
    std::uint64_t end_sequence;
  };
  /// Entries of a closed loop that were made at the same moment.
  struct Cohort {
    std::uint64_t end_sequence;
    std::uint64_t made_ns;
  };
  /// Counters at one moment.
  struct Snapshot {
    std::uint64_t at_ns = 0;
    std::uint64_t committed = 0;
    std::uint64_t writes = 0;
    std::uint64_t written_bytes = 0;
    std::uint64_t batches = 0;
    std::uint64_t leader_cpu_ns = 0;
    std::array<std::uint64_t, kFollowers> follower_cpu_ns{};
    std::uint64_t machine_busy_ns = 0;
  };
  enum class Phase { kWarmUp, kMeasuring, kDraining };

  void handle(std::uint64_t tag, int result);
  void on_ack(Link& link, int result);
  void on_sent(Link& link, int result);
  void receive_acks(std::size_t link);

  void begin_phases();
  void change_phase(std::uint64_t now_ns);
  void commit(std::uint64_t now_ns);
  void record(std::uint64_t first, std::uint64_t end, std::uint64_t now_ns);
  void generate(std::uint64_t now_ns);
  void make_entry();
  void seal();
  void send();
  void write();
  [[nodiscard]] bool may_make_entry() const;
  [[nodiscard]] bool finished() const;
  [[nodiscard]] bool open_loop() const { return options_.rate > 0; }
  [[nodiscard]] std::uint64_t due_ns(std::uint64_t sequence) const;
  [[nodiscard]] std::uint64_t wait_ns(std::uint64_t now_ns) const;
  [[nodiscard]] Snapshot snapshot(std::uint64_t now_ns) const;
  [[nodiscard]] nlohmann::ordered_json report() const;

  Options options_;
  std::array<pid_t, kFollowers> follower_pids_;
  ByteRing stream_;
  Disk disk_;
  Uring uring_;
  std::array<Link, kFollowers> links_;
  std::vector<std::byte> source_;  // what each entry is a copy of

  std::uint64_t end_ = 0;         // of the stream, the open batch included
  std::uint64_t open_begin_ = 0;  // where the header of the open batch will be
  std::uint32_t open_entries_ = 0;
  std::uint64_t sealed_end_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t batches_ = 0;
  std::deque<Boundary> unwritten_;  // sealed, not yet given to the disk
  std::uint64_t committed_ = 0;     // all entries below

  Phase phase_ = Phase::kWarmUp;
  std::uint64_t start_ns_ = 0;
  std::uint64_t measure_ns_ = 0;  // when measuring begins, and ends
  std::uint64_t stop_ns_ = 0;
  std::deque<Cohort> cohorts_;
  Snapshot begin_;
  Snapshot done_;
  std::uint64_t unsent_ = 0;
  tools::Histogram latency_ns_;
};

}  // namespace sluice::floor
