#include "wire/batch.h"

#include <gtest/gtest.h>

#include <array>
#include <ranges>

namespace sluice {
namespace {

TEST(Batch, RoundTrip) {
  alignas(8) std::array<std::byte, 256> buffer;
  BatchBuilder builder(buffer, {.cluster = ClusterId(7), .group = GroupId(3)});
  const std::array<std::byte, 3> entry{std::byte{1}, std::byte{2}, std::byte{3}};
  ASSERT_TRUE(builder.append(entry));
  ASSERT_TRUE(builder.append({}));
  const BatchView built = builder.finish();
  const auto parsed = BatchView::parse(built.bytes(), 256);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->entry_count(), 2u);
  EXPECT_EQ(std::ranges::distance(parsed->begin(), parsed->end()), 2);
  seal_batch(std::span(buffer).first(built.size_bytes()),
             {.term = Term(2), .first_index = Index(5)});
  ASSERT_TRUE(BatchView::parse_sealed(built.bytes(), 256));
}

}  // namespace
}  // namespace sluice
