// The same of policies that begin with convolutions (tests/cuda/learner_emulation_test.cc).

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"
#include "trainer/fused/shard.h"

namespace rollmill {
namespace {

using namespace testing;

// One convolution over bits: patches of one word and of three, gaps between them, the head as the only dense layer.
TEST(LearnerEmulation, ConvolutionsThatLookPatchesUp) {
  const EnvEntry& planes = test_entry<PlanesEnv>();
  const auto kind = [&](std::vector<int> hidden, ConvShape conv, int frames, Trunk trunk,
                        Activation activation) {
    Kind k = convolving(planes, {conv}, std::move(hidden), frames, trunk, activation);
    EXPECT_TRUE(shape_for(planes.spec(), k.network).by_patch());
    return k;
  };
  PpoOptions plain = everything();
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  expect_equal_updates(kind({24}, {16, 2, 1}, 2, Trunk::kSeparate, Activation::kTanh),
                       everything());
  expect_equal_updates(kind({40, 24}, {16, 3, 1}, 3, Trunk::kShared, Activation::kRelu), plain);
  expect_equal_updates(kind({24}, {32, 2, 2}, 1, Trunk::kSeparate, Activation::kRelu), plain);
  expect_equal_updates(kind({}, {32, 3, 2}, 1, Trunk::kShared, Activation::kTanh), plain);
}
TEST(LearnerEmulation, ConvolutionsThatLookPatchesUpInGroupsOnRanks) {
  const Kind kind = convolving(test_entry<PlanesEnv>(), {{16, 3, 1}}, {24});
  expect_equal_updates(kind, everything(), 30, 16, {}, 5);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}
// Two convolutions, and convolutions over bytes.
TEST(LearnerEmulation, ConvolutionsOfEveryRow) {
  const EnvEntry &planes = test_entry<PlanesEnv>(), &pixels = test_entry<PixelsEnv>();
  PpoOptions plain = everything();
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  expect_equal_updates(convolving(planes, {{16, 2, 1}, {32, 2, 2}}, {24}, 3), everything());
  expect_equal_updates(
      convolving(planes, {{16, 2, 1}, {32, 2, 1}, {16, 2, 1}}, {}, 1, Trunk::kShared), plain);
  expect_equal_updates(convolving(pixels, {{16, 2, 1}}, {40, 24}, 1, Trunk::kShared), plain);
  Kind beta =
      convolving(pixels, {{32, 2, 1}, {16, 2, 1}}, {24}, 2, Trunk::kSeparate, Activation::kRelu);
  beta.network.distribution = RealDistribution::kBeta;
  expect_equal_updates(beta, everything());
  expect_equal_updates(beta, everything(), 30, 16, {}, 5);
}

// Shards of several windows and of several tiles, on boards that repeat and boards that do not: of some positions more ids than the kernels
// take at a time.
template <class Env>
void expect_equal_shards(const PolicyChoices& network) {
  constexpr int kEnvs = 30, kHorizon = 15;
  const EnvEntry& entry = test_entry<Env>();
  const EnvSpec spec = entry.spec();
  HostRollout rollout(spec, kHorizon, kEnvs, network.frame_stack);
  const RolloutBuffer& b = rollout.buffer();
  PolicyWeights weights(shape_for(spec, network));
  initialize_weights(weights, 3, -0.4f);
  weights.normalizer = ObservationNormalizer(spec.observed.elements, false, 1.0f);
  collect_rollout(entry, weights, b);
  Rng rng(9, Purpose::kTest, 0, 0, 0);
  std::vector<std::uint32_t> units;
  for (int t = 0; t < kHorizon; ++t) {
    auto* words = reinterpret_cast<Word*>(b.observation_slot(t));
    for (int i = 0; i < kEnvs; ++i) {
      units.push_back(static_cast<std::uint32_t>(units.size() * 7 % (kEnvs * kHorizon)));
      b.advantages[t * b.stride + i] = rng.normal();
      b.logprobs[t * b.stride + i] += 0.3f * rng.normal();
      for (int c = 0; c < spec.observed.columns; ++c) {
        Word word = rng.bits();
        if (i % 2 == 0) word &= rng.bits() & rng.bits() & rng.bits() & rng.bits();
        words[c * b.stride + i] = word;  // ones beyond the last element, too
      }
    }
  }
  PpoOptions o = everything();
  o.normalize_advantages = false;
  o.minibatches = 1;
  Shard shard(weights.layout);
  static std::uint64_t version = std::uint64_t{1} << 40;  // none that a learner takes
  const float inv_n = static_cast<float>(1.0 / (kEnvs * kHorizon));
  const MinibatchTask task{o, weights, ++version, false, b, 0.0f, 1.0f, inv_n};
  shard.compute(task, units.data(), static_cast<int>(units.size()));
  OptimizerState state;
  state.first.resize(weights.params.size());
  state.second.resize(weights.params.size());
  const auto group = make_process_group(LaunchInfo{}, false);
  EmulatedLearner emulated(o, weights, state, b, 21, {}, 1, *group);
  const auto [gradient, sums] = emulated.one_shard(units);
  EXPECT_EQ(std::vector<float>(shard.gradient.begin(), shard.gradient.end()), gradient);
  const LossSums expected = shard.losses();
  EXPECT_EQ(expected.policy, sums.policy);
  EXPECT_EQ(expected.value, sums.value);
  EXPECT_EQ(expected.entropy, sums.entropy);
  EXPECT_EQ(expected.ratio_error, sums.ratio_error);
}
TEST(LearnerEmulation, ShardsOfSeveralWindows) {
  using Planes = PlanesEnv;
  using Large = CounterEnv<rollmill::Planes<1, 40, 41>, Discrete<3>, false>;
  const std::vector<ConvShape> one = {{16, 3, 1}}, two = {{16, 3, 1}, {16, 2, 1}},
                               wide = {{16, 35, 5}};  // lines of more than a word
  expect_equal_shards<Planes>({.hidden = {24}, .frame_stack = 2, .conv = one});
  expect_equal_shards<Planes>(
      {.hidden = {24}, .activation = Activation::kRelu, .trunk = Trunk::kShared, .conv = one});
  expect_equal_shards<Planes>({.hidden = {24}, .frame_stack = 2, .conv = two});
  expect_equal_shards<Large>({.hidden = {8}, .conv = wide});
}

}  // namespace
}  // namespace rollmill
