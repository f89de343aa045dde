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

/// `size_bytes` (at least 8): the uid, then bytes that follow from it.
inline void fill_payload(Uid uid, std::span<std::byte> bytes) {
  std::memcpy(bytes.data(), &uid, sizeof uid);
  std::uint64_t state = uid * 0x9E3779B97F4A7C15 + bytes.size();
  for (std::size_t i = sizeof uid; i < bytes.size(); ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    bytes[i] = static_cast<std::byte>(state >> 56);
  }
}

/// The uid, if the bytes are exactly what fill_payload() made.
inline std::optional<Uid> uid_of(std::span<const std::byte> bytes) {
  Uid uid = 0;
  if (bytes.size() < sizeof uid) return std::nullopt;
  std::memcpy(&uid, bytes.data(), sizeof uid);
  std::uint64_t state = uid * 0x9E3779B97F4A7C15 + bytes.size();
  for (std::size_t i = sizeof uid; i < bytes.size(); ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    if (bytes[i] != static_cast<std::byte>(state >> 56)) return std::nullopt;
  }
  return uid;
}

}  // namespace sluice::sim
