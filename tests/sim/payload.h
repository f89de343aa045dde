// What the workload appends: bytes that say by themselves who appended them and that they are whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace sluice::sim {

/// Names one entry of the workload, in the whole run.
using Uid = std::uint64_t;

namespace payload {

/// The words that follow the uid, one after the other. A run makes and compares millions of entries,
/// so they come eight bytes at a time.
class Words {
 public:
  Words(Uid uid, std::size_t size_bytes) : state_(uid * 0x9E3779B97F4A7C15 + size_bytes) {}
  std::uint64_t next() {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return state_ ^ state_ >> 32;  // an LCG's low bits repeat soon
  }

 private:
  std::uint64_t state_;
};

}  // namespace payload

/// `size_bytes` (at least 8): the uid, then bytes that follow from it.
inline void fill_payload(Uid uid, std::span<std::byte> bytes) {
  std::memcpy(bytes.data(), &uid, sizeof uid);
  payload::Words words(uid, bytes.size());
  auto rest = bytes.subspan(sizeof uid);
  for (; rest.size() >= sizeof(std::uint64_t); rest = rest.subspan(sizeof(std::uint64_t))) {
    const std::uint64_t word = words.next();
    std::memcpy(rest.data(), &word, sizeof word);
  }
  const std::uint64_t tail = words.next();
  std::memcpy(rest.data(), &tail, rest.size());
}

/// The uid, if the bytes are exactly what fill_payload() made.
inline std::optional<Uid> uid_of(std::span<const std::byte> bytes) {
  Uid uid = 0;
  if (bytes.size() < sizeof uid) return std::nullopt;
  std::memcpy(&uid, bytes.data(), sizeof uid);
  payload::Words words(uid, bytes.size());
  auto rest = bytes.subspan(sizeof uid);
  for (; rest.size() >= sizeof(std::uint64_t); rest = rest.subspan(sizeof(std::uint64_t))) {
    const std::uint64_t word = words.next();
    if (std::memcmp(rest.data(), &word, sizeof word) != 0) return std::nullopt;
  }
  const std::uint64_t tail = words.next();
  if (std::memcmp(rest.data(), &tail, rest.size()) != 0) return std::nullopt;
  return uid;
}

}  // namespace sluice::sim
