// Every envelope: round trip, golden bytes, and the ways to lie in a FlatBuffer. The frame's
// checksum is no help against those (a liar computes it), so these tests go to the verifier
// directly.
#include <gtest/gtest.h>

#include "tests/wire/messages_samples.h"

namespace sluice::test {
namespace {

template <class Table>
Result<const Table*> read(std::span<const std::byte> envelope) {
  FrameView frame;
  frame.envelope = envelope;
  return envelope_as<Table>(frame);
}

template <class Sample>
class Envelope : public ::testing::Test {
 protected:
  using Table = typename Sample::Table;

  /// Reads all that the table hands out, if the verifier lets it pass. True if it did.
  static bool touch_if_valid(const Bytes& envelope) {
    const auto table = read<Table>(envelope);
    if (!table) {
      EXPECT_EQ(table.error(), Errc::kBadContent);
      return false;
    }
    Touch touch;
    Sample::touch(**table, touch);
    return true;
  }
};

using Samples = ::testing::Types<HelloSample, HelloReplySample, PeerMessagesSample,
                                 ClientAppendSample, ClientAppendReplySample, ClientReadSample,
                                 ClientReadReplySample, ClientTrimSample, ClientTrimReplySample,
                                 ClientStatusSample, ClientStatusReplySample>;
TYPED_TEST_SUITE(Envelope, Samples);

TYPED_TEST(Envelope, RoundTripThroughAFrame) {
  const Bytes envelope = TypeParam::build();
  Bytes bytes(frame_prefix_bytes(envelope.size()));
  write_frame_prefix(bytes, FrameKind::kHello, envelope, 0);
  const auto frame = parse_frame(bytes, bytes.size());
  ASSERT_TRUE(frame);
  const auto table = envelope_as<typename TypeParam::Table>(*frame);
  ASSERT_TRUE(table);
  TypeParam::expect(**table);
}

// Reading the golden bytes is the promise to other clients; that our builder makes the same ones is
// a property of the FlatBuffers version as well, and good to know when it changes.
TYPED_TEST(Envelope, GoldenBytes) {
  const Bytes golden = from_hex(TypeParam::kGolden);
  EXPECT_EQ(to_hex(TypeParam::build()), to_hex(golden));
  const auto table = read<typename TypeParam::Table>(golden);
  ASSERT_TRUE(table);
  TypeParam::expect(**table);
}

// A field that is left out is 0, and a string, a struct or a vector null: nobody may assume them.
TYPED_TEST(Envelope, OfAnEmptyTableReadsAsZeros) {
  const Bytes envelope = envelope_of([](auto& fbb) {
    const auto start = fbb.StartTable();
    fbb.Finish(flatbuffers::Offset<typename TypeParam::Table>(fbb.EndTable(start)));
  });
  const auto table = read<typename TypeParam::Table>(envelope);
  ASSERT_TRUE(table);
  Touch touch;
  TypeParam::touch(**table, touch);
  EXPECT_EQ(touch.sum(), 0u);
}

// Cutting may hit nothing but padding at the end; then the values are the same. Else it is refused.
TYPED_TEST(Envelope, EachLengthCutIsRefusedOrReadsTheSame) {
  const Bytes good = TypeParam::build();
  for (std::size_t length = 0; length < good.size(); ++length) {
    const Bytes cut = first(good, length);
    const auto table = read<typename TypeParam::Table>(cut);
    if (table) TypeParam::expect(**table);
    EXPECT_TRUE(!table || length >= good.size() / 2) << length;
  }
}

TYPED_TEST(Envelope, S59_EachByteSetToAnythingIsRefusedOrStaysInside) {
  const Bytes good = TypeParam::build();
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      Bytes bad = good;
      bad[at] = static_cast<std::byte>(value);
      refused += !this->touch_if_valid(bad);
    }
  }
  EXPECT_GT(refused, 0u);
}

// Every aligned word in turn as an offset or a length that points far away, wraps, or back.
TYPED_TEST(Envelope, S59_AbsurdOffsetsAndLengthsAreRefusedOrStayInside) {
  const Bytes good = TypeParam::build();
  const auto size = static_cast<std::uint32_t>(good.size());
  for (std::size_t at = 0; at + 4 <= good.size(); at += 2) {
    for (const std::uint32_t value :
         {0u, 1u, 3u, size - 4, size - 1, size, size + 1, 0x0FFFFFFFu, 0x10000000u, 0x20000001u,
          0x7FFFFFFEu, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFF00u, 0xFFFFFFFCu, 0xFFFFFFFFu}) {
      Bytes bad = good;
      put(bad, at, value);
      this->touch_if_valid(bad);
    }
  }
}

TYPED_TEST(Envelope, S59_MutationsStayInside) {
  const Bytes good = TypeParam::build();
  Random random(59);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bad = good;
    for (std::size_t n = 2 + random.below(4); n > 0; --n) {
      bad[random.below(bad.size())] = random.byte();
    }
    bad.resize(bad.size() - random.below(9));
    this->touch_if_valid(bad);
  }
}

TYPED_TEST(Envelope, S45_GarbageStaysInside) {
  Random random(45);
  for (int round = 0; round < 5'000; ++round) {
    Bytes bytes(random.below(200));
    for (std::byte& b : bytes) b = round % 3 == 0 ? random.byte() : std::byte(random.below(16));
    this->touch_if_valid(bytes);
  }
}

// --- single lies, spelled out
// ---------------------------------------------------------------------

/// An AppendItem vector of one element; the offset of its length.
struct Lied {
  Bytes envelope = ClientAppendSample::build();
  std::size_t length_at = 0;
  Lied() {
    const auto* table = read<wire::ClientAppend>(envelope).value();
    const auto* vector = reinterpret_cast<const std::byte*>(table->items());
    length_at = static_cast<std::size_t>(vector - envelope.data());
  }
};

TEST(EnvelopeLies, S59_AVectorLongerThanTheEnvelopeIsRefused) {
  for (const std::uint32_t length : {3u, 100u, 1u << 24, 0x0FFFFFFFu, 0x10000000u, 0x10000002u,
                                     0x7FFFFFFFu, 0x80000002u, 0xFFFFFFFFu}) {
    Lied lied;
    put(lied.envelope, lied.length_at, length);
    EXPECT_FALSE(read<wire::ClientAppend>(lied.envelope)) << length;
  }
}

TEST(EnvelopeLies, S59_AShorterVectorIsReadAsThat) {
  Lied lied;
  put(lied.envelope, lied.length_at, std::uint32_t{1});
  ASSERT_TRUE(read<wire::ClientAppend>(lied.envelope));
  EXPECT_EQ(read<wire::ClientAppend>(lied.envelope).value()->items()->size(), 1u);
}

// The FlatBuffers verifier lets this pass: elements with 64-bit fields at an address that is a
// multiple of 4 only.
TEST(EnvelopeLies, S59_AVectorOfMisalignedStructsIsRefused) {
  const Lied lied;
  Bytes shifted = lied.envelope;
  const auto at = static_cast<std::ptrdiff_t>(lied.length_at);
  shifted.insert(shifted.begin() + at, 4, std::byte{0});
  const auto* table = read<wire::ClientAppend>(lied.envelope).value();
  const auto* field = reinterpret_cast<const std::byte*>(table) +
                      reinterpret_cast<const flatbuffers::Table*>(table)->GetOptionalFieldOffset(4);
  const auto field_at = static_cast<std::size_t>(field - lied.envelope.data());
  put(shifted, field_at, static_cast<std::uint32_t>(lied.length_at + 4 - field_at));

  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(shifted.data()),
                                 shifted.size());
  ASSERT_TRUE(verifier.VerifyBuffer<wire::ClientAppend>(nullptr)) << "what this test is about";
  EXPECT_FALSE(read<wire::ClientAppend>(shifted));
}

// No lie: a builder has no element to align, and nobody reads one.
TEST(EnvelopeLies, AnEmptyVectorNeedsNoAlignment) {
  for (std::size_t name_bytes = 0; name_bytes < 16; ++name_bytes) {
    const Bytes envelope = envelope_of([=](auto& fbb) {
      const auto policy = fbb.CreateString(std::string(name_bytes, 'x'));
      const auto groups = fbb.CreateVectorOfStructs(std::vector<wire::GroupStatus>{});
      fbb.Finish(wire::CreateClientStatusReply(fbb, 1, 2, 3, policy, groups));
    });
    EXPECT_TRUE(read<wire::ClientStatusReply>(envelope)) << name_bytes;
  }
}

TEST(EnvelopeLies, S59_AStringWithoutItsTerminatorIsRefused) {
  Bytes envelope = HelloSample::build();
  const auto* name = read<wire::Hello>(envelope).value()->cluster_name();
  const auto end = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(name->c_str()) -
                                            envelope.data()) +
                   name->size();
  envelope[end] = std::byte{'!'};
  EXPECT_FALSE(read<wire::Hello>(envelope));
}

TEST(EnvelopeLies, EmptyAndTinyEnvelopesAreRefused) {
  for (std::size_t size = 0; size <= 8; ++size) {
    EXPECT_FALSE(read<wire::Hello>(Bytes(size))) << size;
  }
}

/// A table of tables, which no envelope of ours has: what a schema of tomorrow would meet.
struct Node : private flatbuffers::Table {
  [[nodiscard]] const flatbuffers::Vector<flatbuffers::Offset<Node>>* children() const {
    return GetPointer<const flatbuffers::Vector<flatbuffers::Offset<Node>>*>(4);
  }
  bool Verify(flatbuffers::Verifier& v) const {
    return VerifyTableStart(v) && VerifyOffset(v, 4) && v.VerifyVector(children()) &&
           v.VerifyVectorOfTables(children()) && v.EndTable();
  }
};

flatbuffers::Offset<Node> make_node(flatbuffers::FlatBufferBuilder& fbb,
                                    const std::vector<flatbuffers::Offset<Node>>& children) {
  const auto vector = fbb.CreateVector(children);
  const auto start = fbb.StartTable();
  fbb.AddOffset(4, vector);
  return fbb.EndTable(start);
}

TEST(EnvelopeLies, S59_DepthIsBounded) {
  for (const auto& [depth, accepted] :
       {std::pair{8, true}, std::pair{9, false}, std::pair{100, false}}) {
    const Bytes envelope = envelope_of([depth = depth](auto& fbb) {
      auto node = make_node(fbb, {});
      for (int i = 1; i < depth; ++i) node = make_node(fbb, {node});
      fbb.Finish(node);
    });
    EXPECT_EQ(read<Node>(envelope).has_value(), accepted) << depth;
  }
}

// Many offsets to one table cost the sender 4 bytes each and the verifier a visit each.
TEST(EnvelopeLies, S59_TheNumberOfTablesIsBounded) {
  for (const auto& [count, accepted] :
       {std::pair{63u, true}, std::pair{64u, false}, std::pair{100'000u, false}}) {
    const Bytes envelope = envelope_of([count = count](auto& fbb) {
      const auto leaf = make_node(fbb, {});
      fbb.Finish(make_node(fbb, std::vector<flatbuffers::Offset<Node>>(count, leaf)));
    });
    EXPECT_EQ(read<Node>(envelope).has_value(), accepted) << count;
  }
}

}  // namespace
}  // namespace sluice::test
