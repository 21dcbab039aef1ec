// Convolutions that are looked up, forward and backward, against the same computed row by row: forward equal in every bit, whatever
// rows go together; gradients near those in float64.
#include "rollout/mlp/patches.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/rng/rng.h"
#include "rollout/mlp/dense.h"
#include "rollout/mlp/mlp_policy.h"
#include "tests/support/counter_env.h"
#include "tests/trainer/scene.h"
#include "trainer/fused/mlp_backward.h"
#include "trainer/fused/patch_backward.h"
#include "trainer/fused/shard.h"

namespace rollmill {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Board {
  int planes, height, width, channels, kernel, stride, hidden;
};
// The second has patches of more than one word, the third gaps between patches, the fourth positions without a one in sight.
const Board kBoards[] = {{4, 10, 10, 16, 3, 1, 128},
                         {10, 10, 10, 16, 3, 1, 40},
                         {3, 9, 11, 32, 2, 3, 16},
                         {1, 5, 5, 16, 5, 1, 64}};

PolicyShape shape_of(const Board& b, Activation activation) {
  PolicyShape shape;
  const int elements = b.planes * b.height * b.width;
  shape.observed = {
      ObservationKind::kBits, {b.planes, b.height, b.width}, {}, (elements + 31) / 32, elements};
  shape.choices = {3};
  shape.hidden = {b.hidden};
  shape.activation = activation;
  shape.conv = {{b.channels, b.kernel, b.stride}};
  return shape;
}

// Boards of few objects, so that patches come again, and their numbers.
struct Images {
  Images(const PolicyShape& shape, int count, std::uint64_t seed)
      : rows(count),
        words(at(std::int64_t{shape.observed.columns} * count)),
        numbers(at(std::int64_t{shape.observed.elements} * count)) {
    Rng rng(seed, Purpose::kTest, 1, 0, 0);
    for (int r = 0; r < rows; ++r) {
      const float density = r % 5 == 0 ? 0.5f : 0.02f;
      for (int k = 0; k < shape.observed.elements; ++k) {
        if (!rng.bernoulli(density)) continue;
        numbers[at(std::int64_t{r} * shape.observed.elements + k)] = 1.0f;
        words[at(std::int64_t{k} / 32 * rows + r)] |= Word{1} << (k % 32);
      }
    }
  }
  void gather(TileInput& input, int begin, int count) const {
    input.gather({reinterpret_cast<const float*>(words.data()), rows, 0, nullptr}, begin, count,
                 ObservationNormalizer());
  }
  int rows;
  std::vector<Word> words;
  AlignedVector<float> numbers;
};

// Rows [begin, end) as the scratch's window.
void add_rows(const Images& images, int begin, int end, ForwardScratch& s) {
  s.window->ids.clear();
  for (int i = begin; i < end; i += kTileRows) {
    const int rows = std::min(kTileRows, end - i);
    images.gather(s.input, i, rows);
    s.window->ids.add(s.input, rows);
  }
  s.window->ids.name();
}

// The dense layer's sums of one image, number by number.
std::vector<float> direct(const Network& net, const float* params, const float* image) {
  const ConvLayer& c = net.conv.front();
  const DenseLayer& d = net.dense.front();
  ConvScratch scratch;
  AlignedVector<float> h(at(c.outputs()));
  conv_forward(c, params, image, 1, scratch, h.data());
  activate(net.activation, h.data(), c.outputs());
  std::vector<float> y(params + d.bias, params + d.bias + d.width);
  for (int j = 0; j < d.width; ++j) {
    for (int p = 0; p < c.positions(); ++p) {
      float sum = 0;
      for (int k = p * c.channels; k < (p + 1) * c.channels; ++k)
        sum = std::fma(h[at(k)], params[d.weight + std::int64_t{k} * d.width + j], sum);
      y[at(j)] = sum + y[at(j)];
    }
  }
  return y;
}

class EveryBoard : public ::testing::TestWithParam<std::tuple<int, Activation>> {
 protected:
  EveryBoard()
      : shape(shape_of(kBoards[std::get<0>(GetParam())], std::get<1>(GetParam()))), weights(shape) {
    Rng rng(7, Purpose::kTest, 2, 0, 0);
    const Network& net = weights.layout.actor;
    for (std::int64_t i = 0; i < net.dense.front().weight; ++i)
      weights.params[at(i)] = rng.normal();
    const DenseLayer& d = net.dense.front();
    for (int k = 0; k < d.inputs; ++k) {
      for (int j = 0; j < d.outputs; ++j)
        weights.params[at(d.weight + std::int64_t{k} * d.width + j)] = 0.1f * rng.normal();
    }
    for (int j = 0; j < d.outputs; ++j) weights.params[at(d.bias + j)] = rng.normal();
  }
  const Network& net() const { return weights.layout.actor; }

  PolicyShape shape;
  PolicyWeights weights;
};

// Windows of several tiles, of one and of a part of one.
TEST_P(EveryBoard, ForwardIsTheSumRowByRow) {
  ForwardScratch s(weights.layout);
  ASSERT_TRUE(net().by_patch && s.window);
  const Images images(shape, 500, 3);
  const int width = net().dense.front().width;
  AlignedVector<float> y(at(kTileRows * width));
  int window = kPatchRows;
  for (int first = 0; first<images.rows; first += window, window = window> 30 ? window / 3 : 1) {
    const int end = std::min(first + window, images.rows);
    add_rows(images, first, end, s);
    s.window->actor.prepare(weights.params.data());
    for (int begin = first; begin < end; begin += 43) {
      const int rows = std::min(43, end - begin);
      s.window->actor.forward(weights.params.data(), begin - first, rows, y.data());
      for (int r = 0; r < rows; ++r) {
        const std::vector<float> wanted =
            direct(net(), weights.params.data(),
                   images.numbers.data() + std::int64_t{begin + r} * shape.observed.elements);
        ASSERT_EQ(std::vector<float>(y.begin() + r * width, y.begin() + (r + 1) * width), wanted)
            << "row " << begin + r;
      }
    }
  }
}

// Gradients of sum(dy * y) over the rows, in float64.
std::vector<double> direct_gradient(const Network& net, const AlignedVector<float>& params,
                                    const Images& images, const AlignedVector<float>& dy) {
  const ConvLayer& c = net.conv.front();
  const DenseLayer& d = net.dense.front();
  std::vector<double> gradient(params.size());
  ConvScratch scratch;
  AlignedVector<float> h(at(c.outputs()));
  for (int r = 0; r < images.rows; ++r) {
    const float* image = images.numbers.data() + std::int64_t{r} * c.inputs();
    conv_forward(c, params.data(), image, 1, scratch, h.data());
    activate(net.activation, h.data(), c.outputs());
    for (int k = 0; k < c.outputs(); ++k) {
      double dh = 0;
      for (int j = 0; j < d.outputs; ++j) {
        const double by = dy[at(std::int64_t{r} * d.width + j)];
        const std::int64_t w = d.weight + std::int64_t{k} * d.width + j;
        gradient[at(w)] += static_cast<double>(h[at(k)]) * by;
        dh += static_cast<double>(params[at(w)]) * by;
      }
      const double value = h[at(k)];
      dh *= net.activation == Activation::kTanh ? 1 - value * value : value > 0 ? 1.0 : 0.0;
      const int channel = k % c.channels, position = k / c.channels;
      gradient[at(c.bias + channel)] += dh;
      for (int patch = 0; patch < c.patch(); ++patch) {
        const int x = patch % c.kernel, yy = patch / c.kernel % c.kernel,
                  plane = patch / c.kernel / c.kernel;
        const int top = position / c.width * c.stride, left = position % c.width * c.stride;
        gradient[at(c.weight + std::int64_t{patch} * c.channels + channel)] +=
            dh * image[(plane * c.height_in + top + yy) * c.width_in + left + x];
      }
    }
  }
  return gradient;
}

TEST_P(EveryBoard, GradientsAreNearThoseOfEveryRow) {
  const Images images(shape, 110, 5);
  const DenseLayer& d = net().dense.front();
  AlignedVector<float> dy(at(std::int64_t{images.rows} * d.width));
  Rng rng(8, Purpose::kTest, 3, 0, 0);
  for (int r = 0; r < images.rows; ++r) {
    for (int j = 0; j < d.outputs; ++j) dy[at(r * d.width + j)] = rng.normal();
  }
  ForwardScratch s(weights.layout);
  TransposedWeights transposed(net());
  transposed.pack(net(), weights.params.data());
  add_rows(images, 0, images.rows, s);
  s.window->actor.prepare(weights.params.data());
  AlignedVector<float> gradient(weights.params.size());
  patch_backward(net(), s.window->actor, transposed.layer(0), dy.data(), gradient.data());
  const std::vector<double> wanted = direct_gradient(net(), weights.params, images, dy);
  double largest = 0;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // Sums of at most some thousands of float32 numbers that are as large as the largest gradient.
    ASSERT_NEAR(static_cast<double>(gradient[i]), wanted[i], 2e-5 * largest) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Boards, EveryBoard,
                         ::testing::Combine(::testing::Values(0, 1, 2, 3),
                                            ::testing::Values(Activation::kTanh,
                                                              Activation::kRelu)));

// A shard of two windows and a part of one has the gradient of three shards.
TEST(Shard, OfSeveralWindows) {
  for (const auto trunk : {Trunk::kSeparate, Trunk::kShared}) {
    const auto& entry = testing::test_entry<testing::PlanesEnv>();
    testing::Scene s(entry, {.hidden = {20}, .trunk = trunk, .conv = {{16, 2, 1}}}, 10, 45);
    testing::collect_rollout(entry, s.weights, s.rollout.buffer());
    const MinibatchTask task{s.options, s.weights, 1, false, s.rollout.buffer(), 0.0f, 1.0f, 1e-2f};
    std::vector<std::uint32_t> units(450);
    for (std::size_t u = 0; u < units.size(); ++u)
      units[u] = static_cast<std::uint32_t>(u * 77 % units.size());
    Shard whole(s.weights.layout), part(s.weights.layout);
    whole.compute(task, units.data(), 450);
    std::vector<double> sum(whole.gradient.size());
    for (const int first : {0, 150, 300}) {
      part.compute(task, units.data() + first, 150);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part.gradient[i];
    }
    double largest = 0;
    for (const double value : sum) largest = std::max(largest, std::abs(value));
    ASSERT_GT(largest, 0.01);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      // Sums of 450 float32 numbers in another order.
      ASSERT_NEAR(static_cast<double>(whole.gradient[i]), sum[i], 1e-5 * largest) << i;
    }
  }
}

TEST(PatchIds, TellPatchesApart) {
  for (const int board : {0, 1, 2, 3}) {
    const PolicyShape shape = shape_of(kBoards[board], Activation::kRelu);
    const MlpLayout layout(shape);
    const ConvLayer& c = layout.actor.conv.front();
    ForwardScratch s(layout);
    const Images images(shape, 150, 100);
    add_rows(images, 0, images.rows, s);
    const PatchIds& patches = s.window->ids;
    std::vector<std::vector<float>> known;
    for (int id = 0; id < patches.size(); ++id) {
      known.emplace_back(at(c.patch()));
      patches.for_ones(id, [&](int k) { known.back()[at(k)] = 1.0f; });
    }
    for (int p = 0; p < c.positions(); ++p) {
      ASSERT_LT(patches.first(p), patches.first(p + 1));
      for (int id = patches.first(p); id < patches.first(p + 1); ++id) {
        for (int other = patches.first(p); other < id; ++other)
          ASSERT_NE(known[at(id)], known[at(other)]);
      }
      for (int r = 0; r < images.rows; ++r) {
        const int id = patches.of_row(r)[p];
        ASSERT_TRUE(id >= patches.first(p) && id < patches.first(p + 1));
        for (int k = 0; k < c.patch(); ++k) {
          const int x = p % c.width * c.stride + k % c.kernel,
                    y = p / c.width * c.stride + k / c.kernel % c.kernel,
                    plane = k / c.kernel / c.kernel;
          ASSERT_EQ(known[at(id)][at(k)],
                    images.numbers[at(std::int64_t{r} * c.inputs() +
                                      (plane * c.height_in + y) * c.width_in + x)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace rollmill
