// Convolutions of images of ones and zeros, given as the indices of the ones, against the same given as numbers: equal bits, for
// every stride, kernel and number of channels, with one scratch for all of them by turns.
#include "rollout/mlp/conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/rng/rng.h"

namespace rollmill {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Shape {
  int planes, height, width, channels, kernel, stride;
};
const Shape kShapes[] = {{1, 1, 1, 16, 1, 1},  {4, 10, 10, 16, 3, 1}, {3, 10, 10, 48, 3, 1},
                         {2, 9, 11, 32, 3, 2}, {5, 8, 7, 16, 4, 3},   {1, 12, 5, 16, 5, 1},
                         {2, 7, 7, 16, 2, 3},  {6, 10, 10, 32, 1, 2}};

ConvLayer layer_of(const Shape& s) {
  ConvLayer c;
  c.channels_in = s.planes;
  c.height_in = s.height;
  c.width_in = s.width;
  c.channels = s.channels;
  c.kernel = s.kernel;
  c.stride = s.stride;
  c.height = (s.height - s.kernel) / s.stride + 1;
  c.width = (s.width - s.kernel) / s.stride + 1;
  c.planes = true;
  c.bias = std::int64_t{c.patch()} * c.channels;
  return c;
}

TEST(SparseConvolutions, EqualTheDenseOnes) {
  Rng rng(3, Purpose::kTest, 1, 0, 0);
  ConvScratch scratch;
  for (int round = 0; round < 40; ++round) {
    const Shape& s = kShapes[at(round) % std::size(kShapes)];
    const ConvLayer c = layer_of(s);
    const int rows = 1 + round % 5, words = (c.inputs() + 31) / 32;
    PolicyShape shape;
    shape.observed = {ObservationKind::kBits, {s.planes, s.height, s.width}, {}, words, c.inputs()};
    // Environment r's word w at [w * rows + r].
    std::vector<Word> bits(at(words * rows));
    AlignedVector<float> numbers(at(rows * c.inputs())), params(at(c.bias + c.channels)),
        dy(at(rows * c.outputs()));
    const float density = round % 3 == 0 ? 0.05f : 0.5f;
    for (int r = 0; r < rows; ++r) {
      for (int k = 0; k < c.inputs(); ++k) {
        if (!rng.bernoulli(density)) continue;
        numbers[at(r * c.inputs() + k)] = 1.0f;
        bits[at(k / 32 * rows + r)] |= Word{1} << (k % 32);
      }
    }
    for (auto* v : {&params, &dy}) {
      for (float& value : *v) value = rng.normal();
    }
    TileInput input(shape);
    input.gather({reinterpret_cast<const float*>(bits.data()), rows, 0, nullptr}, 0, rows,
                 ObservationNormalizer());
    ASSERT_TRUE(input.sparse());
    AlignedVector<float> y(dy.size()), sparse_y(dy.size(), NAN);
    conv_forward(c, params.data(), numbers.data(), rows, scratch, y.data());
    conv_forward(c, params.data(), input, rows, scratch, sparse_y.data());
    EXPECT_EQ(y, sparse_y) << "round " << round;
    AlignedVector<float> dw(params), sparse_dw(params);
    conv_weight_grad(c, numbers.data(), dy.data(), rows, scratch, dw.data());
    conv_weight_grad(c, input, dy.data(), rows, scratch, sparse_dw.data());
    EXPECT_EQ(dw, sparse_dw) << "round " << round;
  }
}

}  // namespace
}  // namespace rollmill
