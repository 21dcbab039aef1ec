// The same with products of bfloat16 numbers (tests/cuda/learner_emulation_test.cc). clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/learner_updates.h"

namespace rollmill {
namespace {

using namespace testing;

// trainer.precision = "bf16", trainer.reduction = "exact": whole layers and parts of tiles of 16, one layer and several, rows that do
// not fill a tile.
TEST(LearnerEmulation, Bf16HasTheCpusBits) {
  const auto kind = [](const EnvEntry& entry, const PolicyChoices& network) {
    return Kind{&entry, network, true, 0, 0, Products::kBf16};
  };
  const EnvEntry& mixed = test_entry<MixedEnv>();
  const EnvEntry& choices = test_entry<ChoicesEnv>();
  expect_equal_updates(kind(test_entry<DiscreteEnv>(), {.hidden = {40, 24}}), everything());
  PolicyChoices relu{.hidden = {7, 33, 16}, .activation = Activation::kRelu};
  relu.trunk = Trunk::kShared;
  expect_equal_updates(kind(choices, relu), everything());
  PolicyChoices network{.hidden = {24}};
  for (const auto distribution : {RealDistribution::kGaussian, RealDistribution::kBeta}) {
    network.distribution = distribution;
    expect_equal_updates(kind(mixed, network), everything(), 30, 16, {}, 5);
  }
  expect_equal_updates(kind(mixed, {.hidden = {}}), everything());
  expect_equal_ranks(kind(choices, {.hidden = {24}}), everything(), 2, 20, 8, 4);
}

// On tensor cores the first step of Adam against the CPU's with bfloat16 products. What differs is how float32 sums are rounded, and
// perhaps an activation between two bfloat16 numbers that is rounded the other way: 2^-8 of one factor of thousands. (float32's gradient
// is 2e-3 away.)
TEST(LearnerEmulation, TensorProductsGiveTheGradientOfBf16AndFirstRatiosOfOne) {
  const auto group = make_process_group(LaunchInfo{}, false);
  const auto gradient_differs = [&](const EnvEntry& entry, const PolicyChoices& network) {
    const EnvSpec spec = entry.spec();
    HostRollout rollout(spec, 8, 31, 1);  // the last tile of a shard has 34 rows or 35
    const RolloutBuffer& b = rollout.buffer();
    PolicyWeights host(shape_for(spec, network));
    initialize_weights(host, 3, -0.4f);
    Rng rng(8, Purpose::kTest, 0, 0, 0);
    for (const auto* net : {&host.layout.actor, &host.layout.critic}) {
      // A row without observations gives something, too.
      for (const DenseLayer& l : net->dense) {
        for (int j = 0; j < l.outputs; ++j)
          host.params[static_cast<std::size_t>(l.bias + j)] = 0.3f * rng.normal();
      }
    }
    host.normalizer = ObservationNormalizer(spec.observed.elements, false, 1.0f);
    collect_rollout(entry, host, b);
    PolicyWeights device = host;
    PpoOptions o;
    o.horizon = 8;
    o.epochs = o.minibatches = 1;
    o.max_grad_norm = 0;
    OptimizerState first, second;
    for (OptimizerState* s : {&first, &second}) {
      s->first.resize(host.params.size());
      s->second.resize(host.params.size());
    }
    EmulatedLearner emulated(o, device, second, b, 21, {}, 1, *group, Products::kBf16Tensor);
    emulated.act();
    ThreadPool pool(1);
    LearnerContext context{&o, &host, &first, group.get(), &pool, 21};
    context.bf16 = true;
    make_fused_learner(context)->update(b, 0, 1e-3);
    const LearnState state = emulated.update(0, 1e-3);
    EXPECT_EQ(state.first_ratio_error, 0.0);
    EXPECT_EQ(state.minibatches, 1);
    double difference = 0, size = 0;  // of Adam's first moment, a tenth of the gradient
    for (std::size_t i = 0; i < first.first.size(); ++i) {
      const double expected = first.first[i], d = second.first[i] - expected;
      difference += d * d;
      size += expected * expected;
    }
    emulated.act();  // with the weights as they are after a step
    EXPECT_EQ(emulated.update(1, 1e-3).first_ratio_error, 0.0);
    return std::sqrt(difference / size);
  };
  PolicyChoices relu{.hidden = {7, 33, 16}, .activation = Activation::kRelu};
  relu.trunk = Trunk::kShared;
  EXPECT_LT(gradient_differs(test_entry<ChoicesEnv>(), relu), 1e-4);
  EXPECT_LT(gradient_differs(test_entry<MixedEnv>(), {.hidden = {40, 24}}), 1e-4);
}

}  // namespace
}  // namespace rollmill
