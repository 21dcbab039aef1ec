// The same with products of bfloat16 numbers (tests/cuda/learner_emulation_test.cc).

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"
#include "tests/cuda/tensor_gradient.h"

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

TEST(LearnerEmulation, TensorProductsGiveTheGradientOfBf16AndFirstRatiosOfOne) {
  PolicyChoices relu{.hidden = {7, 33, 16}, .activation = Activation::kRelu};
  relu.trunk = Trunk::kShared;
  expect_tensor_gradient({&test_entry<ChoicesEnv>(), relu});
  expect_tensor_gradient({&test_entry<MixedEnv>(), {.hidden = {40, 24}}});
}

}  // namespace
}  // namespace rollmill
