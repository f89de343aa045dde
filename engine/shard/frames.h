// Putting frames into a send queue.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <span>

#include "engine/shard/send_queue.h"
#include "wire/frame.h"

namespace sluice::shard {

/// Stages header and envelope of a frame; `batches_bytes` bytes of batches must follow it at once.
inline void stage_frame(SendQueue& out, FrameKind kind, flatbuffers::FlatBufferBuilder& envelope,
                        std::size_t batches_bytes) {
  const auto bytes = std::as_bytes(std::span(envelope.GetBufferPointer(), envelope.GetSize()));
  write_frame_prefix(out.stage(frame_prefix_bytes(bytes.size())), kind, bytes, batches_bytes);
}

/// Largest frame that nodes and clients send to one another. The batches of one frame are
/// batch_bytes_max together at the most, or a single one.
constexpr std::size_t frame_bytes_max(std::uint32_t batch_bytes_max) {
  return std::size_t{batch_bytes_max} + kEnvelopeBytesMax + kFrameHeaderBytes;
}

}  // namespace sluice::shard
