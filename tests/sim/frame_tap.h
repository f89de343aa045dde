// Puts the frames of a stream together again from the pieces in which they leave, for checks that
// look at what a node says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "wire/frame.h"

namespace sluice::sim {

class FrameTap {
 public:
  /// Calls see(frame) for each frame that is whole now. A stream that is no frames is left alone.
  template <class F>
  void take(std::span<const std::byte> bytes, F&& see) {
    if (broken_) return;
    append(bytes);
    std::size_t begin = 0;
    const auto* base = reinterpret_cast<const std::byte*>(words_.data());
    while (size_ - begin >= kFrameHeaderBytes) {
      const std::span<const std::byte> rest(base + begin, size_ - begin);
      const auto size = frame_size(rest, kFrameBytesMax);
      if (!size) {
        broken_ = true;
        return;
      }
      if (rest.size() < *size) break;
      const auto frame = parse_frame(rest.first(*size), kFrameBytesMax);
      if (!frame) {
        broken_ = true;
        return;
      }
      see(*frame);
      begin += *size;
    }
    auto* all = reinterpret_cast<std::byte*>(words_.data());
    std::memmove(all, all + begin, size_ - begin);
    size_ -= begin;
  }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  static constexpr std::size_t kFrameBytesMax = 64u << 20;
  void append(std::span<const std::byte> bytes) {
    words_.resize((size_ + bytes.size() + 7) / 8);
    std::memcpy(reinterpret_cast<std::byte*>(words_.data()) + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  std::vector<std::uint64_t> words_;  // aligned as frames want to be
  std::size_t size_ = 0;
  bool broken_ = false;
};

}  // namespace sluice::sim
