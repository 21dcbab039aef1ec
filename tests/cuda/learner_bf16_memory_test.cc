// The same of policies with a memory and products of bfloat16 numbers (tests/cuda/learner_emulation_test.cc).

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"
#include "tests/cuda/tensor_gradient.h"

namespace rollmill {
namespace {

using namespace testing;

Kind rounded(Kind kind, Products products = Products::kBf16) {
  kind.products = products;
  return kind;
}

// The head alone is rounded; one hidden layer, too; several, of which one is wider than the memory and one narrower.
TEST(LearnerEmulation, Bf16MemoriesHaveTheCpusBits) {
  const EnvEntry& mixed = test_entry<MixedEnv>();
  for (const MemoryKind memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    const auto kind = [&](Trunk trunk, int length, int burn_in, std::vector<int> hidden) {
      return rounded(remembering(mixed, memory, trunk, length, burn_in, std::move(hidden)));
    };
    expect_equal_updates(kind(Trunk::kSeparate, 8, 3, {24}), everything(), 20);
    expect_equal_updates(kind(Trunk::kShared, 4, 6, {24, 40}), everything(), 20);
    Kind deep = kind(Trunk::kSeparate, 4, 0, {7, 70, 16});
    deep.network.activation = Activation::kRelu;
    deep.network.frame_stack = 2;
    expect_equal_updates(deep, everything(), 18, 8);
  }
  Kind narrow = rounded(remembering(mixed, MemoryKind::kMinGru, Trunk::kShared, 4, 1, {16, 70}));
  narrow.network.memory_size = 5;  // gates that are narrower than pairs of a layer
  expect_equal_updates(narrow, everything(), 18, 8);
  Kind wide = rounded(remembering(mixed, MemoryKind::kGru, Trunk::kSeparate, 4, 1, {16, 7}));
  wide.network.memory_size = 70;
  expect_equal_updates(wide, everything(), 18, 8);
}
TEST(LearnerEmulation, Bf16MemoriesInGroupsOnRanks) {
  const Kind kind = rounded(
      remembering(test_entry<ChoicesEnv>(), MemoryKind::kGru, Trunk::kSeparate, 4, 2, {24, 16}));
  expect_equal_updates(kind, everything(), 20, 8, {}, 5);
  expect_equal_ranks(kind, everything(), 2, 20, 8, 4);
}
TEST(LearnerEmulation, TensorProductsOfMemoriesGiveTheGradientOfBf16AndFirstRatiosOfOne) {
  for (const MemoryKind memory : {MemoryKind::kGru, MemoryKind::kMinGru}) {
    expect_tensor_gradient(
        remembering(test_entry<ChoicesEnv>(), memory, Trunk::kShared, 4, 2, {7, 33, 16}));
    expect_tensor_gradient(
        remembering(test_entry<MixedEnv>(), memory, Trunk::kSeparate, 8, 0, {40, 24}));
  }
}

}  // namespace
}  // namespace rollmill
