// The matrix kernels against chains of C's fma() in the documented order (bit for bit) and naive sums in float64.
#include "rollout/mlp/dense.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/rng/rng.h"

namespace rollmill {
namespace {

std::vector<float> normals(std::size_t n, std::uint32_t stream) {
  Rng rng(17, Purpose::kTest, stream, 0, 0);
  std::vector<float> x(n);
  for (float& v : x) v = rng.normal();
  return x;
}

struct Shape {
  int rows, inputs, width;
};

// Every count of rows modulo the register block, one and several vectors, odd numbers of inputs.
const Shape kShapes[] = {{1, 1, 16},  {2, 3, 16},   {3, 4, 64},    {4, 5, 32},
                         {5, 64, 64}, {6, 7, 48},   {7, 8, 80},    {11, 6, 64},
                         {12, 9, 16}, {13, 64, 64}, {48, 31, 128}, {47, 2, 112}};

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

TEST(Dense, ForwardIsTheChainOfFusedMultiplyAdds) {
  for (const Shape& s : kShapes) {
    const auto x = normals(at(s.rows * s.inputs), 1), w = normals(at(s.inputs * s.width), 2);
    const auto bias = normals(at(s.width), 3);
    std::vector<float> y(at(s.rows * s.width), NAN);
    dense_forward(x.data(), s.inputs, s.inputs, w.data(), bias.data(), s.width, y.data(), s.width,
                  s.rows);
    for (int r = 0; r < s.rows; ++r) {
      for (int j = 0; j < s.width; ++j) {
        float chain = bias[at(j)];
        double exact = bias[at(j)], size = std::abs(exact);
        for (int k = 0; k < s.inputs; ++k) {
          const float a = x[at(r * s.inputs + k)], b = w[at(k * s.width + j)];
          chain = std::fma(a, b, chain);
          exact += static_cast<double>(a) * b;
          size += std::abs(static_cast<double>(a) * b);
        }
        ASSERT_EQ(y[at(r * s.width + j)], chain) << s.rows << "x" << s.inputs << "x" << s.width;
        // Each of the `inputs` additions rounds once, at most by half an ulp of the sum of sizes.
        ASSERT_NEAR(y[at(r * s.width + j)], exact, s.inputs * 0x1p-24 * size);
      }
    }
  }
}

TEST(Dense, ForwardWithoutBiasStartsAtZero) {
  const auto x = normals(8 * 5, 1), w = normals(5 * 32, 2);
  const std::vector<float> zero(32);
  std::vector<float> a(8 * 32, NAN), b(8 * 32, NAN);
  dense_forward(x.data(), 5, 5, w.data(), nullptr, 32, a.data(), 32, 8);
  dense_forward(x.data(), 5, 5, w.data(), zero.data(), 32, b.data(), 32, 8);
  EXPECT_EQ(a, b);
}

TEST(Dense, ARowsBitsDoNotDependOnTheBatch) {
  const int inputs = 11, width = 80, most = 100;
  const auto x = normals(at(most * inputs), 4), w = normals(at(inputs * width), 5),
             bias = normals(at(width), 6);
  std::vector<float> alone(at(most * width));
  for (int r = 0; r < most; ++r) {
    dense_forward(&x[at(r * inputs)], inputs, inputs, w.data(), bias.data(), width,
                  &alone[at(r * width)], width, 1);
  }
  for (int rows = 1; rows <= most; ++rows) {
    std::vector<float> y(at(rows * width), NAN);
    dense_forward(x.data(), inputs, inputs, w.data(), bias.data(), width, y.data(), width, rows);
    ASSERT_EQ(std::memcmp(y.data(), alone.data(), y.size() * 4), 0) << rows << " rows";
    // The same rows at another place of a batch.
    const int first = most - rows;
    dense_forward(&x[at(first * inputs)], inputs, inputs, w.data(), bias.data(), width, y.data(),
                  width, rows);
    ASSERT_EQ(std::memcmp(y.data(), &alone[at(first * width)], y.size() * 4), 0)
        << rows << " rows from " << first;
  }
}

// A wide layer computes the same features as its 16-wide pieces: several vectors a block or one, the same bits.
TEST(Dense, RegisterBlocksAgree) {
  const int rows = 23, inputs = 9, width = 144;
  const auto x = normals(at(rows * inputs), 7), w = normals(at(inputs * width), 8),
             bias = normals(at(width), 9);
  std::vector<float> wide(at(rows * width)), narrow(at(rows * 16)), piece(at(inputs * 16));
  dense_forward(x.data(), inputs, inputs, w.data(), bias.data(), width, wide.data(), width, rows);
  for (int f = 0; f < width; f += 16) {
    for (int k = 0; k < inputs; ++k) std::memcpy(&piece[at(k * 16)], &w[at(k * width + f)], 64);
    dense_forward(x.data(), inputs, inputs, piece.data(), &bias[at(f)], 16, narrow.data(), 16,
                  rows);
    for (int r = 0; r < rows; ++r) {
      ASSERT_EQ(std::memcmp(&narrow[at(r * 16)], &wide[at(r * width + f)], 64), 0)
          << "features from " << f;
    }
  }
}

TEST(Dense, WeightGradientAccumulatesInRowOrder) {
  for (const Shape& s : kShapes) {
    const auto x = normals(at(s.rows * s.inputs), 10), dy = normals(at(s.rows * s.width), 11);
    auto dw = normals(at(s.inputs * s.width), 12),
         db = normals(at(s.width), 13);  // gradients so far
    auto expected = dw, expected_db = db;
    dense_weight_grad(x.data(), s.inputs, s.inputs, dy.data(), s.width, s.width, s.rows, dw.data(),
                      db.data());
    for (int j = 0; j < s.width; ++j) {
      for (int k = 0; k < s.inputs; ++k) {
        float& sum = expected[at(k * s.width + j)];
        for (int r = 0; r < s.rows; ++r)
          sum = std::fma(x[at(r * s.inputs + k)], dy[at(r * s.width + j)], sum);
      }
      for (int r = 0; r < s.rows; ++r) expected_db[at(j)] += dy[at(r * s.width + j)];
    }
    ASSERT_EQ(dw, expected) << s.rows << "x" << s.inputs << "x" << s.width;
    ASSERT_EQ(db, expected_db) << s.rows << "x" << s.inputs << "x" << s.width;
  }
}

// Written or added to zeros: the same bits, and nothing is read that was there. Of few outputs the others stay as they are.
TEST(Dense, WeightGradientIsWrittenAsOnToZeros) {
  for (const Shape& s : kShapes) {
    for (const int outputs : {kAllOutputs, s.width - 15, s.width - 8}) {
      const auto x = normals(at(s.rows * s.inputs), 10);
      auto dy = normals(at(s.rows * s.width), 11);
      for (std::size_t i = 0; i < dy.size(); ++i) {
        if (i % at(s.width) >= at(outputs)) dy[i] = 0.0f;
      }
      std::vector<float> added(at(s.inputs * s.width)), written(added.size());
      std::vector<float> added_db(at(s.width)), written_db(at(s.width), NAN);
      for (std::size_t i = 0; i < written.size(); ++i) {
        if (i % at(s.width) < at(outputs)) written[i] = NAN;
      }
      dense_weight_grad(x.data(), s.inputs, s.inputs, dy.data(), s.width, s.width, s.rows,
                        added.data(), added_db.data(), outputs);
      dense_weight_grad(x.data(), s.inputs, s.inputs, dy.data(), s.width, s.width, s.rows,
                        written.data(), written_db.data(), outputs, true);
      ASSERT_EQ(written, added) << s.rows << "x" << s.inputs << "x" << s.width;
      ASSERT_EQ(written_db, added_db);
    }
  }
}

// What is left out of a layer with few outputs is zeros anyway.
TEST(Dense, FewOutputsAreTheSameBits) {
  for (const Shape& s : kShapes) {
    for (const int outputs : {s.width - 15, s.width - 8, s.width - 7}) {
      const auto x = normals(at(s.rows * s.inputs), 16);
      auto w = normals(at(s.inputs * s.width), 17), bias = normals(at(s.width), 18),
           dy = normals(at(s.rows * s.width), 19);
      const auto clear = [&](std::vector<float>& rows_of_width) {
        for (std::size_t i = 0; i < rows_of_width.size(); ++i) {
          if (i % at(s.width) >= at(outputs)) rows_of_width[i] = 0.0f;
        }
      };
      for (auto* values : {&w, &bias, &dy}) clear(*values);
      std::vector<float> few(at(s.rows * s.width), NAN), all = few;
      dense_forward(x.data(), s.inputs, s.inputs, w.data(), bias.data(), s.width, few.data(),
                    s.width, s.rows, outputs);
      dense_forward(x.data(), s.inputs, s.inputs, w.data(), bias.data(), s.width, all.data(),
                    s.width, s.rows);
      ASSERT_EQ(few, all);
      auto few_dw = w, all_dw = w, few_db = bias, all_db = bias;
      dense_weight_grad(x.data(), s.inputs, s.inputs, dy.data(), s.width, s.width, s.rows,
                        few_dw.data(), few_db.data(), outputs);
      dense_weight_grad(x.data(), s.inputs, s.inputs, dy.data(), s.width, s.width, s.rows,
                        all_dw.data(), all_db.data());
      ASSERT_EQ(few_dw, all_dw);
      ASSERT_EQ(few_db, all_db);
    }
  }
}

TEST(Dense, TransposedInSquaresOrNot) {
  for (const auto& [inputs, outputs] : {std::pair{1, 1}, {7, 9}, {8, 8}, {21, 10}, {64, 40}}) {
    const int width = pad16(outputs), padded = pad16(inputs);
    const auto w = normals(at(inputs * width), 14);
    std::vector<float> wt(at(outputs * padded), NAN);
    transpose_weights(w.data(), inputs, outputs, width, wt.data());
    for (int j = 0; j < outputs; ++j) {
      for (int k = 0; k < padded; ++k)
        ASSERT_EQ(wt[at(j * padded + k)], k < inputs ? w[at(k * width + j)] : 0.0f);
    }
  }
}

TEST(Dense, InputGradientIsTheTransposedProduct) {
  const int rows = 13, inputs = 21, outputs = 10, width = 16;
  auto w = normals(at(inputs * width), 14), dy = normals(at(rows * width), 15);
  std::vector<float> wt(at(outputs * pad16(inputs)), NAN), dx(at(rows * pad16(inputs)), NAN);
  transpose_weights(w.data(), inputs, outputs, width, wt.data());
  dense_input_grad(dy.data(), width, outputs, wt.data(), pad16(inputs), dx.data(), pad16(inputs),
                   rows);
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < pad16(inputs); ++k) {
      double sum = 0, size = 0;
      for (int j = 0; k < inputs && j < outputs; ++j) {
        const double term = static_cast<double>(dy[at(r * width + j)]) * w[at(k * width + j)];
        sum += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(dx[at(r * pad16(inputs) + k)], sum, outputs * 0x1p-24 * size)
          << "padding must be zero";
    }
  }
}

TEST(Dense, TanhAndItsDerivative) {
  // Bound: math::tanh is within 4 ulp (tests/core/math), (1 - h^2) loses what cancels near one: absolute 2^-22.
  auto x = normals(1000, 16);
  auto h = x;
  std::vector<float> d(1000, 1.0f);
  activate(Activation::kTanh, h.data(), 1000);
  activate_backward(Activation::kTanh, h.data(), d.data(), 1000);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::tanh(static_cast<double>(x[i]));
    ASSERT_NEAR(h[i], exact, 0x1p-21 * std::abs(exact));
    ASSERT_NEAR(d[i], 1 - exact * exact, 0x1p-20);
  }
}

TEST(Dense, ReluAndItsDerivative) {
  std::vector<float> h = {-2.0f, -0.0f, 0.0f, 1e-30f, 3.0f}, d(5, 7.0f);
  activate(Activation::kRelu, h.data(), 5);
  EXPECT_EQ(h, (std::vector<float>{0.0f, 0.0f, 0.0f, 1e-30f, 3.0f}));
  activate_backward(Activation::kRelu, h.data(), d.data(), 5);
  EXPECT_EQ(d, (std::vector<float>{0.0f, 0.0f, 0.0f, 7.0f, 7.0f}));
}

// Against the C library's float64 tanh on every 64th float: 5.7 ulp is what eight rounded multiply-adds, a product and a quotient
// leave; beyond 7.9, where the true value is within 2.3 ulp of 1, it stays where it is.
TEST(Dense, VectorsOfTanhHaveTheBitsOfOne) {
  std::vector<float> x{0.0f, -0.0f, 1e-40f,    -1e-40f,  7.9f, -7.9f,
                       8.0f, 1e30f, -INFINITY, INFINITY, NAN,  -NAN};
  for (std::uint32_t bits = 0x33000000u; bits < 0x41800000u; bits += 0x1FFFFu) {
    x.push_back(__builtin_bit_cast(float, bits));
    x.push_back(-x.back());
  }
  // With what is left after whole vectors, and without.
  for (const std::size_t n : {x.size() / 16 * 16, x.size() / 16 * 16 - 5}) {
    std::vector<float> y(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(n));
    activate(Activation::kTanh, y.data(), static_cast<std::int64_t>(n));
    for (std::size_t i = 0; i < n; ++i) {
      const float one = activation_tanh(x[i]);
      if (std::isnan(x[i])) {
        EXPECT_TRUE(std::isnan(y[i]) && std::isnan(one));
      } else {
        EXPECT_EQ(__builtin_bit_cast(std::uint32_t, y[i]), __builtin_bit_cast(std::uint32_t, one))
            << x[i];
      }
    }
  }
}

TEST(Activation, TanhIsAccurateOddAndInsideItsRange) {
  double worst = 0;
  for (std::uint32_t bits = 0x2f800000u; bits < 0x41200000u; bits += 64) {
    const float x = __builtin_bit_cast(float, bits), y = activation_tanh(x);
    EXPECT_EQ(activation_tanh(-x), -y);
    EXPECT_LT(y, 1.0f);
    const double exact = std::tanh(static_cast<double>(x));
    const float near = std::min(static_cast<float>(exact), std::nextafterf(1.0f, 0.0f));
    const double ulp = static_cast<double>(std::nextafterf(near, 2.0f)) - static_cast<double>(near);
    worst = std::max(worst, std::abs(static_cast<double>(y) - exact) / ulp);
  }
  EXPECT_LT(worst, 5.7);
  EXPECT_GT(worst, 1.0);
  EXPECT_EQ(activation_tanh(1e30f), activation_tanh(7.9f));
  EXPECT_TRUE(std::isnan(activation_tanh(NAN)));
  EXPECT_TRUE(std::signbit(activation_tanh(-0.0f)));
}

}  // namespace
}  // namespace rollmill
