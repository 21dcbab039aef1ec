// What `bench` says besides speed: memory of an environment, and that actions drawn ahead are the policy's range.
#include "evaluation/speed.h"

#include <gtest/gtest.h>

#include <vector>

#include "envs/registry.h"
#include "evaluation/roofline.h"
#include "evaluation/step_memory.h"

namespace rollmill {
namespace {

// By hand: x, x_dot, theta, theta_dot in the state and again in the observation, action, reward: 10 words; end: 1 byte.
TEST(Speed, CartPoleTakesAtMostTwiceItsFields) {
  SpeedJob job;
  job.env_id = "CartPole-v1";
  job.num_envs = 100000;
  job.seconds = 0.001;
  job.env_only = true;
  const SpeedFigures f = measure_speed(job);
  EXPECT_EQ(f.field_bytes, 41);
  EXPECT_GE(f.bytes_per_environment, f.field_bytes);
  EXPECT_LE(f.bytes_per_environment, 2 * f.field_bytes);
}

TEST(Speed, ActionsDrawnAheadAreUniformOverTheChoices) {
  const EnvSpec spec = find_env("Acrobot-v1").spec();
  constexpr int kCount = 500, kStride = 600, kBegin = 60;
  const ActionTable table(spec, kCount, 1);
  std::vector<std::int32_t> actions(kStride, -1);
  std::vector<int> seen(3);
  for (int row = 0; row < ActionTable::kRows; ++row) {
    table.copy(row, actions.data(), kStride, kBegin, kBegin + kCount);
    for (int i = 0; i < kStride; ++i) {
      if (i < kBegin || i >= kBegin + kCount) {
        EXPECT_EQ(actions[static_cast<std::size_t>(i)], -1);
      } else {
        ++seen.at(static_cast<std::size_t>(actions[static_cast<std::size_t>(i)]));
      }
    }
  }
  // 32,000 draws: a third of them has a standard deviation of 84; five of those.
  for (const int count : seen) EXPECT_NEAR(count, 32000 / 3.0, 5 * 84);
}

// By hand: 4 x 64 + 64 x 64 + 64 x 2 multiply-adds for the actor, x 1 at the end for the critic; backward each of them once for the
// weights, once more for what is not the first layer.
TEST(Roofline, CountsTheArithmetic) {
  const Roofline r = measure_roofline(shape_for(find_env("CartPole-v1").spec(), {64, 64}), 1, 0.05);
  EXPECT_EQ(r.flops, 2 * (4 * 64 + 64 * 64 + 64 * 2 + 4 * 64 + 64 * 64 + 64 * 1));
  EXPECT_EQ(r.backward_flops, 2 * r.flops - 2 * 2 * (4 * 64));
  // How far below the peak the forward pass is, is a benchmark's business: they are timed one after the other, on a
  // machine that may be doing other things in one of the moments.
  EXPECT_GT(r.forward, 0);
  EXPECT_GT(r.both, 0);
  EXPECT_GT(r.peak, 0);
  EXPECT_LT(r.allowed(1e6), 1e6);
}

}  // namespace
}  // namespace rollmill
