#include "tools/text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tools/progress.h"
#include "tools/sizes.h"

namespace sluice::tools {
namespace {

TEST(Utf8, AcceptsWhatRfc3629Allows) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8(std::string_view("\0\x7f", 2)));
  EXPECT_TRUE(is_utf8("\xC2\x80 \xDF\xBF"));
  EXPECT_TRUE(is_utf8("\xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF"));
  EXPECT_TRUE(is_utf8("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"));
}

TEST(Utf8, RefusesTheRest) {
  for (const char* bytes :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC2", "\xE2\x82",
        "\xF0\x9F\x98", "\xC2\x41", "\xE2\x82\x41", "a\xFE"})
    EXPECT_FALSE(is_utf8(bytes)) << base64_encode(bytes);
}

// RFC 4648 section 10.
TEST(Base64, RfcVectors) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
}

TEST(Base64, EveryByteComesBack) {
  std::mt19937 random(4);
  for (std::size_t size = 0; size < 300; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random());
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
}

TEST(Base64, RefusesWhatNoEncoderWrites) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm9\n",
                           "====", "=m9v", "Z=9v", "Zm9v="})
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
}

TEST(Sizes, NumbersStandAlone) {
  EXPECT_EQ(parse_number("0"), 0u);
  EXPECT_EQ(parse_number("18446744073709551615"), ~std::uint64_t{0});
  for (const char* text : {"", "-1", "+1", "1.5", "1 ", " 1", "1k", "0x10", "18446744073709551616"})
    EXPECT_FALSE(parse_number(text).has_value()) << text;
}

TEST(Sizes, UnitsOfTwoAndOfTen) {
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("512B"), 512u);
  EXPECT_EQ(parse_size("64KiB"), 65'536u);
  EXPECT_EQ(parse_size("1 MiB"), 1u << 20);
  EXPECT_EQ(parse_size("2gib"), 2ull << 30);
  EXPECT_EQ(parse_size("5kB"), 5000u);
  EXPECT_EQ(parse_size("3MB"), 3'000'000u);
  for (const char* text :
       {"", "MiB", "1.5MiB", "1 Mi", "1KiBs", "-1KiB", "1  KiB", "18446744073709551615KiB", "KiB1"})
    EXPECT_FALSE(parse_size(text).has_value()) << text;
}

TEST(Sizes, WrittenExactly) {
  for (const std::uint64_t bytes : {1ull, 1000ull, 1024ull, 1025ull, 1ull << 20, 3ull << 30})
    EXPECT_EQ(parse_size(size_text(bytes)), bytes) << size_text(bytes);
  EXPECT_EQ(size_text(1u << 20), "1MiB");
  EXPECT_EQ(size_text(0), "0");
}

TEST(Progress, BarFillsFromTheLeft) {
  EXPECT_EQ(bar_text(0, 10, 10), "[..........]   0 %");
  EXPECT_EQ(bar_text(5, 10, 10), "[#####.....]  50 %");
  EXPECT_EQ(bar_text(20, 10, 10), "[##########] 100 %");
}

}  // namespace
}  // namespace sluice::tools
