// Building, sealing and reading batches that are as they should be. What is not: batch_decode_test.
#include "wire/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>

#include "tests/wire/bytes.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

using test::Bytes;
using test::bytes_of;

constexpr std::size_t kMax = 1u << 20;

std::vector<std::string> entries_of(BatchView batch) {
  std::vector<std::string> entries;
  for (const auto entry : batch) entries.push_back(test::text_of(entry));
  return entries;
}

TEST(Batch, RoundTrip) {
  Bytes buffer(4096);
  BatchBuilder builder(buffer, {.cluster = ClusterId(11),
                                .group = GroupId(3),
                                .producer = ProducerId(7),
                                .first_sequence = Sequence(42)});
  const std::vector<std::string> entries{"one", "", "three", std::string(1000, 'x'), "five"};
  for (const auto& entry : entries) ASSERT_TRUE(builder.append(bytes_of(entry)));
  EXPECT_EQ(builder.entry_count(), 5u);
  const std::size_t size = builder.size_bytes();
  EXPECT_EQ(builder.finish().size_bytes(), size);

  const auto batch = BatchView::parse(buffer, kMax);  // more bytes behind it do not matter
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->bytes().size(), size);
  EXPECT_EQ(batch->kind(), BatchKind::kData);
  EXPECT_EQ(batch->cluster(), ClusterId(11));
  EXPECT_EQ(batch->group(), GroupId(3));
  EXPECT_EQ(batch->producer(), ProducerId(7));
  EXPECT_EQ(batch->first_sequence(), Sequence(42));
  EXPECT_EQ(batch->entry_count(), 5u);
  EXPECT_EQ(entries_of(*batch), entries);
}

TEST(Batch, EverySizeOfAnEntryIsPaddedToEightAndReadsBack) {
  for (std::size_t size = 0; size <= 40; ++size) {
    Bytes buffer(BatchBuilder::size_for(size));
    BatchBuilder builder(buffer, {});
    ASSERT_TRUE(builder.append(Bytes(size, std::byte{0xEE})));
    const BatchView batch = builder.finish();
    EXPECT_EQ(batch.size_bytes(), buffer.size()) << size;
    EXPECT_EQ(batch.size_bytes() % 8, 0u);
    const auto parsed = BatchView::parse(buffer, buffer.size());
    ASSERT_TRUE(parsed) << size;
    EXPECT_EQ((*parsed->begin()).size(), size);
  }
}

TEST(Batch, AnEntryThatDoesNotFitChangesNothing) {
  Bytes buffer(BatchBuilder::size_for(20));
  BatchBuilder builder(buffer, {});
  EXPECT_FALSE(builder.append(Bytes(21 + 3)));  // 4 + 20 fills three words, 4 + 24 needs a fourth
  EXPECT_FALSE(builder.append(Bytes(1u << 20)));
  EXPECT_EQ(builder.entry_count(), 0u);
  ASSERT_TRUE(builder.append(Bytes(10)));
  EXPECT_FALSE(builder.append(Bytes(7)));
  ASSERT_TRUE(builder.append(Bytes(6)));  // exactly full: 4 + 10 + 4 + 6
  EXPECT_FALSE(builder.append({}));
  EXPECT_EQ(builder.entry_count(), 2u);
  EXPECT_TRUE(BatchView::parse(builder.finish().bytes(), buffer.size()));
}

TEST(Batch, ABufferTooSmallForAnyHeaderTakesNothing) {
  Bytes buffer(kBatchHeaderBytes - 1);
  EXPECT_FALSE(BatchBuilder(buffer, {}).append({}));
  EXPECT_FALSE(BatchBuilder({}, {}).append({}));
}

// Whatever a reused buffer held before does not shine through.
TEST(Batch, IsTheSameBytesInADirtyBuffer) {
  Bytes clean(256), dirty(256, std::byte{0xAA});
  for (Bytes* buffer : {&clean, &dirty}) {
    BatchBuilder builder(*buffer, {.group = GroupId(1)});
    ASSERT_TRUE(builder.append(bytes_of("hello")));
    buffer->resize(builder.finish().size_bytes());
  }
  EXPECT_EQ(clean, dirty);
}

TEST(Batch, SealingFillsTheLeadersFieldsAndLeavesEverythingElse) {
  Bytes buffer(256);
  BatchBuilder builder(buffer, {.group = GroupId(2), .kind = BatchKind::kNoop});
  ASSERT_TRUE(builder.append(bytes_of("payload")));
  buffer.resize(builder.finish().size_bytes());
  const Bytes before = buffer;

  seal_batch(
      buffer,
      {.term = Term(5), .first_index = Index(100), .previous_checksum = 77, .timestamp_ns = 99});
  const auto sealed = BatchView::parse_sealed(buffer, kMax);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->kind(), BatchKind::kNoop);
  EXPECT_EQ(sealed->term(), Term(5));
  EXPECT_EQ(sealed->first_index(), Index(100));
  EXPECT_EQ(sealed->last_index(), Index(100));
  EXPECT_EQ(sealed->previous_checksum(), 77u);
  EXPECT_EQ(sealed->header().timestamp_ns(), 99u);
  for (std::size_t i = 0; i < buffer.size(); ++i) {
    const bool leaders = (i >= 8 && i < 16) ||   // header_checksum
                         (i >= 24 && i < 32) ||  // previous_checksum
                         (i >= 40 && i < 56) ||  // term, first_index
                         (i >= 72 && i < 80);    // timestamp_ns
    EXPECT_TRUE(leaders || buffer[i] == before[i]) << i;
  }
}

// Sealing twice is what a leader does that has to give a batch another place: nothing of the first
// seal may stay.
TEST(Batch, ASecondSealLeavesNothingOfTheFirst) {
  Bytes once(256), twice(256);
  const Seal final_seal{
      .term = Term(3), .first_index = Index(9), .previous_checksum = 1, .timestamp_ns = 2};
  for (Bytes* buffer : {&once, &twice}) {
    BatchBuilder builder(*buffer, {});
    ASSERT_TRUE(builder.append(bytes_of("x")));
    buffer->resize(builder.finish().size_bytes());
  }
  seal_batch(twice, {.term = Term(1), .first_index = Index(4), .previous_checksum = 9});
  seal_batch(once, final_seal);
  seal_batch(twice, final_seal);
  EXPECT_EQ(once, twice);
}

// The chain: two replicas whose links are equal agree on everything before.
TEST(Batch, ADifferentPastMakesADifferentLink) {
  std::uint64_t links[2];
  for (int past = 0; past < 2; ++past) {
    std::uint64_t link = 0;
    for (std::uint64_t index = 1; index <= 3; ++index) {
      Bytes buffer(256);
      BatchBuilder builder(buffer, {});
      ASSERT_TRUE(builder.append(bytes_of(past == 1 && index == 1 ? "other" : "entry")));
      const BatchView batch = builder.finish();
      seal_batch(buffer, {.term = Term(1), .first_index = Index(index), .previous_checksum = link});
      link = batch.header_checksum();
    }
    links[past] = link;
  }
  EXPECT_NE(links[0], links[1]);
}

TEST(Batch, TrustedIsTheViewOfABatchAtTheFrontOfMoreBytes) {
  Bytes buffer(512);
  BatchBuilder builder(buffer, {});
  ASSERT_TRUE(builder.append(bytes_of("x")));
  const BatchView built = builder.finish();
  const BatchView view = BatchView::trusted(buffer);
  EXPECT_EQ(view.bytes().data(), buffer.data());
  EXPECT_EQ(view.bytes().size(), built.size_bytes());
}

TEST(Batch, SeveralInARowAreReadOneAfterTheOther) {
  Bytes buffer(1024);
  std::size_t used = 0;
  for (const char* text : {"first", "the second, longer than the first", "3"}) {
    const auto free = std::span<std::byte>(buffer).subspan(used);
    BatchBuilder builder(free, {});
    ASSERT_TRUE(builder.append(bytes_of(text)));
    used += builder.finish().size_bytes();
  }
  std::span<const std::byte> rest = std::span(buffer).first(used);
  std::vector<std::string> seen;
  while (!rest.empty()) {
    const auto batch = BatchView::parse(rest, kMax);
    ASSERT_TRUE(batch);
    seen.push_back(test::text_of(*batch->begin()));
    rest = rest.subspan(batch->size_bytes());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"first", "the second, longer than the first", "3"}));
}

TEST(BatchDeathTest, ProgrammerErrorsStopTheNode) {
  Bytes buffer(256);
  EXPECT_DEATH(BatchBuilder(buffer, {}).finish(), "entry_count_ > 0");
  EXPECT_DEATH(BatchBuilder(std::span(buffer).subspan(4), {}), "is_aligned");
  BatchBuilder builder(buffer, {});
  ASSERT_TRUE(builder.append({}));
  buffer.resize(builder.finish().size_bytes());
  EXPECT_DEATH(seal_batch(buffer, {.term = Term(0), .first_index = Index(1)}), "invariant");
  EXPECT_DEATH(seal_batch(buffer, {.term = Term(1), .first_index = Index(~0ull)}), "overflows");
  Bytes zeros(256);
  EXPECT_DEATH((void)BatchView::trusted(zeros), "kBatchMagic");
}

}  // namespace
}  // namespace sluice
