// core/math/basic.h: exact functions, so every result is compared bit for bit with the C library.
#include "core/math/basic.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>

#include "tests/core/math/ulp.h"

namespace rollmill {
namespace {

TEST(MathBasic, RoundingAgreesWithTheCLibrary) {
  ASSERT_EQ(std::fegetround(), FE_TONEAREST);
  const auto same = [](float a, float b) {
    return math::to_bits(a) == math::to_bits(b) || (std::isnan(a) && std::isnan(b));
  };
  for (std::uint64_t u = 0; u <= 0xffffffffu; u += 4093) {
    const float x = math::from_bits(static_cast<std::uint32_t>(u));
    ASSERT_TRUE(same(math::floor(x), std::floor(x))) << x;
    ASSERT_TRUE(same(math::ceil(x), std::ceil(x))) << x;
    ASSERT_TRUE(same(math::trunc(x), std::trunc(x))) << x;
    ASSERT_TRUE(same(math::round_to_even(x), std::nearbyint(x))) << x;
    ASSERT_TRUE(same(math::abs(x), std::fabs(x))) << x;
    ASSERT_EQ(math::is_nan(x), std::isnan(x));
    ASSERT_EQ(math::is_finite(x), std::isfinite(x));
    ASSERT_EQ(math::sign_bit(x), std::signbit(x));
  }
  for (int i = -4000; i <= 4000; ++i) {  // the halves and what lies next to them
    for (const float toward : {-1e9f, 0.25f * static_cast<float>(i), 1e9f}) {
      const float x = std::nextafter(0.25f * static_cast<float>(i), toward);
      ASSERT_TRUE(same(math::floor(x), std::floor(x))) << x;
      ASSERT_TRUE(same(math::ceil(x), std::ceil(x))) << x;
      ASSERT_TRUE(same(math::trunc(x), std::trunc(x))) << x;
      ASSERT_TRUE(same(math::round_to_even(x), std::nearbyint(x))) << x;
    }
  }
}

TEST(MathBasic, IntegersSaturate) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(math::floor_to_int(-0.5f), -1);
  EXPECT_EQ(math::floor_to_int(2.75f), 2);
  EXPECT_EQ(math::trunc_to_int(-2.75f), -2);
  EXPECT_EQ(math::round_to_int(2.5f), 2);
  EXPECT_EQ(math::round_to_int(3.5f), 4);
  EXPECT_EQ(math::round_to_int(-1e6f), -1000000);
  EXPECT_EQ(math::trunc_to_int(2147483520.0f), 2147483520);
  EXPECT_EQ(math::trunc_to_int(2147483648.0f), std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(math::round_to_int(inf), std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(math::floor_to_int(-inf), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(math::floor_to_int(math::kNan), 0);
}

TEST(MathBasic, MinMaxClamp) {
  EXPECT_EQ(math::min(1.0f, 2.0f), 1.0f);
  EXPECT_EQ(math::max(1.0f, 2.0f), 2.0f);
  EXPECT_EQ(math::max(-3, 4), 4);
  EXPECT_EQ(math::clamp(7, -1, 5), 5);
  EXPECT_EQ(math::clamp(-7.0f, -1.0f, 5.0f), -1.0f);
  EXPECT_EQ(math::clamp(0.5f, -1.0f, 5.0f), 0.5f);
  EXPECT_TRUE(std::isnan(math::clamp(math::kNan, -1.0f, 5.0f)));
  EXPECT_TRUE(std::signbit(math::min(-0.0f, 0.0f)));
  EXPECT_EQ(math::copy_sign(2.0f, -0.0f), -2.0f);
}

}  // namespace
}  // namespace rollmill
