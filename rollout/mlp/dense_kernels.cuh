// Dense layers on a tile of rows that lies in a block's shared memory, [row][feature] as on the CPU, and their gradients. Each
// number is a chain of fused multiply-adds in the order of rollout/mlp/dense.h: the bits are equal.
#pragma once

#include <cstdint>

#include "core/device/kernel.cuh"
#include "rollout/mlp/elementwise.h"
#include "rollout/mlp/layout.h"

namespace rollmill {

// y [tile_rows][width] = finish(bias + x W): a thread has one feature of kRows rows, so that each weight is read once for them.
// tile_rows is a multiple of kRows; bias may be null. Ends without a barrier.
template <int kRows, class Finish>
__device__ inline void dense_tile(const float* x, int x_row, int inputs, const float* w,
                                  const float* bias, int width, int tile_rows, float* y,
                                  Finish&& finish) {
  for (int item = threadIdx.x; item < width * (tile_rows / kRows); item += blockDim.x) {
    const int j = item % width, first = item / width * kRows;
    const float* weight = w + j;
    const float* rows[kRows];
    const float start = bias != nullptr ? bias[j] : 0.0f;
    float sum[kRows];
    for (int r = 0; r < kRows; ++r) {
      rows[r] = x + (first + r) * x_row;
      sum[r] = start;
    }
    RM_UNROLL_4
    for (int k = 0; k < inputs; ++k, weight += width) {
      const float wk = *weight;
      for (int r = 0; r < kRows; ++r) sum[r] = __fmaf_rn(rows[r][k], wk, sum[r]);
    }
    for (int r = 0; r < kRows; ++r) y[(first + r) * width + j] = finish(sum[r]);
  }
}

// What a hidden layer does to its sums.
struct Activate {
  Activation kind;
  __device__ float operator()(float x) const {
    return kind == Activation::kTanh ? activation_tanh(x) : math::max(x, 0.0f);
  }
};
struct LeaveAsIs {
  __device__ float operator()(float x) const { return x; }
};

// dw [inputs][width] += x^T dy, db [width] += column sums of dy, over `rows` rows in order. A thread has kInputs inputs of one
// feature.
template <int kInputs>
__device__ inline void weight_grad_tile(const float* x, int x_row, int inputs, const float* dy,
                                        int width, int rows, float* dw, float* db) {
  const int blocks = (inputs + kInputs - 1) / kInputs;
  for (int item = threadIdx.x; item < width * blocks; item += blockDim.x) {
    const int j = item % width, first = item / width * kInputs;
    const int n = inputs - first < kInputs ? inputs - first : kInputs;
    float* to = dw + static_cast<std::int64_t>(first) * width + j;
    float sum[kInputs];
    for (int k = 0; k < kInputs; ++k)
      sum[k] = k < n ? to[static_cast<std::int64_t>(k) * width] : 0.0f;
    for (int r = 0; r < rows; ++r) {
      const float d = dy[r * width + j];
      for (int k = 0; k < kInputs; ++k) {
        const float xk = k < n ? x[r * x_row + first + k] : 0.0f;
        sum[k] = __fmaf_rn(xk, d, sum[k]);
      }
    }
    for (int k = 0; k < n; ++k) to[static_cast<std::int64_t>(k) * width] = sum[k];
  }
  for (int j = threadIdx.x; j < width; j += blockDim.x) {
    float sum = db[j];
    for (int r = 0; r < rows; ++r) sum += dy[r * width + j];
    db[j] = sum;
  }
}

// dh *= the activation's derivative, a function of its result h; n numbers of the tile.
__device__ inline void activate_backward_tile(Activation kind, const float* h, float* dh, int n) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    if (kind == Activation::kTanh) {
      dh[i] *= 1.0f - h[i] * h[i];
    } else {
      dh[i] = h[i] > 0.0f ? dh[i] : 0.0f;
    }
  }
}

}  // namespace rollmill
