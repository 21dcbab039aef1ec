// The text of the CUDA learner's kernels, run on the host, against the CPU's fused learner: dense networks.

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"

namespace rollmill {
namespace {

using namespace testing;

TEST(LearnerEmulation, DiscreteAndMaskedHeads) {
  expect_equal_updates({&test_entry<DiscreteEnv>(), {.hidden = {40, 24}}}, everything());
  expect_equal_updates({&test_entry<ChoicesEnv>(), {.hidden = {24}}}, everything());
}
TEST(LearnerEmulation, EveryDistributionOfRealActions) {
  for (const auto distribution :
       {RealDistribution::kGaussian, RealDistribution::kSquashed, RealDistribution::kBeta}) {
    PolicyChoices network{.hidden = {24}};
    network.distribution = distribution;
    expect_equal_updates({&test_entry<MixedEnv>(), network, true}, everything());
  }
}
TEST(LearnerEmulation, EveryObservationAndFrames) {
  expect_equal_updates({&test_entry<PlanesEnv>(), {{24}, 3}}, everything());
  expect_equal_updates({&test_entry<PixelsEnv>(), {{24}, 1}}, everything());
  expect_equal_updates({&test_entry<MixedEnv>(), {{24}, 2}, true}, everything());
}
TEST(LearnerEmulation, SharedTrunkReluAndPlainOptions) {
  PpoOptions plain;
  plain.epochs = 1;
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  plain.normalize_advantages = false;
  expect_equal_updates(
      {&test_entry<ChoicesEnv>(), {{40, 24}, 1, Activation::kRelu, Trunk::kShared}}, plain);
  expect_equal_updates({&test_entry<MixedEnv>(), {.hidden = {}}}, plain);
}
TEST(LearnerEmulation, FrozenParametersAndImitation) {
  PpoOptions o = everything();
  const EnvEntry& entry = test_entry<DiscreteEnv>();
  const MlpLayout layout(shape_for(entry.spec(), PolicyChoices{.hidden = {24}}));
  const DenseLayer& first = layout.actor.dense.front();
  expect_equal_updates({&entry, {.hidden = {24}}}, o, 30, 16,
                       {{first.weight, first.weight + 2 * first.width}});
  o.objective = Objective::kImitate;
  expect_equal_updates({&entry, {.hidden = {24}}}, o);
}
TEST(LearnerEmulation, GroupsOfOneRank) {
  const Kind kind{&test_entry<MixedEnv>(), {.hidden = {24}}, true};
  expect_equal_updates(kind, everything(), 30, 16, {}, 5);
}
TEST(LearnerEmulation, SeveralRanks) {
  const Kind kind{&test_entry<ChoicesEnv>(), {.hidden = {24}}};
  expect_equal_ranks(kind, everything(), 3, 20, 8, 0);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}

// Beyond 2^16 samples of a group the order is computed by the kernels; more than one chunk of every sum.
TEST(LearnerEmulation, ManySamplesInGroups) {
  PpoOptions o = everything();
  o.epochs = 1;
  o.minibatches = 16;
  expect_equal_updates({&test_entry<DiscreteEnv>(), {.hidden = {8}}}, o, 4200, 32, {}, 2);
}

}  // namespace
}  // namespace rollmill
