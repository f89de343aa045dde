// Batches for the benchmarks, made of equal entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "wire/batch.h"
#include "wire/check.h"

namespace sluice::bench {

/// Memory aligned as batches want it, filled with bytes that are not all equal.
class Block {
 public:
  explicit Block(std::size_t size_bytes) : size_bytes_(size_bytes), words_((size_bytes + 7) / 8) {
    std::uint64_t value = 0x9E3779B97F4A7C15;
    for (std::uint64_t& word : words_) {
      value *= 6364136223846793005;
      word = value ^ (value >> 29);
    }
  }
  [[nodiscard]] std::span<std::byte> bytes() {
    return std::as_writable_bytes(std::span(words_)).first(size_bytes_);
  }

 private:
  std::size_t size_bytes_;
  std::vector<std::uint64_t> words_;
};

/// Room for a batch of so many entries of `entry_bytes`.
inline std::size_t batch_bytes_for(std::uint32_t entries, std::size_t entry_bytes) {
  return kBatchHeaderBytes + (entries * (4 + entry_bytes) + 7) / 8 * 8;
}

/// Builds an unsealed batch of `entries` times `entry` at the front of `buffer`.
inline BatchView build(std::span<std::byte> buffer, const BatchBuilder::Options& options,
                       std::uint32_t entries, std::span<const std::byte> entry) {
  BatchBuilder builder(buffer, options);
  for (std::uint32_t i = 0; i < entries; ++i) SLUICE_CHECK(builder.append(entry));
  return builder.finish();
}

}  // namespace sluice::bench
