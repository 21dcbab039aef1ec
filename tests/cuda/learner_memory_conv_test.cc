// The same of policies with convolutions before a memory (tests/cuda/learner_emulation_test.cc).

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"
#include "tests/cuda/tensor_gradient.h"

namespace rollmill {
namespace {

using namespace testing;

Kind with_memory(Kind kind, MemoryKind memory, int length, int burn_in) {
  kind.network.memory = memory;
  kind.network.memory_size = 20;
  kind.sequence_length = length;
  kind.burn_in = burn_in;
  return kind;
}

PpoOptions one_epoch() {
  PpoOptions o = everything();
  o.epochs = 1;
  return o;
}

void expect_equal_in_both_precisions(Kind kind, int envs, int horizon = 16) {
  for (const Products products : {Products::kFloat32, Products::kBf16}) {
    kind.products = products;
    expect_equal_updates(kind, one_epoch(), envs, horizon);
  }
}

// Sequences of two windows, of parts of one, with burn-ins, and tiles of fewer sequences than 16.
TEST(LearnerEmulation, MemoriesAfterConvolutionsThatLookPatchesUp) {
  const EnvEntry& planes = test_entry<PlanesEnv>();
  const auto kind = [&](std::vector<int> hidden, ConvShape conv, int frames, Trunk trunk,
                        Activation activation) {
    const Kind k = convolving(planes, {conv}, std::move(hidden), frames, trunk, activation);
    EXPECT_TRUE(shape_for(planes.spec(), k.network).by_patch());
    return k;
  };
  const Kind two = kind({24, 40}, {16, 3, 1}, 2, Trunk::kSeparate, Activation::kTanh);
  expect_equal_in_both_precisions(with_memory(two, MemoryKind::kGru, 0, 0), 37);
  const Kind one = kind({24}, {32, 2, 2}, 1, Trunk::kShared, Activation::kRelu);
  expect_equal_in_both_precisions(with_memory(one, MemoryKind::kMinGru, 8, 14), 20);
}
TEST(LearnerEmulation, MemoriesAfterConvolutionsOfEveryRow) {
  const EnvEntry &planes = test_entry<PlanesEnv>(), &pixels = test_entry<PixelsEnv>();
  const Kind two = convolving(planes, {{16, 2, 1}, {32, 2, 1}}, {24, 7}, 2);
  expect_equal_in_both_precisions(with_memory(two, MemoryKind::kGru, 8, 3), 18);
  const Kind one = convolving(pixels, {{16, 2, 1}}, {24}, 1, Trunk::kShared, Activation::kRelu);
  expect_equal_in_both_precisions(with_memory(one, MemoryKind::kMinGru, 4, 0), 18, 8);
}
TEST(LearnerEmulation, MemoriesAfterConvolutionsInGroupsOnRanks) {
  const Kind kind =
      with_memory(convolving(test_entry<PlanesEnv>(), {{16, 3, 1}}, {24}), MemoryKind::kGru, 4, 2);
  expect_equal_updates(kind, one_epoch(), 20, 8, {}, 5);
  expect_equal_ranks(kind, one_epoch(), 2, 20, 8, 4);
}
TEST(LearnerEmulation, TensorProductsBetweenConvolutionsAndMemories) {
  const EnvEntry &planes = test_entry<PlanesEnv>(), &pixels = test_entry<PixelsEnv>();
  expect_tensor_gradient(
      with_memory(convolving(planes, {{16, 3, 1}}, {24, 40}), MemoryKind::kGru, 4, 2));
  expect_tensor_gradient(with_memory(convolving(pixels, {{16, 2, 1}}, {40, 7}, 1, Trunk::kShared),
                                     MemoryKind::kMinGru, 4, 2));
}

}  // namespace
}  // namespace rollmill
