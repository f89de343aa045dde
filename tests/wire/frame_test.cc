// Frames: what the front of a receive buffer says, for good bytes and bad ones.
#include "wire/frame.h"

#include <gtest/gtest.h>

#include "tests/wire/bytes.h"
#include "wire/batch.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

using test::Bytes;
using test::bytes_of;
using test::put;

constexpr std::size_t kMax = 1u << 20;
constexpr std::size_t kVersionAt = 4, kKindAt = 5, kFlagsAt = 6, kSizeBytesAt = 8,
                      kEnvelopeBytesAt = 12, kChecksumAt = 16;

/// A frame of `kind` with this envelope, followed by these batches.
Bytes make_frame(FrameKind kind, const Bytes& envelope, const Bytes& batches = {}) {
  Bytes frame(frame_prefix_bytes(envelope.size()), std::byte{0xAA});
  EXPECT_EQ(write_frame_prefix(frame, kind, envelope, batches.size()), frame.size());
  frame.insert(frame.end(), batches.begin(), batches.end());
  return frame;
}

Bytes status_request() {
  flatbuffers::FlatBufferBuilder fbb;
  fbb.Finish(wire::CreateClientStatus(fbb, 0x0102030405060708));
  const auto envelope = std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize()));
  return make_frame(FrameKind::kClientStatus, {envelope.begin(), envelope.end()});
}

Bytes with_batches() {
  return make_frame(FrameKind::kClientAppend, bytes_of("not a table"), Bytes(120, std::byte{0x5A}));
}

/// Makes the checksum right again: what is left is a peer that errs or lies, not a flipped bit.
Bytes resealed(Bytes frame) {
  const auto bytes = std::span<const std::byte>(frame);
  std::uint32_t envelope_bytes;
  std::memcpy(&envelope_bytes, frame.data() + kEnvelopeBytesAt, 4);
  if (envelope_bytes > frame.size() - kFrameHeaderBytes) return frame;
  put(frame, kChecksumAt,
      header_checksum(bytes.first(kFrameHeaderBytes), kChecksumAt,
                      bytes.subspan(kFrameHeaderBytes, envelope_bytes)));
  return frame;
}

Errc error_of(const Bytes& bytes, std::size_t frame_bytes_max = kMax) {
  const auto frame = parse_frame(bytes, frame_bytes_max);
  return frame ? Errc::kOk : frame.error();
}

TEST(Frame, RoundTripForEveryLengthOfTheEnvelope) {
  for (std::size_t length = 0; length <= 1100; length += length < 40 ? 1 : 97) {
    const Bytes envelope(length, std::byte{0x11});
    const Bytes batches(length % 2 == 0 ? 0 : 96, std::byte{0x22});
    Bytes bytes = make_frame(FrameKind::kPeerMessages, envelope, batches);
    const std::size_t size = bytes.size();
    bytes.resize(size + 64, std::byte{0x33});  // the next frame has begun

    EXPECT_EQ(frame_size(bytes, kMax), size);
    const auto frame = parse_frame(bytes, kMax);
    ASSERT_TRUE(frame) << length;
    EXPECT_EQ(frame->kind, FrameKind::kPeerMessages);
    EXPECT_EQ(frame->size_bytes, size);
    EXPECT_EQ(frame->envelope.size(), (length + 7) / 8 * 8);
    EXPECT_EQ(test::first(frame->envelope, length), envelope);
    for (std::size_t i = length; i < frame->envelope.size(); ++i) {
      EXPECT_EQ(frame->envelope[i], std::byte{0}) << "padding";
    }
    EXPECT_EQ(Bytes(frame->batches.begin(), frame->batches.end()), batches);
  }
}

// The first example of wire/README.md: a status request with request id 0x0102030405060708.
TEST(Frame, GoldenBytes) {
  const Bytes golden = test::from_hex(R"(
53 4c 55 46 01 08 00 00  30 00 00 00 18 00 00 00
40 b8 0d 7c 36 a9 35 82  0c 00 00 00 00 00 06 00
0c 00 04 00 06 00 00 00  08 07 06 05 04 03 02 01
)");
  EXPECT_EQ(test::to_hex(status_request()), test::to_hex(golden));
  const auto frame = parse_frame(golden, kMax);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->kind, FrameKind::kClientStatus);
  EXPECT_TRUE(frame->batches.empty());
  const auto status = envelope_as<wire::ClientStatus>(*frame);
  ASSERT_TRUE(status);
  EXPECT_EQ((*status)->request_id(), 0x0102030405060708u);
}

// S45: header and envelope are covered by the frame's checksum. The batches are not (each carries
// its own, see BatchDecode.S28_EachBitFlippedIsRefused): they are the only bytes that may change
// without parse_frame() noticing.
TEST(Frame, S45_EachBitFlippedInHeaderOrEnvelopeIsRefused) {
  const Bytes good = with_batches();
  const std::size_t prefix_bytes = frame_prefix_bytes(11);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const bool in_batches = bit / 8 >= prefix_bytes;
    EXPECT_EQ(error_of(bad) == Errc::kOk, in_batches) << "byte " << bit / 8;
  }
}

TEST(Frame, EachLengthCutIsTruncatedAndTheSizeIsKnownFromTheHeaderOn) {
  const Bytes good = with_batches();
  for (std::size_t length = 0; length < good.size(); ++length) {
    const Bytes cut = test::first(good, length);
    EXPECT_EQ(error_of(cut), Errc::kTruncated) << length;
    const auto size = frame_size(cut, kMax);
    if (length < kFrameHeaderBytes) {
      EXPECT_EQ(size.error(), Errc::kTruncated) << length;
    } else {
      EXPECT_EQ(size, good.size()) << length;
    }
  }
}

// A receive buffer is asked for the size at whatever address the last frame ended.
TEST(Frame, TheSizeIsReadAtAnyAddress) {
  const Bytes good = status_request();
  for (std::size_t shift = 0; shift < 8; ++shift) {
    Bytes shifted(shift);
    shifted.insert(shifted.end(), good.begin(), good.end());
    EXPECT_EQ(frame_size(std::span<const std::byte>(shifted).subspan(shift), kMax), good.size());
  }
}

TEST(Frame, S46_AnotherVersionIsRefusedAsThat) {
  for (const int version : {0, 2, 255}) {
    Bytes frame = status_request();
    frame[kVersionAt] = static_cast<std::byte>(version);
    EXPECT_EQ(error_of(resealed(frame)), Errc::kBadVersion) << version;
    EXPECT_EQ(frame_size(frame, kMax).error(), Errc::kBadVersion) << version;
  }
}

// S44: from 24 bytes, before anything is allocated or waited for.
TEST(Frame, S44_SizeAboveTheBoundIsRefusedFromTheHeaderAlone) {
  Bytes header = test::first(with_batches(), kFrameHeaderBytes);
  EXPECT_EQ(frame_size(header, 160), 160u);
  EXPECT_EQ(frame_size(header, 159).error(), Errc::kTooLarge);
  put(header, kSizeBytesAt, std::uint32_t{0xFFFFFFF8});
  EXPECT_EQ(frame_size(header, kMax).error(), Errc::kTooLarge);
}

TEST(Frame, S44_EnvelopeAboveItsOwnBoundIsRefused) {
  Bytes header = test::first(with_batches(), kFrameHeaderBytes);
  put(header, kSizeBytesAt, kEnvelopeBytesMax * 4);
  put(header, kEnvelopeBytesAt, kEnvelopeBytesMax);
  EXPECT_TRUE(frame_size(header, kEnvelopeBytesMax * 4));
  for (const std::uint32_t bytes : {kEnvelopeBytesMax + 8, 0x80000000u, 0xFFFFFFF8u}) {
    put(header, kEnvelopeBytesAt, bytes);
    EXPECT_EQ(frame_size(header, ~std::size_t{0}).error(), Errc::kBadSize) << bytes;
  }
}

TEST(Frame, SizesThatContradictEachOtherAreRefused) {
  const Bytes good = with_batches();  // 24 + 16 + 120
  for (const std::uint32_t size : {0u, 8u, 16u, 24u, 32u, 159u, 161u}) {
    Bytes frame = good;
    put(frame, kSizeBytesAt, size);
    EXPECT_EQ(error_of(resealed(frame)), Errc::kBadSize) << size;
  }
  for (const std::uint32_t envelope : {1u, 15u, 17u, 144u, 160u}) {
    Bytes frame = good;
    put(frame, kEnvelopeBytesAt, envelope);
    EXPECT_EQ(error_of(resealed(frame)), Errc::kBadSize) << envelope;
  }
}

TEST(Frame, UnknownKindsAndFlagsAreRefused) {
  for (int kind = 0; kind < 256; ++kind) {
    Bytes frame = status_request();
    frame[kKindAt] = static_cast<std::byte>(kind);
    const Errc expected = kind >= 1 && kind <= 11 ? Errc::kOk : Errc::kBadContent;
    EXPECT_EQ(error_of(resealed(frame)), expected) << kind;
  }
  for (const std::size_t at : {kFlagsAt, kFlagsAt + 1}) {
    Bytes frame = status_request();
    frame[at] = std::byte{1};
    EXPECT_EQ(error_of(resealed(frame)), Errc::kBadContent) << at;
  }
}

TEST(Frame, OtherProtocolsAreRefusedByTheirFirstBytes) {
  for (const std::string_view hello :
       {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        "\x16\x03\x01\x02\x7f\x01 a TLS client hello"}) {
    EXPECT_EQ(frame_size(bytes_of(hello), kMax).error(), Errc::kBadMagic) << hello;
  }
}

TEST(Frame, S45_GarbageIsRefused) {
  test::Random random(45);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random.below(200));
    for (std::byte& b : bytes) b = random.byte();
    if (bytes.size() >= 12 && round % 2 == 0) {
      put(bytes, 0, kFrameMagic);
      bytes[kVersionAt] = std::byte{1};
      put(bytes, kSizeBytesAt, static_cast<std::uint32_t>(random.below(30) * 8));
    }
    EXPECT_NE(error_of(bytes), Errc::kOk);
  }
}

TEST(FrameDeathTest, ProgrammerErrorsStopTheNode) {
  Bytes out(64);
  EXPECT_DEATH(write_frame_prefix(out, FrameKind::kHello, Bytes(48), 0), "out.size");
  EXPECT_DEATH(write_frame_prefix(out, FrameKind::kHello, Bytes(8), 4), "batches_bytes % 8");
  Bytes huge(frame_prefix_bytes(kEnvelopeBytesMax + 1));
  EXPECT_DEATH(write_frame_prefix(huge, FrameKind::kHello, Bytes(kEnvelopeBytesMax + 1), 0),
               "kEnvelopeBytesMax");
}

}  // namespace
}  // namespace sluice
