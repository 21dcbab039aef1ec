// Matrix products of bfloat16 numbers, summed in float32 (trainer.precision = "bf16"): factors keep eight bits, sums and
// everything else keep what they had.
//
//   forward      y = b + round(x) round(W)            as dense_forward (rollout/mlp/dense.h)
//   weight_grad  dW += round(x)^T round(dy), db += sum of dy, unrounded
//
// round: to the nearest, ties to even; what is below the smallest normal number becomes 0. Sums run in dense.h's order, every
// multiply-add fused, and what is below the smallest normal number becomes 0 there, too. That is what AVX512_BF16's VDPBF16PS
// does with a pair of factors (Intel 64 manual, volume 2), the second before the first, in one instruction for two multiply-adds.
// Other x86-64 processors do the same in float32 on rounded numbers: the same bits, for a little more than float32's time. (Elsewhere
// sums below the smallest normal number stay.)
#pragma once

#include <cstdint>

#include "core/base/aligned.h"
#include "rollout/mlp/bf16_format.h"
#include "rollout/mlp/dense.h"

namespace rollmill {

// Whether the instruction is used: this processor has it, it does what is said above, and it is faster than float32's.
bool bf16_hardware();
// For tests. kAlways: where there is one that does what is said above.
enum class Bf16Instruction { kWhereFaster, kAlways, kNever };
void choose_bf16_instruction(Bf16Instruction choice);

// x [rows][columns], rounded, its rows as far apart as x's, in `room`. Null where the processor's instruction is used, which rounds
// what it reads: products take either.
const float* bf16_rows(const float* x, std::int64_t x_row, int columns, int rows,
                       AlignedVector<float>& room);

// Weights [inputs][width], rounded, in the order in which the kernels read them.
class Bf16Matrix {
 public:
  Bf16Matrix(int inputs, int outputs, int width);

  // w [inputs][width]. Before the first product, and whenever the weights have changed.
  void pack(const float* w);
  // y [rows][width] = bias [width] (null: 0) + x [rows][inputs] W. x's rows can be read up to pad16(inputs). rounded: bf16_rows of
  // x, for who has them.
  void forward(const float* x, std::int64_t x_row, const float* bias, float* y, std::int64_t y_row,
               int rows, const float* rounded = nullptr) const;

 private:
  int inputs_, outputs_, width_;
  bool hardware_ = false;               // how it was packed
  AlignedVector<std::uint32_t> pairs_;  // rollout/mlp/bf16_avx512.h
  AlignedVector<float> rounded_;        // [inputs][width]
};

// dw [inputs][width] += x^T dy, db [width] += column sums of dy. x's rows can be read up to pad16(inputs). From feature
// `outputs` on dy is zero. x_rounded, dy_rounded: bf16_rows of them, for who has them.
void bf16_weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                      std::int64_t dy_row, int width, int rows, float* dw, float* db, int outputs,
                      const float* x_rounded = nullptr, const float* dy_rounded = nullptr);

}  // namespace rollmill
