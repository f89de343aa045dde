#include "wire/frame.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

TEST(Frame, RoundTrip) {
  flatbuffers::FlatBufferBuilder fbb;
  fbb.Finish(wire::CreateHelloDirect(fbb, wire::Role::Client, "c", 9));
  const auto envelope = std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize()));
  std::vector<std::byte> out(frame_prefix_bytes(envelope.size()));
  ASSERT_EQ(write_frame_prefix(out, FrameKind::kHello, envelope, 0), out.size());
  const auto frame = parse_frame(out, 1 << 20);
  ASSERT_TRUE(frame);
  const auto hello = envelope_as<wire::Hello>(*frame);
  ASSERT_TRUE(hello);
  EXPECT_EQ((*hello)->cluster(), 9u);
}

}  // namespace
}  // namespace sluice
