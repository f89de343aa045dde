#include "segments/names.h"

#include <gtest/gtest.h>

namespace sluice::segments {
namespace {

TEST(Names, RoundTrip) {
  EXPECT_EQ(segment_name(Epoch(42)), "000000000000002a.segment");
  EXPECT_EQ(spare_name(7), "spare-7");
  EXPECT_EQ(unfinished_spare_name(7), "spare-7.tmp");
  for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{0xabcdef}, ~std::uint64_t{0}}) {
    EXPECT_EQ(parse_segment_name(segment_name(Epoch(n))), Epoch(n));
    EXPECT_EQ(parse_spare_name(spare_name(n)), n);
    EXPECT_EQ(parse_unfinished_spare_name(unfinished_spare_name(n)), n);
  }
}

// S41: what is not exactly a name of ours belongs to somebody else.
TEST(Names, S41_NothingElseIsRecognised) {
  for (const char* name :
       {"", "segment", ".segment", "2a.segment", "000000000000002A.segment",
        "000000000000002a.segmentx", "000000000000002a.segment ", "x00000000000002a.segment",
        "-00000000000002a.segment", "0000000000000000.segment", "spare-", "spare-07", "spare--1",
        "spare-+1", "spare- 1", "spare-1.tmp.tmp", "spare-1x", "spare-99999999999999999999",
        "Spare-1"}) {
    EXPECT_FALSE(parse_segment_name(name)) << name;
    EXPECT_FALSE(parse_spare_name(name)) << name;
    EXPECT_FALSE(parse_unfinished_spare_name(name)) << name;
  }
  EXPECT_FALSE(parse_spare_name("spare-1.tmp"));
  EXPECT_FALSE(parse_unfinished_spare_name("spare-1"));
}

}  // namespace
}  // namespace sluice::segments
