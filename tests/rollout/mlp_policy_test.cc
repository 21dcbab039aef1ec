// The policy as a whole: its actions belong to (environment, episode, step) alone, and follow its distribution.
#include "rollout/mlp/mlp_policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/rollout/acting.h"

namespace rollmill {
namespace {

using testing::act_spec;
using testing::Acted;

class MlpPolicyTest : public ::testing::TestWithParam<bool> {
 protected:
  MlpPolicyTest() : spec(act_spec(GetParam())), weights(shape_for(spec, {20, 33})) {
    testing::rough_weights(weights, true);
  }
  // Row i of `a` equals row j of `b` in every output.
  void expect_same(const Acted& a, int i, const Acted& b, int j) {
    const auto bits = [](float x) { return __builtin_bit_cast(std::uint32_t, x); };
    ASSERT_EQ(bits(a.logprobs[at(i)]), bits(b.logprobs[at(j)]));
    ASSERT_EQ(bits(a.values[at(i)]), bits(b.values[at(j)]));
    for (int k = 0; k < spec.action_size(); ++k) {
      ASSERT_EQ(a.actions[at(k * a.stride + i)], b.actions[at(k * b.stride + j)]);
      ASSERT_EQ(bits(a.raw[at(k * a.stride + i)]),
                bits(b.raw[at(k * b.stride + j)]));  // discrete: untouched
    }
  }
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  EnvSpec spec;
  PolicyWeights weights;
};

TEST_P(MlpPolicyTest, ActionsDoNotDependOnRangeBatchOrStride) {
  for (bool greedy : {false, true}) {
    const MlpPolicy policy(spec, weights, 77, greedy);
    Acted whole(spec, 150);
    policy.act(whole.request(0, 150));
    Acted pieces(spec, 150, 0, 64);
    for (int at = 0, step = 1; at < 150; at += step, step = step * 2 + 1) {
      policy.act(pieces.request(at, std::min(at + step, 150)));
    }
    for (int i = 0; i < 150; ++i) {
      expect_same(whole, i, pieces, i);
      Acted alone(spec, 1, i);
      policy.act(alone.request(0, 1));
      expect_same(whole, i, alone, 0);
    }
    Acted later(spec, 60, 90);
    policy.act(later.request(0, 60));
    for (int i = 0; i < 60; ++i) expect_same(whole, 90 + i, later, i);
  }
}

TEST_P(MlpPolicyTest, ARangeWritesNothingOutsideAndNullOutputsAreLeftOut) {
  const MlpPolicy policy(spec, weights, 77, false);
  Acted a(spec, 50);
  std::fill(a.logprobs.begin(), a.logprobs.end(), -9.0f);
  policy.act(a.request(10, 20));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(a.logprobs[at(i)] == -9.0f, i < 10 || i >= 20);
  Acted full(spec, 50), bare(spec, 50);
  policy.act(full.request(0, 50));
  ActRequest q = bare.request(0, 50);
  q.raw_actions = q.logprobs = q.values = nullptr;
  policy.act(q);
  EXPECT_EQ(full.actions, bare.actions);
}

TEST_P(MlpPolicyTest, ValueIsTheActorsValue) {
  const MlpPolicy policy(spec, weights, 77, false);
  Acted a(spec, 101);
  policy.act(a.request(0, 101));
  std::vector<float> values(101);
  policy.value({a.observations.data(), a.stride}, 0, 40, values.data());
  policy.value({a.observations.data(), a.stride}, 40, 101, values.data());
  EXPECT_EQ(std::memcmp(values.data(), a.values.data(), 101 * 4), 0);
}

TEST_P(MlpPolicyTest, SeedStepAndEpisodeChangeTheDraw) {
  const MlpPolicy one(spec, weights, 1, false), two(spec, weights, 2, false);
  Acted a(spec, 96), b(spec, 96), c(spec, 96), d(spec, 96);
  for (auto& s : c.step) s += 1;
  for (auto& e : d.episode) e += 1;
  one.act(a.request(0, 96));
  two.act(b.request(0, 96));
  one.act(c.request(0, 96));
  one.act(d.request(0, 96));
  EXPECT_NE(a.actions, b.actions);
  EXPECT_NE(a.actions, c.actions);
  EXPECT_NE(a.actions, d.actions);
  EXPECT_EQ(a.values, c.values);
}

TEST_P(MlpPolicyTest, HashNamesWeightsNormaliserAndMode) {
  const std::string hash = MlpPolicy(spec, weights, 1, false).hash();
  EXPECT_EQ(hash, MlpPolicy(spec, weights, 2, false).hash());
  EXPECT_NE(hash, MlpPolicy(spec, weights, 1, true).hash());
  auto moments = weights.normalizer.moments();
  moments[0].mean += 0.25;
  weights.normalizer.set_moments(moments);
  const std::string other = MlpPolicy(spec, weights, 1, false).hash();
  EXPECT_NE(hash, other);
  weights.params[0] += 1.0f;
  EXPECT_NE(MlpPolicy(spec, weights, 1, false).hash(), other);
}

INSTANTIATE_TEST_SUITE_P(Actions, MlpPolicyTest, ::testing::Values(true, false),
                         [](const auto& kind) { return kind.param ? "Discrete" : "Continuous"; });

// One state, many environments: the policy's own log-probabilities are the probabilities of what it does.
TEST(MlpPolicy, DiscreteFrequenciesMatchItsLogprobs) {
  const EnvSpec spec = act_spec(true);
  PolicyWeights weights(shape_for(spec, {16}));
  testing::rough_weights(weights, false);
  for (int j = 0; j < 3; ++j)
    weights.params[static_cast<std::size_t>(weights.layout.actor.head().bias + j)] = 0.4f * j;
  const MlpPolicy policy(spec, weights, 5, false);
  const int n = 60000;
  Acted a(spec, n);
  for (int k = 0; k < 5; ++k)
    std::fill_n(&a.observations[static_cast<std::size_t>(k * a.stride)], n, 0.1f * k);
  policy.act(a.request(0, n));
  double seen[3] = {}, p[3] = {};
  for (int i = 0; i < n; ++i) {
    const auto action = a.actions[static_cast<std::size_t>(i)];
    ASSERT_LT(action, 3u);
    ++seen[action];
    p[action] = std::exp(static_cast<double>(a.logprobs[static_cast<std::size_t>(i)]));
  }
  EXPECT_NEAR(p[0] + p[1] + p[2], 1.0, 1e-5);
  double chi2 = 0;
  for (int k = 0; k < 3; ++k) chi2 += (seen[k] - n * p[k]) * (seen[k] - n * p[k]) / (n * p[k]);
  EXPECT_LT(chi2, 18.4);  // 2 degrees of freedom: probability 1e-4; the seed is fixed
}

// Greedy gives the mean; samples have that mean, the policy's deviation, and no correlation between dimensions.
TEST(MlpPolicy, GaussianSamplesHaveItsMoments) {
  const EnvSpec spec = act_spec(false);
  PolicyWeights weights(shape_for(spec, {16}));
  testing::rough_weights(weights, false);
  weights.params[static_cast<std::size_t>(weights.layout.log_std + 1)] = -1.5f;
  const int n = 40000;
  Acted a(spec, n), mode(spec, n);
  MlpPolicy(spec, weights, 5, false).act(a.request(0, n));
  MlpPolicy(spec, weights, 5, true).act(mode.request(0, n));
  double cross = 0, mean[2] = {}, square[2] = {};
  for (int i = 0; i < n; ++i) {
    double z[2];
    for (int k = 0; k < 2; ++k) {
      const auto at = static_cast<std::size_t>(k * a.stride + i);
      const double std = std::exp(static_cast<double>(
          weights.params[static_cast<std::size_t>(weights.layout.log_std + k)]));
      z[k] = (static_cast<double>(a.raw[at]) - mode.raw[at]) / std;
      mean[k] += z[k] / n;
      square[k] += z[k] * z[k] / n;
      // From the sample to the bounds [-2, 2] and [0, 10].
      const float low = k == 0 ? -2.0f : 0.0f, high = k == 0 ? 2.0f : 10.0f;
      const float action = __builtin_bit_cast(float, a.actions[at]);
      const double wanted =
          0.5 * (low + high) + 0.5 * (high - low) * static_cast<double>(a.raw[at]);
      ASSERT_NEAR(action, std::min(std::max(wanted, double{low}), double{high}),
                  2e-6 * (1 + std::abs(wanted)));
    }
    cross += z[0] * z[1] / n;
  }
  const double five_sigma = 5 / std::sqrt(n);
  EXPECT_NEAR(cross, 0, five_sigma);
  for (int k = 0; k < 2; ++k) {
    EXPECT_NEAR(mean[k], 0, five_sigma);
    EXPECT_NEAR(square[k], 1, five_sigma * std::sqrt(2.0));
  }
}

TEST(RandomPolicy, IsUniformWithinItsBounds) {
  const int n = 30000;
  for (bool discrete : {true, false}) {
    const EnvSpec spec = act_spec(discrete);
    const RandomPolicy policy(spec, 3);
    Acted a(spec, n), piece(spec, n);
    policy.act(a.request(0, n));
    policy.act(piece.request(7, n));
    policy.act(piece.request(0, 7));
    EXPECT_EQ(a.actions, piece.actions);
    double seen[10] = {};
    const int bins = discrete ? 3 : 10;
    for (int i = 0; i < n; ++i) {
      const auto at =
          static_cast<std::size_t>(discrete ? i : a.stride + i);  // the [0, 10] dimension
      const float x =
          discrete ? static_cast<float>(a.actions[at]) : __builtin_bit_cast(float, a.actions[at]);
      ASSERT_GE(x, 0.0f);
      ASSERT_LT(x, static_cast<float>(bins));
      ++seen[static_cast<int>(x)];
      ASSERT_NEAR(a.logprobs[static_cast<std::size_t>(i)],
                  discrete ? -std::log(3.0) : -std::log(4.0 * 10.0), 1e-6);
    }
    double chi2 = 0;
    for (int k = 0; k < bins; ++k) chi2 += (seen[k] - n / bins) * (seen[k] - n / bins) / (n / bins);
    EXPECT_LT(chi2, discrete
                        ? 18.4
                        : 33.7);  // 2 and 9 degrees of freedom: probability 1e-4; the seed is fixed
  }
}

}  // namespace
}  // namespace rollmill
