// A follower: one large receive, one write for all that is at hand, one answer for all that became
// durable.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "bench/floor/batch.h"
#include "bench/floor/byte_ring.h"
#include "bench/floor/disk.h"
#include "bench/floor/options.h"
#include "bench/floor/uring.h"

namespace sluice::floor {

class Follower {
 public:
  /// Prepares the disk; connect to the leader only then.
  explicit Follower(const Options& options);

  /// Serves the leader until it closes the connection. Returns counts of the whole run. Throws
  /// std::runtime_error if a batch is not the next one or not what its checksum says.
  nlohmann::ordered_json run(int socket);

 private:
  void handle(std::uint64_t tag, int result);
  void on_received(int result);
  void verify_batches();
  void submit();

  Options options_;
  ByteRing stream_;
  Disk disk_;
  Uring uring_;
  int socket_ = -1;
  bool receiving_ = false;
  bool closed_ = false;
  std::uint64_t received_end_ = 0;
  std::uint64_t verified_end_ = 0;  // batches that are complete and sound
  std::uint64_t verified_sequence_ = 0;
  Ack ack_{};  // the one in flight, or the last
  bool sending_ = false;
  std::uint64_t batches_ = 0;
  std::uint64_t acks_ = 0;
};

}  // namespace sluice::floor
