// Frames: what travels on a socket. 24 bytes of header (wire/format.fbs), a FlatBuffers envelope
// (wire/messages.fbs) zero-padded to a multiple of 8, then batches verbatim.
//
// The header's checksum covers header and envelope; each batch carries its own checksums. Reading
// is a pure function over bytes in a buffer: no IO, no allocation. A frame from a socket is hostile
// until it was parsed: its length is compared with a bound before anything is allocated, its
// envelope passes the FlatBuffers verifier with caps on depth and tables.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/format_generated.h"
#include "wire/messages_generated.h"
#include "wire/result.h"

namespace sluice {

inline constexpr std::uint32_t kFrameMagic = 0x46554C53;  // "SLUF"
inline constexpr std::uint8_t kFrameVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 24;
static_assert(sizeof(wire::FrameHeader) == kFrameHeaderBytes);

/// Upper bound for an envelope, whatever its kind.
inline constexpr std::uint32_t kEnvelopeBytesMax = 1u << 20;

enum class FrameKind : std::uint8_t {
  kHello = 1,
  kHelloReply = 2,
  kPeerMessages = 3,
  kClientAppend = 4,
  kClientAppendReply = 5,
  kClientRead = 6,
  kClientReadReply = 7,
  kClientStatus = 8,
  kClientStatusReply = 9,
  kClientTrim = 10,
  kClientTrimReply = 11,
};

/// A frame that lies whole in somebody else's buffer.
struct FrameView {
  FrameKind kind{};
  std::span<const std::byte> envelope;  // with its padding; verified by envelope_as()
  std::span<const std::byte> batches;   // not yet parsed
  std::size_t size_bytes = 0;
};

/// What the front of a receive buffer says.
/// Returns the size of the whole frame in bytes as soon as the 24 bytes of the header are there.
/// Errors  kTruncated: fewer than 24 bytes. kBadMagic, kBadVersion, kBadSize (not a multiple of 8,
///         envelope larger than the frame or than kEnvelopeBytesMax), kTooLarge (over the bound):
///         close the connection.
[[nodiscard]] Result<std::size_t> frame_size(std::span<const std::byte> bytes,
                                             std::size_t frame_bytes_max);

/// Parses one whole frame at the front of `bytes` (aligned to 8) and checks the checksum.
/// Errors  those of frame_size(), kBadChecksum, kBadContent (unknown kind, flags).
[[nodiscard]] Result<FrameView> parse_frame(std::span<const std::byte> bytes,
                                            std::size_t frame_bytes_max);

/// The verifier checks the bounds of a vector of structs, but not that its elements are aligned as
/// reading them in place assumes (they hold 64-bit integers); an honest builder aligns them.
template <class Struct>
[[nodiscard]] bool is_aligned(const flatbuffers::Vector<const Struct*>* structs) {
  if (!structs || structs->size() == 0) return true;
  return reinterpret_cast<std::uintptr_t>(structs->Data()) % alignof(Struct) == 0;
}
template <class Table>
[[nodiscard]] bool vectors_aligned(const Table& /*without vectors of structs*/) {
  return true;
}
[[nodiscard]] bool vectors_aligned(const wire::PeerMessages& table);
[[nodiscard]] bool vectors_aligned(const wire::ClientAppend& table);
[[nodiscard]] bool vectors_aligned(const wire::ClientAppendReply& table);
[[nodiscard]] bool vectors_aligned(const wire::ClientStatusReply& table);

/// The envelope as a table of type T, through the FlatBuffers verifier (depth at most 8, tables at
/// most 64; vectors of structs cost no table).
/// Errors  kBadContent.
template <class T>
[[nodiscard]] Result<const T*> envelope_as(const FrameView& frame) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(frame.envelope.data()),
                                 frame.envelope.size(), /*max_depth=*/8, /*max_tables=*/64);
  if (!verifier.VerifyBuffer<T>(nullptr)) return fail(Errc::kBadContent);
  const T* table = flatbuffers::GetRoot<T>(frame.envelope.data());
  if (!vectors_aligned(*table)) return fail(Errc::kBadContent);
  return table;
}

/// Bytes that `finish_frame` will need for header and padded envelope.
[[nodiscard]] constexpr std::size_t frame_prefix_bytes(std::size_t envelope_bytes) {
  return kFrameHeaderBytes + ((envelope_bytes + 7) & ~std::size_t{7});
}

/// Writes header and padded envelope of a frame to `out`, which must hold
/// frame_prefix_bytes(envelope.size()); `batches_bytes` bytes of batches (a multiple of 8) are to
/// follow on the socket. Returns the number of bytes written.
std::size_t write_frame_prefix(std::span<std::byte> out, FrameKind kind,
                               std::span<const std::byte> envelope, std::size_t batches_bytes);

}  // namespace sluice
