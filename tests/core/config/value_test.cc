#include "core/config/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

namespace rollmill {
namespace {

TEST(ToToml, FloatsRoundTripBitForBitThroughStrtod) {
  std::mt19937_64 random(7);
  int finite = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = random();
    double x;
    std::memcpy(&x, &bits, sizeof x);
    if (!std::isfinite(x)) continue;
    ++finite;
    const std::string text = to_toml({x});
    const double back = std::strtod(text.c_str(), nullptr);
    ASSERT_EQ(std::memcmp(&x, &back, sizeof x), 0) << text;
    ASSERT_NE(text.find_first_of(".e"), std::string::npos)
        << text << " would read back as an integer";
  }
  EXPECT_GT(finite, 19000);
}

TEST(ToToml, KnownTexts) {
  EXPECT_EQ(to_toml({0.1}), "0.1");
  EXPECT_EQ(to_toml({3.0}), "3.0");
  EXPECT_EQ(to_toml({-0.0}), "-0.0");
  EXPECT_EQ(to_toml({3e-4}), "3e-04");
  EXPECT_EQ(to_toml({1e300}), "1e+300");
  EXPECT_EQ(to_toml({std::numeric_limits<std::int64_t>::min()}), "-9223372036854775808");
  EXPECT_EQ(to_toml({true}), "true");
  EXPECT_EQ(to_toml({std::string("a\"b\\c\n\x01\x7f\xc3\xa9")}),
            "\"a\\\"b\\\\c\\n\\u0001\\u007F\xc3\xa9\"");
  EXPECT_EQ(to_toml({std::vector<ConfigValue>{{std::int64_t{1}}, {0.5}}}), "[1, 0.5]");
  EXPECT_EQ(to_toml({std::vector<ConfigValue>{}}), "[]");
}

// The boundary cases of table 3-7 of the Unicode standard.
TEST(Utf8, AcceptsExactlyWellFormedText) {
  for (const char* good :
       {"", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(find_invalid_utf8(good), std::string::npos) << good;
  }
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    EXPECT_EQ(find_invalid_utf8(std::string("ok") + bad), 2u);
  }
}

TEST(OneLine, KeepsMessagesOnOneLine) {
  EXPECT_EQ(one_line("a\nb\tc\x1b[31m\xff"), "a b c?[31m?");
  EXPECT_EQ(one_line("abcdef", 4), "abcd...");
  EXPECT_EQ(one_line("ab\xc3\xa9", 3), "ab...");  // never half a character
}

}  // namespace
}  // namespace rollmill
