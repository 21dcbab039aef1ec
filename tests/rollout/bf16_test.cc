// Products of bfloat16 numbers: rounding by its definition, sums against chains of C's fma() in the documented order, and the
// processor's instruction, where it has one, against the same in float32, for numbers of every size.
#include "rollout/mlp/bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/rng/rng.h"

namespace rollmill {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

AlignedVector<float> normals(std::int64_t n, std::uint32_t stream) {
  Rng rng(17, Purpose::kTest, stream, 0, 0);
  AlignedVector<float> x(at(n));
  for (float& v : x) v = rng.normal();
  return x;
}

// With the instruction and without it, where there is one.
std::vector<bool> ways() {
  choose_bf16_instruction(Bf16Instruction::kAlways);
  return bf16_hardware() ? std::vector<bool>{true, false} : std::vector<bool>{false};
}

class Bf16 : public ::testing::Test {
 protected:
  ~Bf16() override { choose_bf16_instruction(Bf16Instruction::kWhereFaster); }
};

TEST_F(Bf16, RoundsToTheNearestOfTheTwoNeighbours) {
  Rng rng(17, Purpose::kTest, 9, 0, 0);
  for (std::uint32_t high = 0; high < 0x10000; ++high) {
    for (const std::uint32_t low : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu, rng.bits() >> 16}) {
      const auto x = __builtin_bit_cast(float, high << 16 | low);
      const float y = round_bf16(x);
      const auto bits = __builtin_bit_cast(std::uint32_t, y);
      if (std::isnan(x)) {
        EXPECT_TRUE(std::isnan(y));
        continue;
      }
      ASSERT_EQ(bits & 0xFFFFu, 0u) << x;
      ASSERT_EQ(std::signbit(x), std::signbit(y)) << x;
      if (std::abs(x) < 0x1p-126f) {
        ASSERT_EQ(y, 0.0f) << x;
        continue;
      }
      // Seven bits after the first; beyond the largest number lies what would be 2^128.
      const int exponent = std::ilogb(x);
      const double step = std::ldexp(1.0, std::isinf(x) ? 0 : exponent - 7);
      const double exact = std::isinf(x) ? 0 : std::nearbyint(x / step) * step;  // ties to even
      const float expected = std::isinf(x)                ? x
                             : std::abs(exact) >= 0x1p128 ? std::copysign(INFINITY, x)
                                                          : static_cast<float>(exact);
      ASSERT_EQ(y, expected) << x;
    }
  }
}

struct Shape {
  int rows, inputs, outputs;
};
// Every count of rows modulo the register blocks, odd numbers of inputs, whole panels and parts, more than one chunk of inputs.
const Shape kShapes[] = {{1, 1, 1},     {2, 3, 16},   {3, 4, 64},    {4, 5, 32},   {5, 64, 64},
                         {6, 7, 48},    {7, 8, 80},   {11, 6, 64},   {12, 9, 2},   {13, 64, 64},
                         {48, 33, 128}, {47, 2, 112}, {48, 300, 64}, {17, 130, 5}, {100, 20, 70}};

TEST_F(Bf16, SumsAreChainsOfFusedMultiplyAdds) {
  for (const bool hardware : ways()) {
    choose_bf16_instruction(hardware ? Bf16Instruction::kAlways : Bf16Instruction::kNever);
    for (const Shape& s : kShapes) {
      const int width = pad16(s.outputs), x_row = pad16(s.inputs);
      const auto x = normals(std::int64_t{s.rows} * x_row, 1), bias = normals(width, 3);
      auto w = normals(std::int64_t{s.inputs} * width, 2);
      auto dy = normals(std::int64_t{s.rows} * width, 4);
      const auto zero_padding = [&](AlignedVector<float>& m, int rows) {
        for (int r = 0; r < rows; ++r)
          std::fill(m.begin() + r * width + s.outputs, m.begin() + (r + 1) * width, 0.0f);
      };
      zero_padding(w, s.inputs);
      zero_padding(dy, s.rows);
      Bf16Matrix matrix(s.inputs, s.outputs, width);
      matrix.pack(w.data());
      AlignedVector<float> y(dy.size(), NAN), dw = normals(std::int64_t{s.inputs} * width, 5),
                                              db = normals(width, 6);
      zero_padding(dw, s.inputs);
      const auto dw_before = dw, db_before = db;
      matrix.forward(x.data(), x_row, bias.data(), y.data(), width, s.rows);
      bf16_weight_grad(x.data(), x_row, s.inputs, dy.data(), width, width, s.rows, dw.data(),
                       db.data(), s.outputs);
      const std::string what = std::to_string(s.rows) + "x" + std::to_string(s.inputs) + "x" +
                               std::to_string(s.outputs) + (hardware ? ", in hardware" : "");
      for (int j = 0; j < s.outputs; ++j) {
        for (int r = 0; r < s.rows; ++r) {
          float chain = bias[at(j)];
          for (int k = 0; k < s.inputs; ++k)
            chain =
                std::fma(round_bf16(x[at(r * x_row + k)]), round_bf16(w[at(k * width + j)]), chain);
          ASSERT_EQ(y[at(r * width + j)], chain) << what;
        }
        for (int k = 0; k < s.inputs; ++k) {
          float chain = dw_before[at(k * width + j)];
          for (int r = 0; r < s.rows; ++r)
            chain = std::fma(round_bf16(x[at(r * x_row + k)]), round_bf16(dy[at(r * width + j)]),
                             chain);
          ASSERT_EQ(dw[at(k * width + j)], chain) << what;
        }
        float sum = db_before[at(j)];
        for (int r = 0; r < s.rows; ++r) sum += dy[at(r * width + j)];
        ASSERT_EQ(db[at(j)], sum) << what;
      }
    }
  }
}

TEST_F(Bf16, ARowIsTheSameInEveryBatch) {
  for (const bool hardware : ways()) {
    choose_bf16_instruction(hardware ? Bf16Instruction::kAlways : Bf16Instruction::kNever);
    const int rows = 48, inputs = 70, width = 80;
    const auto x = normals(std::int64_t{rows} * pad16(inputs), 1);
    const auto w = normals(std::int64_t{inputs} * width, 2);
    Bf16Matrix matrix(inputs, width, width);
    matrix.pack(w.data());
    AlignedVector<float> all(at(rows * width)), one(at(width));
    matrix.forward(x.data(), pad16(inputs), nullptr, all.data(), width, rows);
    for (int r = 0; r < rows; ++r) {
      matrix.forward(x.data() + r * pad16(inputs), pad16(inputs), nullptr, one.data(), width, 1);
      EXPECT_EQ(std::memcmp(one.data(), all.data() + r * width, at(width) * sizeof(float)), 0);
    }
  }
}

// Factors and sums of every size, below the smallest normal number, infinite and not a number, in shapes with and without odd
// ends, beside inputs that are none: the instruction against float32.
TEST_F(Bf16, HardwareGivesTheBitsOfFloat32) {
  if (ways().size() == 1) GTEST_SKIP() << "no AVX512_BF16 here";
  Rng rng(17, Purpose::kTest, 11, 0, 0);
  std::int64_t tiny = 0, negative_zeros = 0;
  for (int round = 0; round < 600; ++round) {
    const auto [rows, inputs, outputs] = kShapes[at(round) % std::size(kShapes)];
    const int width = pad16(outputs), x_row = pad16(inputs);
    // Exponents about one place each time: products and sums meet at all distances from the smallest normal number.
    const int from = round % 100, span = 1 + round % 40;
    const auto number = [&](int lowest) {
      const std::uint32_t exponent =
          static_cast<std::uint32_t>(lowest) + rng.integer(static_cast<std::uint32_t>(span));
      std::uint32_t bits = (rng.bits() & 0x807FFFFFu) | (exponent & 0xFFu) << 23;
      if (rng.integer(500) == 0) bits &= 0x807FFFFFu;                      // subnormal
      if (round % 10 == 9 && rng.integer(2000) == 0) bits |= 0x7F800000u;  // infinite, not a number
      return __builtin_bit_cast(float, bits);
    };
    AlignedVector<float> x(at(rows * x_row), NAN), w(at(inputs * width)), dy(at(rows * width)),
        bias(at(width));
    for (int r = 0; r < rows; ++r) {
      for (int k = 0; k < inputs; ++k) x[at(r * x_row + k)] = number(from);
      for (int j = 0; j < outputs; ++j) dy[at(r * width + j)] = number(128 - from);
    }
    for (int j = 0; j < outputs; ++j) {
      for (int k = 0; k < inputs; ++k)
        w[at(k * width + j)] = number(128 - from);  // products about 2^-126
      bias[at(j)] = j % 3 == 0 ? -0.0f : number(1);
    }
    AlignedVector<float> y[2], dw[2];
    for (const bool hardware : {false, true}) {
      choose_bf16_instruction(hardware ? Bf16Instruction::kAlways : Bf16Instruction::kNever);
      Bf16Matrix matrix(inputs, outputs, width);
      matrix.pack(w.data());
      y[hardware].resize(at(rows * width));
      matrix.forward(x.data(), x_row, bias.data(), y[hardware].data(), width, rows);
      dw[hardware].assign(at(inputs * width), -0.0f);
      AlignedVector<float> db(at(width));
      bf16_weight_grad(x.data(), x_row, inputs, dy.data(), width, width, rows, dw[hardware].data(),
                       db.data(), outputs);
    }
    const auto expect_same = [&](const AlignedVector<float>& a, const AlignedVector<float>& b) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (i % at(width) >= at(outputs)) continue;
        tiny += a[i] == 0 || std::abs(a[i]) < 0x1p-120f;
        negative_zeros += a[i] == 0 && std::signbit(a[i]);
        if (std::isnan(a[i]) && std::isnan(b[i])) continue;
        ASSERT_EQ(__builtin_bit_cast(std::uint32_t, a[i]), __builtin_bit_cast(std::uint32_t, b[i]))
            << a[i] << " and " << b[i] << ", round " << round << ": " << rows << " x " << inputs
            << " x " << outputs;
      }
    };
    expect_same(y[0], y[1]);
    expect_same(dw[0], dw[1]);
  }
  EXPECT_GT(tiny, 1000);
  EXPECT_GT(negative_zeros, 10);
}

}  // namespace
}  // namespace rollmill
