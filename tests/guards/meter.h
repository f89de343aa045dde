// Whose code runs at this moment, and what it took: the engine's code of one node, the client
// library's, or nobody's (the simulator and the guards themselves). Allocations, and instructions
// under callgrind, are counted for the one that runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::guards {

/// What one party (a node or the client) did since it began. Only grows.
struct Counts {
  std::uint64_t allocations = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t loops = 0;       // Io::run_once
  std::uint64_t submits = 0;     // of these, with something to submit
  std::uint64_t operations = 0;  // submitted, of any kind
  std::uint64_t recvs = 0;
  std::uint64_t sends = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t writes = 0;  // durable ones: chunks
  std::uint64_t written_bytes = 0;
  std::uint64_t plain_writes = 0;  // the others: segments being prepared
  std::uint64_t plain_written_bytes = 0;
  std::uint64_t reads = 0;
  std::uint64_t read_bytes = 0;  // asked for
  std::uint64_t syncs = 0;
  std::uint64_t frames = 0;          // sent
  std::uint64_t request_frames = 0;  // of these, with appends
  std::uint64_t answer_frames = 0;   // of these, with answers to appends
  std::uint64_t answers = 0;         // in these

  struct Field {
    const char* name;
    std::uint64_t Counts::*value;
  };
  static std::span<const Field> fields();
  Counts& operator+=(const Counts& other);
  Counts& operator-=(const Counts& other);
};

class Meter {
 public:
  Counts counts;
  bool instructions = false;  // callgrind collects while this party's code runs in the window

  /// The party whose code runs now; nullptr: nobody's.
  [[nodiscard]] static Meter* current() { return current_; }

  /// Callgrind collects in a window only, and with `trace_allocations` each allocation of a party in
  /// it is printed with its stack.
  /// Built so that callgrind hears of it.
  [[nodiscard]] static bool has_callgrind();
  static void open_window();
  static void close_window();
  static bool trace_allocations;

 private:
  friend class Inside;
  friend class Outside;
  static Meter* switch_to(Meter* next);

  static Meter* current_;
};

/// The code of a party runs in this scope.
class Inside {
 public:
  explicit Inside(Meter& meter) : before_(Meter::switch_to(&meter)) {}
  ~Inside() { Meter::switch_to(before_); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Meter* before_;
};

/// Nobody's code runs in this scope: the simulator's or the guards'.
class Outside {
 public:
  Outside() : before_(Meter::switch_to(nullptr)) {}
  ~Outside() { Meter::switch_to(before_); }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

 private:
  Meter* before_;
};

}  // namespace sluice::guards
