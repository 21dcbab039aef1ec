// wrap_angle against the C library's double-precision remainder.
#include "envs/classic/angle.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rollmill {
namespace {

constexpr double kTurn = 6.283185307179586476925286766559;

TEST(WrapAngleTest, IsTheSameAngleWithinHalfATurn) {
  for (int i = -2000000; i <= 2000000; ++i) {
    const float x = static_cast<float>(i) * 5e-4f;
    const float wrapped = wrap_angle(x);
    const double allowed = std::max(std::abs(static_cast<double>(x)), M_PI) * 0x1p-23;
    ASSERT_LE(std::abs(std::remainder(static_cast<double>(wrapped) - x, kTurn)), allowed) << x;
    ASSERT_LE(std::abs(wrapped), M_PI + allowed) << x;
  }
}

// An angle within the turn keeps its bits, so a state that is not wrapped loses nothing.
TEST(WrapAngleTest, LeavesAnglesWithinTheTurnAlone) {
  for (int i = -3141592; i <= 3141592; ++i) {
    const float x = static_cast<float>(i) * 1e-6f;
    ASSERT_EQ(math::to_bits(wrap_angle(x)), math::to_bits(x)) << x;
  }
  EXPECT_EQ(wrap_angle(math::kPi), math::kPi);
  EXPECT_EQ(wrap_angle(-math::kPi), -math::kPi);
}

}  // namespace
}  // namespace rollmill
