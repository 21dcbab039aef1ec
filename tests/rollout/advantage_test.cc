// Advantages against hand arithmetic and against NumPy (tests/oracle/make_gae.py).
#include "rollout/advantage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "rollout/column_kernels.h"
#include "tests/oracle/fixtures/fixture.h"

namespace rollmill {
namespace {

EnvSpec one_number() {
  EnvSpec spec;
  spec.observation.resize(1);
  spec.observed = {ObservationKind::kReal, {1}, {}, 1, 1};
  spec.action.resize(1);
  spec.choices = {2};
  return spec;
}

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// gamma = 1/2, lambda = 1/2, so gamma lambda = 1/4; every number below is exact in float32.
//
//            t        0     1     2          V(3)
// env 0: running; r = 1     2     4     V = 8  4  2 | 16      nothing ends
//   delta2 = 4 + 8 - 2 = 10;  delta1 = 2 + 1 - 4 = -1;  delta0 = 1 + 2 - 8 = -5
//   A2 = 10; A1 = -1 + 10/4 = 1.5; A0 = -5 + 1.5/4 = -4.625
// env 1: the same numbers, terminated at t = 1: V(s2) belongs to another episode
//   A2 = 10; A1 = delta1 = 2 - 4 = -2; A0 = -5 + -2/4 = -5.5
// env 2: the same numbers, truncated at t = 1 with V(final observation) = 12
//   A2 = 10; A1 = 2 + 6 - 4 = 4; A0 = -5 + 4/4 = -4
// env 3: truncated at t = 2 (V(final) = 20), terminated at t = 0
//   A2 = 4 + 10 - 2 = 12; A1 = -1 + 12/4 = 2; A0 = 1 - 8 = -7
TEST(Advantage, HandComputedEnds) {
  const HostRollout rollout(one_number(), 3, 4);
  const RolloutBuffer& b = rollout.buffer();
  const float rewards[] = {1, 2, 4}, values[] = {8, 4, 2, 16};
  for (int i = 0; i < 4; ++i) {
    for (int t = 0; t < 3; ++t) {
      b.rewards[t * b.stride + i] = rewards[t];
      b.final_values[t * b.stride + i] =
          NAN;  // to be read where an episode was truncated, nowhere else
      b.advantages[t * b.stride + i] = b.returns[t * b.stride + i] = NAN;
    }
    for (int t = 0; t < 4; ++t) b.values[t * b.stride + i] = values[t];
  }
  b.ends[1 * b.stride + 1] = kTerminated;
  b.ends[1 * b.stride + 2] = kTruncated;
  b.final_values[1 * b.stride + 2] = 12;
  b.ends[2 * b.stride + 3] = kTruncated;
  b.final_values[2 * b.stride + 3] = 20;
  b.ends[0 * b.stride + 3] = kTerminated;
  compute_gae(b, {0.5f, 0.5f, 1.0f}, 0, 4);
  const float expected[4][3] = {{-4.625f, 1.5f, 10}, {-5.5f, -2, 10}, {-4, 4, 10}, {-7, 2, 12}};
  for (int i = 0; i < 4; ++i) {
    for (int t = 0; t < 3; ++t) {
      EXPECT_EQ(b.advantages[t * b.stride + i], expected[i][t])
          << "environment " << i << " step " << t;
      EXPECT_EQ(b.returns[t * b.stride + i], expected[i][t] + values[t])
          << "environment " << i << " step " << t;
    }
  }
}

TEST(Advantage, ClipsTheScaledReward) {
  const HostRollout clipped(one_number(), 2, 3), given(one_number(), 2, 3);
  const float rewards[] = {-9, 0.25f, 9}, seen[] = {-1.5f, 0.125f, 1.5f};
  for (const HostRollout* rollout : {&clipped, &given}) {
    const RolloutBuffer& b = rollout->buffer();
    for (int i = 0; i < 3; ++i) {
      for (int t = 0; t < 2; ++t) {
        b.rewards[t * b.stride + i] = rollout == &clipped ? rewards[i] : seen[i];
        b.values[t * b.stride + i] = 1;
      }
      b.values[2 * b.stride + i] = 1;
    }
    compute_gae(b, {0.5f, 0.5f, rollout == &clipped ? 0.5f : 1.0f, rollout == &clipped ? 1.5f : 99.0f}, 0, 3);
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(clipped.buffer().advantages[i], given.buffer().advantages[i]) << i;
}

struct NumpyRollout {
  testing::Fixture fixture{"gae.txt"};
  int horizon = static_cast<int>(fixture.at("shape")[0]),
      envs = static_cast<int>(fixture.at("shape")[1]);
  HostRollout rollout{one_number(), horizon, envs};

  NumpyRollout() {
    const RolloutBuffer& b = rollout.buffer();
    const auto copy = [&](const std::string& name, float* to, int steps) {
      const auto from = fixture.floats(name);
      for (int t = 0; t < steps; ++t) std::copy_n(&from[at(t * envs)], envs, to + t * b.stride);
    };
    copy("rewards", b.rewards, horizon);
    copy("values", b.values, horizon + 1);
    copy("finals", b.final_values, horizon);
    for (int t = 0; t < horizon; ++t) {
      for (int i = 0; i < envs; ++i) {
        b.ends[t * b.stride + i] = static_cast<std::uint8_t>(fixture.at("ends")[at(t * envs + i)]);
      }
    }
  }
};

// Tolerance: a float32 step rounds five times at the size of its terms (below M = 16: |reward| <= 4 scaled by 2, values
// <= 12), and the recursion adds up at most T = 24 of such errors: 24 * 5 * 16 * 2^-24 = 1.2e-4 for gamma lambda = 1.
TEST(Advantage, EqualsNumpy) {
  NumpyRollout n;
  const RolloutBuffer& b = n.rollout.buffer();
  const auto settings = n.fixture.floats("settings");
  ASSERT_EQ(settings.size(), 12u);
  for (std::size_t s = 0; s < 4; ++s) {
    const float gamma = settings[3 * s], lambda = settings[3 * s + 1], scale = settings[3 * s + 2];
    compute_gae(b, {gamma, lambda, scale}, 0, n.envs);
    const auto& expected = n.fixture.at("advantages" + std::to_string(s));
    double worst = 0;
    for (int t = 0; t < n.horizon; ++t) {
      for (int i = 0; i < n.envs; ++i) {
        const std::int64_t k = t * b.stride + i;
        const double a = expected[at(t * n.envs + i)];
        worst = std::max(worst, std::abs(static_cast<double>(b.advantages[k]) - a));
        EXPECT_EQ(b.returns[k], b.advantages[k] + b.values[k]);
      }
    }
    EXPECT_LT(worst, 1.2e-4) << "gamma " << gamma << " lambda " << lambda;
    EXPECT_GT(worst, 0) << "float32 cannot equal float64 everywhere: is this the product's result?";
  }
}

TEST(Advantage, PiecesEqualTheWhole) {
  NumpyRollout n;
  const RolloutBuffer& b = n.rollout.buffer();
  const std::size_t bytes = at(n.horizon * b.stride) * sizeof(float);
  compute_gae(b, {0.99f, 0.95f, 1.0f}, 0, n.envs);
  std::vector<float> whole(b.advantages, b.advantages + n.horizon * b.stride);
  for (int cut = 0; cut <= n.envs; ++cut) {
    std::fill_n(b.advantages, n.horizon * b.stride, 0.0f);
    compute_gae(b, {0.99f, 0.95f, 1.0f}, cut, n.envs);
    compute_gae(b, {0.99f, 0.95f, 1.0f}, 0, cut);
    EXPECT_EQ(std::memcmp(b.advantages, whole.data(), bytes), 0) << "cut at " << cut;
  }
  // Nothing outside the range is written.
  std::fill_n(b.advantages, n.horizon * b.stride, -7.0f);
  compute_gae(b, {0.99f, 0.95f, 1.0f}, 5, 6);
  for (int t = 0; t < n.horizon; ++t) {
    for (int i = 0; i < n.envs; ++i) EXPECT_EQ(b.advantages[t * b.stride + i] == -7.0f, i != 5);
  }
}

// More environments than one chunk of the implementation, and the one-element text that the GPU uses.
TEST(Advantage, ManyEnvironmentsEqualTheElementwiseText) {
  const int envs = 700, horizon = 5;
  const HostRollout rollout(one_number(), horizon, envs);
  const RolloutBuffer& b = rollout.buffer();
  for (std::int64_t k = 0; k < (horizon + 1) * b.stride; ++k) {
    const float x = static_cast<float>((k * 2654435761) % 1000) / 250.0f - 2.0f;
    b.values[k] = x;
    if (k >= horizon * b.stride) continue;
    b.rewards[k] = 1.0f - x * x;
    b.final_values[k] = 3.0f * x;
    b.ends[k] = static_cast<std::uint8_t>(k % 7 == 0    ? kTerminated
                                          : k % 11 == 0 ? kTruncated
                                                        : kRunning);
  }
  compute_gae(b, {0.97f, 0.9f, 0.5f}, 0, envs);
  for (int i = 0; i < envs; ++i) {
    float carry = 0;
    for (int t = horizon - 1; t >= 0; --t) {
      const std::int64_t k = t * b.stride + i;
      carry = gae_element(b.ends[k], 0.5f * b.rewards[k], b.values[k], b.values[k + b.stride],
                          b.final_values[k], 0.97f, 0.9f, carry);
      ASSERT_EQ(b.advantages[k], carry) << "environment " << i << " step " << t;
    }
  }
}

}  // namespace
}  // namespace rollmill
