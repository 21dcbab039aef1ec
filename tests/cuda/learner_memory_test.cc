// The same of policies with a memory (tests/cuda/learner_emulation_test.cc).

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"

namespace rollmill {
namespace {

using namespace testing;

TEST(LearnerEmulation, MemoriesOfBothKindsAndTrunks) {
  // Burn-in that the first sequences have not, that is longer than a sequence, or none; the whole horizon as one sequence.
  for (const MemoryKind memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    const auto kind = [&](const EnvEntry& entry, Trunk trunk, int length, int burn_in) {
      return remembering(entry, memory, trunk, length, burn_in);
    };
    const EnvEntry& discrete = test_entry<DiscreteEnv>();
    const EnvEntry& mixed = test_entry<MixedEnv>();
    expect_equal_updates(kind(discrete, Trunk::kSeparate, 8, 3), everything(), 20);
    expect_equal_updates(kind(discrete, Trunk::kShared, 4, 6), everything(), 20);
    expect_equal_updates(kind(mixed, Trunk::kShared, 8, 0), everything(), 20);
    expect_equal_updates(kind(mixed, Trunk::kSeparate, 0, 0), everything(), 42);
  }
}
TEST(LearnerEmulation, MemoriesOfDeepNetworksFramesAndDistributions) {
  PpoOptions plain;
  plain.epochs = 1;
  plain.minibatches = 3;
  plain.max_grad_norm = 0;
  plain.normalize_advantages = false;
  Kind deep =
      remembering(test_entry<PixelsEnv>(), MemoryKind::kGru, Trunk::kSeparate, 4, 2, {40, 24, 16});
  deep.network.distribution = RealDistribution::kBeta;
  deep.network.activation = Activation::kRelu;
  expect_equal_updates(deep, plain, 18, 8);
  Kind frames =
      remembering(test_entry<MixedEnv>(), MemoryKind::kMinGru, Trunk::kShared, 4, 1, {16, 40});
  frames.network.frame_stack = 3;
  frames.network.memory_size = 70;  // wider than all layers
  frames.network.distribution = RealDistribution::kSquashed;
  expect_equal_updates(frames, plain, 18, 8);
}
TEST(LearnerEmulation, MemoriesInGroupsOnRanks) {
  const Kind kind = remembering(test_entry<ChoicesEnv>(), MemoryKind::kGru, Trunk::kSeparate, 4, 2);
  expect_equal_updates(kind, everything(), 20, 8, {}, 5);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}
// More sequences than 16 in each of as many shards as there may be: some have two tiles.
TEST(LearnerEmulation, ManySequencesOfAShard) {
  PpoOptions o = everything();
  o.epochs = 1;
  o.minibatches = 1;
  Kind kind =
      remembering(test_entry<DiscreteEnv>(), MemoryKind::kMinGru, Trunk::kShared, 2, 0, {8});
  kind.network.memory_size = 8;
  expect_equal_updates(kind, o, 2100, 8);
}

}  // namespace
}  // namespace rollmill
