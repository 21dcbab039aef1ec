// The same of policies that begin with convolutions, with products of bfloat16 numbers (tests/cuda/learner_emulation_test.cc).

#include <gtest/gtest.h>

#include "tests/cuda/learner_updates.h"
#include "tests/cuda/tensor_gradient.h"

namespace rollmill {
namespace {

using namespace testing;

Kind rounded(Kind kind) {
  kind.products = Products::kBf16;
  return kind;
}

// A dense layer that reads patches stays in float32, those after it do not.
TEST(LearnerEmulation, Bf16ConvolutionsThatLookPatchesUpHaveTheCpusBits) {
  const EnvEntry& planes = test_entry<PlanesEnv>();
  const auto kind = [&](std::vector<int> hidden, ConvShape conv, int frames, Trunk trunk,
                        Activation activation) {
    return rounded(convolving(planes, {conv}, std::move(hidden), frames, trunk, activation));
  };
  expect_equal_updates(kind({40, 24}, {16, 3, 1}, 2, Trunk::kShared, Activation::kRelu),
                       everything());
  expect_equal_updates(kind({24}, {32, 2, 2}, 1, Trunk::kSeparate, Activation::kTanh),
                       everything());
  expect_equal_updates(kind({}, {32, 3, 2}, 1, Trunk::kShared, Activation::kTanh), everything());
}
// A dense layer that reads what a convolution says of every row is rounded.
TEST(LearnerEmulation, Bf16ConvolutionsOfEveryRowHaveTheCpusBits) {
  const EnvEntry &planes = test_entry<PlanesEnv>(), &pixels = test_entry<PixelsEnv>();
  const std::vector<ConvShape> two = {{16, 2, 1}, {32, 2, 1}};
  expect_equal_updates(rounded(convolving(planes, two, {24}, 2)), everything());
  expect_equal_updates(rounded(convolving(planes, two, {}, 1, Trunk::kShared)), everything());
  const Kind one =
      rounded(convolving(pixels, {{16, 2, 1}}, {40, 24}, 1, Trunk::kShared, Activation::kRelu));
  expect_equal_updates(one, everything());
  expect_equal_updates(one, everything(), 30, 16, {}, 5);
}
TEST(LearnerEmulation, TensorProductsAfterConvolutionsGiveTheGradientOfBf16AndFirstRatiosOfOne) {
  const EnvEntry &planes = test_entry<PlanesEnv>(), &pixels = test_entry<PixelsEnv>();
  expect_tensor_gradient(convolving(planes, {{16, 3, 1}}, {24, 40}));
  expect_tensor_gradient(convolving(planes, {{16, 2, 1}, {32, 2, 1}}, {24}, 1, Trunk::kShared));
  expect_tensor_gradient(
      convolving(pixels, {{16, 2, 1}}, {40, 7}, 1, Trunk::kSeparate, Activation::kRelu));
}

}  // namespace
}  // namespace rollmill
