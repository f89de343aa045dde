#include "wire/frame.h"

#include <cstring>
#include <limits>

#include "wire/check.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

constexpr std::size_t kChecksumOffset = 16;

/// The header at the front, copied: receive buffers need not be aligned for frame_size().
wire::FrameHeader load_header(std::span<const std::byte> bytes) {
  wire::FrameHeader header;
  std::memcpy(static_cast<void*>(&header), bytes.data(), kFrameHeaderBytes);
  return header;
}

bool is_known(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(FrameKind::kHello) &&
         kind <= static_cast<std::uint8_t>(FrameKind::kClientTrimReply);
}

std::uint64_t checksum_of(std::span<const std::byte> frame, std::size_t envelope_bytes) {
  return header_checksum(frame.first(kFrameHeaderBytes), kChecksumOffset,
                         frame.subspan(kFrameHeaderBytes, envelope_bytes));
}

}  // namespace

Result<std::size_t> frame_size(std::span<const std::byte> bytes, std::size_t frame_bytes_max) {
  if (bytes.size() < kFrameHeaderBytes) return fail(Errc::kTruncated);
  const wire::FrameHeader header = load_header(bytes);
  if (header.magic() != kFrameMagic) return fail(Errc::kBadMagic);
  if (header.version() != kFrameVersion) return fail(Errc::kBadVersion);
  const std::size_t size = header.size_bytes();
  const std::size_t envelope_bytes = header.envelope_bytes();
  if (size > frame_bytes_max) return fail(Errc::kTooLarge);
  if (size % 8 != 0 || envelope_bytes % 8 != 0) return fail(Errc::kBadSize);
  if (envelope_bytes > kEnvelopeBytesMax) return fail(Errc::kBadSize);
  if (size < kFrameHeaderBytes + envelope_bytes) return fail(Errc::kBadSize);
  return size;
}

Result<FrameView> parse_frame(std::span<const std::byte> bytes, std::size_t frame_bytes_max) {
  const Result<std::size_t> size = frame_size(bytes, frame_bytes_max);
  if (!size) return fail(size.error());
  if (*size > bytes.size()) return fail(Errc::kTruncated);
  SLUICE_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0);

  const wire::FrameHeader header = load_header(bytes);
  if (checksum_of(bytes, header.envelope_bytes()) != header.checksum()) {
    return fail(Errc::kBadChecksum);
  }
  if (!is_known(header.kind()) || header.flags() != 0) return fail(Errc::kBadContent);

  const std::size_t prefix_bytes = kFrameHeaderBytes + header.envelope_bytes();
  return FrameView{.kind = static_cast<FrameKind>(header.kind()),
                   .envelope = bytes.subspan(kFrameHeaderBytes, header.envelope_bytes()),
                   .batches = bytes.subspan(prefix_bytes, *size - prefix_bytes),
                   .size_bytes = *size};
}

std::size_t write_frame_prefix(std::span<std::byte> out, FrameKind kind,
                               std::span<const std::byte> envelope, std::size_t batches_bytes) {
  const std::size_t prefix_bytes = frame_prefix_bytes(envelope.size());
  const std::size_t envelope_bytes = prefix_bytes - kFrameHeaderBytes;
  SLUICE_CHECK(prefix_bytes <= out.size());
  SLUICE_CHECK(envelope_bytes <= kEnvelopeBytesMax && batches_bytes % 8 == 0);
  SLUICE_CHECK(batches_bytes <= std::numeric_limits<std::uint32_t>::max() - prefix_bytes);

  std::byte* const body = out.data() + kFrameHeaderBytes;
  if (!envelope.empty()) std::memcpy(body, envelope.data(), envelope.size());
  std::memset(body + envelope.size(), 0, envelope_bytes - envelope.size());

  wire::FrameHeader header(kFrameMagic, kFrameVersion, static_cast<std::uint8_t>(kind), 0,
                           static_cast<std::uint32_t>(prefix_bytes + batches_bytes),
                           static_cast<std::uint32_t>(envelope_bytes), 0);
  std::memcpy(out.data(), &header, kFrameHeaderBytes);
  header.mutate_checksum(checksum_of(out, envelope_bytes));
  std::memcpy(out.data(), &header, kFrameHeaderBytes);
  return prefix_bytes;
}

bool vectors_aligned(const wire::PeerMessages& table) {
  return is_aligned(table.vote_requests()) && is_aligned(table.vote_replies()) &&
         is_aligned(table.append_requests()) && is_aligned(table.append_replies());
}

bool vectors_aligned(const wire::ClientAppend& table) { return is_aligned(table.items()); }

bool vectors_aligned(const wire::ClientAppendReply& table) { return is_aligned(table.results()); }

bool vectors_aligned(const wire::ClientStatusReply& table) {
  return is_aligned(table.groups()) && is_aligned(table.stages());
}

}  // namespace sluice
