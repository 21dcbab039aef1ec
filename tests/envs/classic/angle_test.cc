// wrap_angle against the C library's double-precision remainder, and what Acrobot shows of angles that cannot be wrapped.
#include "envs/classic/angle.h"

#include <gtest/gtest.h>

#include <cmath>

#include "envs/classic/acrobot.h"

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

// Speeds at the corners of their ranges, unbounded inside the Runge-Kutta step, make angles that wrap_angle cannot bring back.
TEST(AcrobotTest, ObservesUnitCirclesAtAnyAngle) {
  for (const float angle : {0.5f, 8193.0f, -5.35e8f, 1e12f, 3e38f}) {
    Acrobot::State state{angle, -angle, 1.0f, -1.0f};
    float o[6];
    Acrobot::observe(state, {}, Strided<float>{o, 1});
    for (int k = 0; k < 4; ++k) EXPECT_LE(std::abs(o[k]), 1.0f) << angle << ", element " << k;
    Rng rng(1, Purpose::kTest, 0, 0, 0);
    Acrobot::Params params;
    params.timestep = 0.5f;
    params.max_speed_1 = params.max_speed_2 = params.link_mass_2 = 100.0f;
    params.link_inertia = 0.01f;
    for (int step = 0; step < 1000; ++step) {
      Acrobot::step(state, params, step % 3, rng);
      Acrobot::observe(state, params, Strided<float>{o, 1});
      if (!math::is_finite(state.theta1) || !math::is_finite(state.theta2)) break;  // ends the episode
      for (int k = 0; k < 4; ++k) ASSERT_LE(std::abs(o[k]), 1.0f) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace rollmill
