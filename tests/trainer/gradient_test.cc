// The fused learner's hand-written gradient against numerical differentiation of the loss in float64.
#include <gtest/gtest.h>

#include <cmath>
#include <ostream>

#include "tests/support/counter_env.h"
#include "tests/trainer/derivatives.h"
#include "tests/trainer/double_loss.h"
#include "tests/trainer/scene.h"

namespace rollmill {
namespace {

using testing::DoubleLoss;
using testing::ppo_loss;
using testing::Scene;
using testing::test_entry;

struct Case {
  const char* name;
  bool discrete;
  float value_clip, entropy;
  bool normalize;
  const EnvEntry* entry = nullptr;  // of another space
  PolicyChoices network = {.hidden = {5, 4}};
  float huber = 0;
  Objective objective = Objective::kPpo;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Gradient : public ::testing::TestWithParam<Case> {};

// From one step of Adam with empty moments and no clipping: m = (1 - beta1) g.
std::vector<double> fused_gradient(Scene& s, UpdateStats& stats) {
  s.options.epochs = s.options.minibatches = 1;
  s.options.max_grad_norm = 0;
  stats = s.learner()->update(s.rollout.buffer(), 0, 1e-3);
  std::vector<double> g;
  for (float m : s.optimizer.first)
    g.push_back(static_cast<double>(m) / (1 - static_cast<double>(s.options.adam_beta1)));
  return g;
}

bool is_padding(const MlpLayout& layout, std::size_t index) {
  const auto i = static_cast<std::int64_t>(index);
  for (const auto* net : {&layout.actor, &layout.critic}) {
    for (const DenseLayer& l : net->dense) {
      if (i >= l.weight && i < l.bias + l.width) return (i - l.weight) % l.width >= l.outputs;
    }
  }
  return !layout.has_log_std() || i - layout.log_std >= layout.shape.reals;
}

// Tolerance: central differences with h = 1e-5 are off by h^2 f''' ~ 1e-10 and 1e-16 / h = 1e-11; the float32 gradient sums
// 90 rows in float32 (90 * 2^-24 = 5e-6 of the largest element in the worst case, sqrt(90) * 2^-24 * a few in the
// usual one): 2e-6 of the largest element.
TEST_P(Gradient, EqualsNumericalDifferentiation) {
  const Case& c = GetParam();
  Scene s = c.entry == nullptr ? Scene(c.discrete, c.network, 9, 10)
                               : Scene(*c.entry, c.network, 9, 10);
  s.options.value_clip = c.value_clip;
  s.options.value_huber = c.huber;
  s.options.objective = c.objective;
  s.options.entropy_coefficient = c.entropy;
  s.options.normalize_advantages = c.normalize;
  std::vector<double> p(s.weights.params.begin(), s.weights.params.end());
  const RolloutBuffer& b = s.rollout.buffer();
  const PolicyWeights before = s.weights;
  UpdateStats stats;
  const std::vector<double> g = fused_gradient(s, stats);
  double largest = 0, worst = 0, norm = 0;
  for (double x : g) largest = std::max(largest, std::abs(x)), norm += x * x;
  ASSERT_GT(largest, 0.01);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!is_padding(s.weights.layout, i)) continue;
    ASSERT_EQ(g[i], 0) << "padding " << i;
    ASSERT_EQ(s.weights.params[i], 0) << "padding " << i;
  }
  const auto loss_at = [&](const std::vector<double>& at) {
    return ppo_loss(b, before, s.options, at).total;
  };
  for (const std::size_t i : testing::tested_parameters(p.size(), p.size())) {
    if (is_padding(s.weights.layout, i)) continue;
    worst = std::max(worst, std::abs(testing::central_difference(loss_at, p, i) - g[i]));
  }
  EXPECT_LT(worst, 2e-6 * largest);
  // And what the update reports. Tolerance as above, of numbers of size one.
  const DoubleLoss loss = ppo_loss(b, before, s.options, p);
  EXPECT_NEAR(stats.policy_loss, loss.policy, 2e-6);
  EXPECT_NEAR(stats.value_loss, loss.value, 2e-6);
  EXPECT_NEAR(stats.entropy, loss.entropy, 2e-6);
  EXPECT_NEAR(stats.approx_kl, loss.kl, 2e-6);
  EXPECT_NEAR(stats.clip_fraction, loss.clipped,
              1e-7);  // a count, over a number of rows that went through float32
  EXPECT_NEAR(stats.first_ratio_error, loss.ratio_error, 4e-6);
  EXPECT_NEAR(stats.explained_variance, loss.explained_variance, 1e-12);  // float64 in another order
  EXPECT_GT(std::abs(loss.explained_variance), 1e-3);  // is not nothing
  EXPECT_NEAR(stats.grad_norm, std::sqrt(norm), 1e-5 * std::sqrt(norm));
  EXPECT_EQ(stats.epochs, 1);
  if (c.objective != Objective::kPpo) return;
  // The scene takes the branches it is for.
  EXPECT_GT(loss.clipped, 0.2);
  EXPECT_LT(loss.clipped, 0.8);
}

INSTANTIATE_TEST_SUITE_P(
    Spaces, Gradient,
    ::testing::Values(
        Case{"MaskedChoices", true, 0, 0.1f, true, &test_entry<testing::ChoicesEnv>()},
        Case{"Mixed", true, 0, 0.1f, true, &test_entry<testing::MixedEnv>()},
        Case{"MixedStack", true, 0.3f, 0.1f, true, &test_entry<testing::MixedEnv>(), {{5, 4}, 3}},
        Case{"PlanesStack", true, 0, 0.1f, true, &test_entry<testing::PlanesEnv>(), {{5, 4}, 2}},
        Case{"Pixels", false, 0, 0, true, &test_entry<testing::PixelsEnv>()},
        Case{"Discrete", true, 0, 0.1f, true, &test_entry<testing::DiscreteEnv>()}),
    [](const auto& which) { return std::string(which.param.name); });

INSTANTIATE_TEST_SUITE_P(Losses, Gradient,
                         ::testing::Values(Case{"Discrete", true, 0, 0, false},
                                           Case{"DiscreteEntropy", true, 0, 0.1f, true},
                                           Case{"DiscreteValueClip", true, 0.3f, 0.02f, true},
                                           Case{"Continuous", false, 0, 0, false},
                                           Case{"ContinuousEntropy", false, 0, 0.1f, true},
                                           Case{"ContinuousValueClip", false, 0.3f, 0.02f, true}),
                         [](const auto& which) { return std::string(which.param.name); });

constexpr auto kRelu = Activation::kRelu;
constexpr auto kShared = Trunk::kShared;
constexpr auto kSquashed = RealDistribution::kSquashed;

INSTANTIATE_TEST_SUITE_P(
    Networks, Gradient,
    ::testing::Values(
        Case{"Relu", true, 0, 0.1f, true, nullptr, {{9, 8}, 1, kRelu}},
        Case{"Shared", true, 0.3f, 0.1f, true, nullptr, {{5, 4}, 1, Activation::kTanh, kShared}},
        Case{"Huber", true, 0, 0.1f, true, nullptr, {{5, 4}}, 0.3f},
        Case{"HuberClip", true, 0.3f, 0.1f, true, nullptr, {{5, 4}}, 0.3f},
        Case{"Squashed", false, 0, 0.1f, true, nullptr,
             {.hidden = {5, 4}, .distribution = kSquashed}},
        Case{"MixedSharedSquashedRelu", true, 0, 0.1f, true, &test_entry<testing::MixedEnv>(),
             {{9, 8}, 2, kRelu, kShared, kSquashed}}),
    [](const auto& which) { return std::string(which.param.name); });

constexpr auto kWeighted = Objective::kImitateWeighted;

INSTANTIATE_TEST_SUITE_P(
    Imitation, Gradient,
    ::testing::Values(
        Case{"Discrete", true, 0, 0.1f, false, nullptr, {{5, 4}}, 0, Objective::kImitate},
        Case{"DiscreteWeighted", true, 0, 0, false, nullptr, {{5, 4}}, 0, kWeighted},
        Case{"SharedWeighted", true, 0, 0, false, nullptr,
             {{5, 4}, 1, Activation::kTanh, kShared}, 0.3f, kWeighted},
        Case{"Continuous", false, 0, 0, false, nullptr, {{5, 4}}, 0, Objective::kImitate},
        Case{"SquashedWeighted", false, 0, 0, false, nullptr,
             {.hidden = {5, 4}, .distribution = kSquashed}, 0, kWeighted},
        Case{"MixedWeighted", true, 0, 0, false, &test_entry<testing::MixedEnv>(), {{5, 4}}, 0,
             kWeighted}),
    [](const auto& which) { return std::string(which.param.name); });

TEST(GradientClipping, ScalesToTheNormAndReportsTheUnclipped) {
  Scene plain(true, {5}, 8, 8), clipped(true, {5}, 8, 8), loose(true, {5}, 8, 8);
  UpdateStats stats;
  const auto g = fused_gradient(plain, stats);
  const double norm = stats.grad_norm, limit = 0.25 * norm;
  for (Scene* s : {&clipped, &loose}) {
    s->options.epochs = s->options.minibatches = 1;
    s->options.max_grad_norm = static_cast<float>(s == &clipped ? limit : 4 * norm);
    EXPECT_EQ(s->learner()->update(s->rollout.buffer(), 0, 1e-3).grad_norm, norm);
  }
  EXPECT_EQ(loose.optimizer.first, plain.optimizer.first);
  double clipped_norm = 0;
  for (std::size_t i = 0; i < g.size(); ++i) {
    const double m =
        static_cast<double>(clipped.optimizer.first[i]) / (1 - static_cast<double>(0.9f));
    clipped_norm += m * m;
    EXPECT_NEAR(m, 0.25 * g[i],
                1e-6 * norm);  // float32 rounding, and the 1e-6 that guards the division
  }
  EXPECT_NEAR(std::sqrt(clipped_norm), limit, 2e-6 * norm);
}

}  // namespace
}  // namespace rollmill
