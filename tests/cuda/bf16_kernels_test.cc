// Products of bfloat16 numbers in kernels, on host threads: the layout of tensor cores' fragments against the PTX ISA, tiles against
// float64 and, where bits are promised, against the CPU's kernels. clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include <cstring>

#include "core/base/aligned.h"
#include "core/rng/rng.h"
#include "rollout/mlp/bf16.h"
#include "rollout/mlp/bf16_kernels.cuh"

namespace rollmill {
namespace {

constexpr int kThreads = 64;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

AlignedVector<float> normals(std::int64_t n, std::uint32_t stream) {
  Rng rng(19, Purpose::kTest, stream, 0, 0);
  AlignedVector<float> x(at(n));
  for (float& v : x) v = rng.normal();
  return x;
}

// The pairs of a tile [rows][width]; what lies between rows is no number.
AlignedVector<std::uint32_t> pairs_of(const AlignedVector<float>& x, int width) {
  const std::int64_t rows = static_cast<std::int64_t>(x.size()) / width;
  AlignedVector<std::uint32_t> pairs(at(rows * bf16_row(width)), 0xFFFFFFFFu);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int k = 0; k < width; k += 2)
      pairs[at(r * bf16_row(width) + k / 2)] =
          bf16_pair(x[at(r * width + k)], x[at(r * width + k + 1)]);
  }
  return pairs;
}

// Element i of a lane's a, b or d: the formulas of the PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
struct Place {
  int row, column;
};
Place place_of_a(int lane, int i) {
  return {lane / 4 + (i % 4 < 2 ? 0 : 8), lane % 4 * 2 + i % 2 + (i < 4 ? 0 : 8)};
}
Place place_of_b(int lane, int i) { return {lane % 4 * 2 + i % 2 + (i < 2 ? 0 : 8), lane / 4}; }
Place place_of_d(int lane, int i) { return {lane / 4 + (i < 2 ? 0 : 8), lane % 4 * 2 + i % 2}; }

TEST(Bf16Kernels, FragmentsLieAsThePtxIsaSays) {
  auto a = normals(16 * 16, 1), b = normals(16 * 8, 2);
  for (float& x : a) x = round_bf16(x);
  for (float& x : b) x = round_bf16(x);
  const auto start = normals(16 * 8, 3);
  AlignedVector<float> d(start.size(), NAN);
  emulate(1, 1, kThreads, 0, [&] {
    if (threadIdx.x >= 32) return;  // the other warp is not needed
    const int lane = static_cast<int>(threadIdx.x);
    float sum[4];
    std::uint32_t of_a[4], of_b[2];
    for (int i = 0; i < 8; i += 2) {
      const Place p = place_of_a(lane, i);
      of_a[i / 2] = bf16_pair(a[at(p.row * 16 + p.column)], a[at(p.row * 16 + p.column + 1)]);
    }
    for (int i = 0; i < 4; i += 2) {
      const Place p = place_of_b(lane, i);
      of_b[i / 2] = bf16_pair(b[at(p.row * 8 + p.column)], b[at((p.row + 1) * 8 + p.column)]);
    }
    for (int i = 0; i < 4; ++i)
      sum[i] = start[at(place_of_d(lane, i).row * 8 + place_of_d(lane, i).column)];
    mma_bf16(sum, of_a, of_b);
    for (int i = 0; i < 4; ++i)
      d[at(place_of_d(lane, i).row * 8 + place_of_d(lane, i).column)] = sum[i];
  });
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 8; ++c) {
      float sum = 0.0f;
      for (int k = 0; k < 16; ++k) sum += a[at(r * 16 + k)] * b[at(k * 8 + c)];
      EXPECT_EQ(d[at(r * 8 + c)], start[at(r * 8 + c)] + sum) << r << " " << c;
    }
  }
}

struct Shape {
  int rows, inputs, outputs;  // rows: a multiple of 16
};
const Shape kShapes[] = {{16, 1, 1}, {32, 64, 64}, {48, 33, 40}, {48, 7, 129}, {16, 130, 5}};

AlignedVector<float> fragments_of(const AlignedVector<float>& w, int inputs, int width) {
  AlignedVector<float> all(at(fragment_words(inputs, width)));
  const auto value = [&](int k, int j) { return k < inputs ? w[at(k * width + j)] : 0.0f; };
  for (std::int64_t i = 0; i < fragment_words(inputs, width); ++i)
    all[at(i)] = math::from_bits(fragment_word(i, width, value));
  return all;
}

// A tile whose inputs are padded with zeros, as the layer before leaves it.
struct Tile {
  explicit Tile(const Shape& s)
      : shape(s),
        x_width(pad16(s.inputs)),
        width(pad16(s.outputs)),
        x(normals(std::int64_t{s.rows} * x_width, 1)),
        w(normals(std::int64_t{s.inputs} * width, 2)),
        bias(normals(width, 3)),
        dy(normals(std::int64_t{s.rows} * width, 4)),
        dw(normals(std::int64_t{s.inputs} * width, 5)) {
    const auto pad = [](AlignedVector<float>& m, int from, int row) {
      for (std::size_t i = 0; i < m.size(); ++i) {
        if (static_cast<int>(i) % row >= from) m[i] = 0.0f;
      }
    };
    pad(x, s.inputs, x_width);
    for (auto* m : {&w, &bias, &dy, &dw}) pad(*m, s.outputs, width);
  }
  std::string name() const {
    return std::to_string(shape.rows) + "x" + std::to_string(shape.inputs) + "x" +
           std::to_string(shape.outputs);
  }
  AlignedVector<float> forward(Products products, const AlignedVector<float>& inputs, int rows,
                               AlignedVector<std::uint32_t>* rounded = nullptr) const {
    const auto pairs = pairs_of(inputs, x_width);
    AlignedVector<float> weights = w, y(at(std::int64_t{rows} * width), NAN);
    for (float& v : weights) v = round_bf16(v);
    if (products == Products::kBf16Tensor) weights = fragments_of(w, shape.inputs, width);
    if (rounded != nullptr) rounded->assign(at(std::int64_t{rows} * bf16_row(width)), 0);
    emulate(1, 1, kThreads, 0, [&] {
      bf16_dense_tile<4>(products, pairs.data(), bf16_row(x_width), shape.inputs, weights.data(),
                         bias.data(), width, rows,
                         TileResult{y.data(), rounded != nullptr ? rounded->data() : nullptr},
                         LeaveAsIs{});
    });
    return y;
  }
  Shape shape;
  int x_width, width;
  AlignedVector<float> x, w, bias, dy, dw;
};

// Sums of n products of bfloat16 numbers, exact in float32, differ from float64's by a rounding of each addition at most.
double bound(int additions, double magnitude) { return additions * 0x1p-24 * magnitude; }

TEST(Bf16Kernels, TensorTilesAreFloat64sWithinTheRoundingOfSums) {
  for (const Shape& s : kShapes) {
    const Tile tile(s);
    AlignedVector<std::uint32_t> rounded;
    const auto y = tile.forward(Products::kBf16Tensor, tile.x, s.rows, &rounded);
    for (int r = 0; r < s.rows; ++r) {
      for (int j = 0; j < tile.width; ++j) {
        double exact = tile.bias[at(j)], magnitude = std::abs(exact);
        for (int k = 0; k < s.inputs; ++k) {
          const double term = static_cast<double>(round_bf16(tile.x[at(r * tile.x_width + k)])) *
                              static_cast<double>(round_bf16(tile.w[at(k * tile.width + j)]));
          exact += term;
          magnitude += std::abs(term);
        }
        const float is = y[at(r * tile.width + j)];
        ASSERT_NEAR(is, exact, bound(tile.x_width + 16, magnitude)) << tile.name();
        const std::uint32_t pair = rounded[at(r * bf16_row(tile.width) + j / 2)];
        ASSERT_EQ(j % 2 == 0 ? low_bf16(pair) : high_bf16(pair), round_bf16(is)) << tile.name();
      }
    }
  }
}

TEST(Bf16Kernels, TensorWeightGradientsAreFloat64sWithinTheRoundingOfSums) {
  for (const Shape& s : kShapes) {
    for (const int rows : {s.rows, s.rows - 3, 1}) {
      Tile tile(s);
      std::fill(tile.dy.begin() + rows * tile.width, tile.dy.end(), 0.0f);
      const auto x = pairs_of(tile.x, tile.x_width), dy = pairs_of(tile.dy, tile.width);
      auto dw = tile.dw;
      emulate(1, 1, kThreads, 0, [&] {
        bf16_weight_tile(Products::kBf16Tensor, x.data(), bf16_row(tile.x_width), s.inputs,
                         dy.data(), bf16_row(tile.width), tile.width, rows, dw.data());
      });
      for (int k = 0; k < s.inputs; ++k) {
        for (int j = 0; j < tile.width; ++j) {
          double exact = tile.dw[at(k * tile.width + j)], magnitude = std::abs(exact);
          for (int r = 0; r < rows; ++r) {
            const double term = static_cast<double>(round_bf16(tile.x[at(r * tile.x_width + k)])) *
                                static_cast<double>(round_bf16(tile.dy[at(r * tile.width + j)]));
            exact += term;
            magnitude += std::abs(term);
          }
          ASSERT_NEAR(dw[at(k * tile.width + j)], exact, bound(s.rows + 16, magnitude))
              << tile.name() << ", " << rows << " rows";
        }
      }
    }
  }
}

TEST(Bf16Kernels, ARowHasTheSameBitsWhereverItLies) {
  for (const Products products : {Products::kBf16, Products::kBf16Tensor}) {
    const Tile tile({48, 33, 40});
    const auto all = tile.forward(products, tile.x, 48);
    for (int shift = 0; shift < 48; shift += 5) {
      AlignedVector<float> moved(at(16 * tile.x_width));
      for (int r = 0; r < 16; ++r) {
        const auto* from = tile.x.data() + (r + shift) % 48 * tile.x_width;
        std::copy_n(from, tile.x_width, moved.data() + r * tile.x_width);
      }
      const auto y = tile.forward(products, moved, 16);
      for (int r = 0; r < 16; ++r) {
        const auto* expected = all.data() + (r + shift) % 48 * tile.width;
        EXPECT_EQ(std::memcmp(y.data() + r * tile.width, expected, at(tile.width) * sizeof(float)),
                  0);
      }
    }
  }
}

// The bits of rollout/mlp/bf16.h where products and sums are large, small and below the smallest normal number.
TEST(Bf16Kernels, ExactTilesHaveTheCpusBitsAtEverySize) {
  std::int64_t flushed = 0;
  for (int round = 0; round < 60; ++round) {
    const Shape& s = kShapes[at(round) % std::size(kShapes)];
    Tile tile(s);
    Rng rng(19, Purpose::kTest, 9, static_cast<std::uint32_t>(round), 0);
    const auto scale = [&](AlignedVector<float>& m, int lowest) {
      for (float& v : m) v = std::ldexp(v, lowest + static_cast<int>(rng.bits() % 24u));
    };
    const int place = round % 2 == 0 ? 0 : -140 + round;  // of the products' exponents
    scale(tile.x, place / 2 - 12);
    scale(tile.w, place - place / 2 - 12);
    scale(tile.dy, place - place / 2 - 12);
    scale(tile.bias, std::max(place, -148) - 12);
    scale(tile.dw, std::max(place, -148) - 12);
    const auto y = tile.forward(Products::kBf16, tile.x, s.rows);
    Bf16Matrix matrix(s.inputs, s.outputs, tile.width);
    matrix.pack(tile.w.data());
    AlignedVector<float> expected(y.size());
    matrix.forward(tile.x.data(), tile.x_width, tile.bias.data(), expected.data(), tile.width,
                   s.rows);
    ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0) << tile.name();
    for (std::size_t i = 0; i < y.size(); ++i) flushed += y[i] == 0.0f;

    const auto x = pairs_of(tile.x, tile.x_width), dy = pairs_of(tile.dy, tile.width);
    auto dw = tile.dw, cpu = tile.dw;
    AlignedVector<float> db(at(tile.width)), cpu_db = db;
    emulate(1, 1, kThreads, 0, [&] {
      bf16_weight_tile(Products::kBf16, x.data(), bf16_row(tile.x_width), s.inputs, dy.data(),
                       bf16_row(tile.width), tile.width, s.rows - 1, dw.data());
      bias_grad_tile(tile.dy.data(), tile.width, s.rows - 1, db.data());
    });
    bf16_weight_grad(tile.x.data(), tile.x_width, s.inputs, tile.dy.data(), tile.width, tile.width,
                     s.rows - 1, cpu.data(), cpu_db.data(), s.outputs);
    ASSERT_EQ(std::memcmp(dw.data(), cpu.data(), dw.size() * sizeof(float)), 0) << tile.name();
    ASSERT_EQ(db, cpu_db) << tile.name();
  }
  EXPECT_GT(flushed, 100);
}

TEST(Bf16Kernels, PairsKeepNumbersInfinitiesAndNan) {
  for (const float x :
       {0.0f, -0.0f, 1.0f, -3.1415927f, 0x1p-126f, 0x1.fp-127f, 3.4e38f, INFINITY}) {
    const std::uint32_t pair = bf16_pair(x, -x);
    EXPECT_EQ(math::to_bits(low_bf16(pair)), math::to_bits(round_bf16(x))) << x;
    EXPECT_EQ(math::to_bits(high_bf16(pair)), math::to_bits(round_bf16(-x))) << x;
  }
  const float nan = math::from_bits(0x7F800001u);  // its only bit is in the lower half
  EXPECT_TRUE(std::isnan(low_bf16(bf16_pair(nan, 1.0f))));
  EXPECT_EQ(high_bf16(bf16_pair(nan, 1.0f)), 1.0f);
}

}  // namespace
}  // namespace rollmill
