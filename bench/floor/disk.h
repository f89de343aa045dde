// The stable storage of one process: a file full of zeros, overwritten from its beginning to its
// end and again, as the segments of a log are recycled.
//
// What is written is a part of a stream that lies in a ByteRing. A direct write takes whole blocks,
// so the first and the last block of a write may hold bytes of its neighbours too: no byte is
// copied to align another, and no block that is durable is overwritten before the file has gone
// round.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "bench/floor/byte_ring.h"
#include "bench/floor/options.h"
#include "bench/floor/uring.h"

namespace sluice::floor {

class Disk {
 public:
  static constexpr std::uint32_t kDepthMax = 4;
  /// A whole ring fits twice.
  static std::uint64_t file_bytes_min(const ByteRing& ring) {
    return 2 * (ring.size_bytes() + 2 * kBlockBytes);
  }

  /// Makes the file and fills it. Its name is gone at once: whatever ends the process, nothing is
  /// left. Throws std::system_error. Tags from `first_tag` to first_tag + 3 are its own.
  Disk(const Options& options, const ByteRing& ring, std::uint64_t first_tag);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  /// Whether to write now what is pending: at once if nothing is in flight, else only much of it.
  [[nodiscard]] bool takes(std::uint64_t pending_bytes) const {
    if (pending_bytes == 0) return false;
    const std::uint32_t in_flight = begun_ - finished_;
    return in_flight == 0 || (in_flight < depth_ && pending_bytes >= deeper_bytes_);
  }
  /// Everything up to position `end`, which holds the entries below `end_sequence`.
  void write(Uring& uring, std::uint64_t end, std::uint64_t end_sequence);
  /// Throws std::runtime_error if the write failed or was short.
  void on_written(std::uint64_t tag, int result);

  [[nodiscard]] std::uint64_t submitted_end() const { return submitted_end_; }
  [[nodiscard]] std::uint64_t durable_end() const { return durable_end_; }
  /// All entries below are durable.
  [[nodiscard]] std::uint64_t durable_sequence() const { return durable_sequence_; }
  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }

 private:
  struct Write {
    std::uint64_t end = 0;
    std::uint64_t end_sequence = 0;
    std::uint32_t size_bytes = 0;
    bool done = false;
  };

  const ByteRing& ring_;
  std::uint64_t first_tag_;
  std::uint32_t depth_;
  std::uint64_t deeper_bytes_;
  int file_ = -1;
  std::uint64_t file_bytes_;
  std::uint64_t offset_ = 0;
  std::array<Write, kDepthMax> in_flight_{};  // number n in place n % 4
  std::uint32_t begun_ = 0;
  std::uint32_t finished_ = 0;  // in the order of their beginning
  std::uint64_t submitted_end_ = 0;
  std::uint64_t durable_end_ = 0;
  std::uint64_t durable_sequence_ = 0;
  std::uint64_t writes_ = 0;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace sluice::floor
