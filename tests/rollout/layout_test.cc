// Where parameters lie, and how they start.
#include "rollout/mlp/layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "rollout/mlp/mlp_policy.h"
#include "tests/support/shapes.h"

namespace rollmill {
namespace {

using testing::plain_shape;

TEST(Layout, ParameterCounts) {
  // Worked out by hand: actor 4*64+64 + 64*64+64 + 64*2+2 = 4610, critic 4*64+64 + 64*64+64 + 64*1+1 = 4545.
  EXPECT_EQ(MlpLayout(plain_shape(4, true, 2, {64, 64})).parameter_count(), 4610 + 4545);
  // No hidden layer of two: actor 3*8+8 + 8*1+1 = 41, critic 41, one log standard deviation.
  EXPECT_EQ(MlpLayout(plain_shape(3, false, 1, {8})).parameter_count(), 41 + 41 + 1);
}

TEST(Layout, PiecesDoNotOverlapAndFillTheArray) {
  for (const PolicyShape& shape :
       {plain_shape(4, true, 2, {64, 64}), plain_shape(17, false, 6, {100, 3, 40}),
        plain_shape(1, true, 33, {1})}) {
    const MlpLayout layout(shape);
    std::vector<int> owners(static_cast<std::size_t>(layout.size));
    const auto own = [&](std::int64_t from, std::int64_t count) {
      EXPECT_EQ(from % 16, 0);  // rows of weights start at whole vectors
      for (std::int64_t i = 0; i < count; ++i) ++owners.at(static_cast<std::size_t>(from + i));
    };
    for (const auto* net : {&layout.actor, &layout.critic}) {
      int inputs = shape.observations();
      for (const DenseLayer& layer : net->dense) {
        EXPECT_EQ(layer.inputs, inputs);
        EXPECT_EQ(layer.width, (layer.outputs + 15) / 16 * 16);
        own(layer.weight, std::int64_t{layer.inputs} * layer.width);
        own(layer.bias, layer.width);
        inputs = layer.outputs;
      }
    }
    EXPECT_EQ(layout.actor.head().outputs, shape.outputs());
    EXPECT_EQ(layout.critic.head().outputs, 1);
    if (shape.reals > 0) own(layout.log_std, pad16(shape.reals));
    for (int count : owners) ASSERT_EQ(count, 1);
  }
}

// Gain of each layer, from W^T W (or W W^T for layers that widen) = gain^2 I. Tolerance: weights are rounded to float32
// (2^-25 of a weight below gain), and up to 64 products are summed: 64 * 2 * 2^-25 * gain^2 < 4e-6 gain^2.
void expect_orthogonal(const PolicyWeights& w, const DenseLayer& layer, double gain) {
  const bool by_outputs = layer.outputs <= layer.inputs;
  const int vectors = by_outputs ? layer.outputs : layer.inputs,
            length = by_outputs ? layer.inputs : layer.outputs;
  const auto element = [&](int vector, int k) {
    const int i = by_outputs ? k : vector, o = by_outputs ? vector : k;
    return static_cast<double>(
        w.params[static_cast<std::size_t>(layer.weight + i * layer.width + o)]);
  };
  for (int a = 0; a < vectors; ++a) {
    for (int b = 0; b <= a; ++b) {
      double dot = 0;
      for (int k = 0; k < length; ++k) dot += element(a, k) * element(b, k);
      ASSERT_NEAR(dot, a == b ? gain * gain : 0.0, 4e-6 * gain * gain)
          << "vectors " << a << ", " << b;
    }
  }
}

TEST(InitialWeights, AreOrthogonalWithPpoGains) {
  for (const PolicyShape& shape :
       {plain_shape(4, true, 2, {64, 64}), plain_shape(40, false, 3, {64, 24})}) {
    PolicyWeights w(shape);
    initialize_weights(w, 9, -0.5f);
    for (const auto* net : {&w.layout.actor, &w.layout.critic}) {
      for (std::size_t l = 0; l + 1 < net->dense.size(); ++l)
        expect_orthogonal(w, net->dense[l], std::sqrt(2.0));
    }
    expect_orthogonal(w, w.layout.actor.head(), 0.01);
    expect_orthogonal(w, w.layout.critic.head(), 1.0);
  }
}

TEST(InitialWeights, BiasesAndPaddingAreZeroLogStdIsSet) {
  PolicyWeights w(plain_shape(3, false, 2, {5, 20}));
  std::fill(w.params.begin(), w.params.end(), NAN);
  initialize_weights(w, 9, -0.5f);
  std::size_t nonzero = 0;
  for (float v : w.params) nonzero += v != 0.0f;
  // 3*5 + 5*20 + 20*2 weights of the actor, 3*5 + 5*20 + 20 of the critic, two deviations.
  EXPECT_EQ(nonzero, 155u + 135u + 2u);
  for (int a = 0; a < 16; ++a) {
    EXPECT_EQ(w.params[static_cast<std::size_t>(w.layout.log_std + a)], a < 2 ? -0.5f : 0.0f);
  }
}

// An orthogonal matrix scaled by its gain: squares add up to gain^2 times the smaller of its sides.
TEST(InitialWeights, GainsScaleTheirLayers) {
  const InitGains gains{.hidden = 0.5, .actor = 3.0, .critic = 0.0};
  PolicyWeights w(plain_shape(6, false, 2, {5, 20}));
  initialize_weights(w, 9, 0.0f, gains);
  const auto expect_gain = [&](const DenseLayer& layer, double gain) {
    double squares = 0;
    for (std::int64_t k = 0; k < std::int64_t{layer.inputs} * layer.width; ++k) {
      const double v = w.params[static_cast<std::size_t>(layer.weight + k)];
      squares += v * v;
    }
    EXPECT_NEAR(squares, gain * gain * std::min(layer.inputs, layer.outputs), 1e-5);
  };
  for (const Network* net : {&w.layout.actor, &w.layout.critic}) {
    expect_gain(net->dense[0], gains.hidden);
    expect_gain(net->dense[1], gains.hidden);
  }
  expect_gain(w.layout.actor.head(), gains.actor);
  expect_gain(w.layout.critic.head(), gains.critic);
}

TEST(InitialWeights, DependOnSeedAndLayerAlone) {
  PolicyWeights a(plain_shape(4, true, 2, {64, 64})), b(a.layout.shape);
  initialize_weights(a, 1, 0.0f);
  initialize_weights(b, 1, 0.0f);
  EXPECT_EQ(a.params, b.params);
  const EnvSpec spec;
  // Golden: the same on every machine and build. A change here changes every training run; say so in the changelog.
  EXPECT_EQ(MlpPolicy(spec, a, 0, false).hash(), "478c78065d6040dbb8161588a7070ac8");
  initialize_weights(b, 2, 0.0f);
  EXPECT_NE(a.params, b.params);
  // The actor's and the critic's first layers have the same shape but draws of their own.
  EXPECT_NE(a.params[static_cast<std::size_t>(a.layout.actor.dense[0].weight)],
            a.params[static_cast<std::size_t>(a.layout.critic.dense[0].weight)]);
}

}  // namespace
}  // namespace rollmill
