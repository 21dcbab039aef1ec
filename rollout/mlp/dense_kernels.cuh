// Dense layers on a tile of rows that lies in a block's shared memory, [row][feature] as on the CPU, and their gradients. Each
// number is a chain of fused multiply-adds in the order of rollout/mlp/dense.h: the bits are equal.
#pragma once

#include <cstdint>

#include "core/device/kernel.cuh"
#include "rollout/mlp/elementwise.h"
#include "rollout/mlp/layout.h"

namespace rollmill {

// Rows of a tile lie a multiple of this many floats apart, so that four of a row can be read at once.
inline constexpr int kRowFloats = 4;
RM_HD int tile_row(int numbers) { return (numbers + kRowFloats - 1) / kRowFloats * kRowFloats; }

// How a row's numbers are read and products added up. (Those of bfloat16 numbers: rollout/mlp/bf16_kernels.cuh.)
struct Float32Product {
  using Row = float;
  static __device__ float one(const float* row, int k) { return row[k]; }
  static __device__ float2 two(const float* row, int k) {
    return *reinterpret_cast<const float2*>(row + k);
  }
  static __device__ float4 four(const float* row, int k) {
    return *reinterpret_cast<const float4*>(row + k);
  }
  static __device__ float add(float a, float b, float sum) { return __fmaf_rn(a, b, sum); }
};

// Features j and j + 1 of a tile's row, where y is [row][width].
__device__ inline void put_two(float* y, int width, int row, int j, float2 value) {
  *reinterpret_cast<float2*>(y + row * width + j) = value;
}

// y [tile_rows][width] = finish(bias + x W): a thread has two neighbouring features of kRows rows. What limits such a product is
// reading shared memory, so a thread reads four inputs of a row at once, and uses them for both features; a weight is read once
// for all rows. tile_rows is a multiple of kRows, x_row of kRowFloats, width of 16; bias may be null. Ends without a barrier.
template <int kRows, class Product = Float32Product, class Result, class Finish>
__device__ inline void dense_tile(const typename Product::Row* x, int x_row, int inputs,
                                  const float* w, const float* bias, int width, int tile_rows,
                                  const Result& y, Finish&& finish) {
  const int pairs = width / 2;
  for (int item = threadIdx.x; item < pairs * (tile_rows / kRows); item += blockDim.x) {
    const int j = item % pairs * 2, first = item / pairs * kRows;
    const float* weight = w + j;
    const typename Product::Row* rows = x + first * x_row;
    float2 start{0.0f, 0.0f};
    if (bias != nullptr) start = {bias[j], bias[j + 1]};
    float2 sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = start;
    const auto add = [&](int r, float xk, float2 wk) {
      sum[r].x = Product::add(xk, wk.x, sum[r].x);
      sum[r].y = Product::add(xk, wk.y, sum[r].y);
    };
    const auto next_weights = [&] {
      const float2 wk = *reinterpret_cast<const float2*>(weight);
      weight += width;
      return wk;
    };
    int k = 0;
    for (; k + 4 <= inputs; k += 4) {
      float2 wk[4];
      for (int c = 0; c < 4; ++c) wk[c] = next_weights();
      for (int r = 0; r < kRows; ++r) {
        const float4 xk = Product::four(rows + r * x_row, k);
        add(r, xk.x, wk[0]);
        add(r, xk.y, wk[1]);
        add(r, xk.z, wk[2]);
        add(r, xk.w, wk[3]);
      }
    }
    for (; k < inputs; ++k) {
      const float2 wk = next_weights();
      for (int r = 0; r < kRows; ++r) add(r, Product::one(rows + r * x_row, k), wk);
    }
    for (int r = 0; r < kRows; ++r)
      put_two(y, width, first + r, j, {finish(sum[r].x), finish(sum[r].y)});
  }
}

// y [tile_rows][positions][channels] = finish(bias + patches W) of a convolution (rollout/mlp/conv.h): a thread has two channels of
// one position in kRows rows. A patch's numbers lie in runs of neighbours.
template <int kRows, class Result, class Finish>
__device__ inline void conv_tile(const ConvLayer& c, const float* x, int x_row, const float* params,
                                 int tile_rows, const Result& y, Finish&& finish) {
  const int pairs = c.channels / 2, positions = c.positions(), outputs = c.outputs();
  const int runs = c.planes ? c.channels_in * c.kernel : c.kernel;
  const int run_length = c.planes ? c.kernel : c.kernel * c.channels_in;
  const int items = pairs * positions * (tile_rows / kRows);
  for (int item = threadIdx.x; item < items; item += blockDim.x) {
    const int j = item % pairs * 2, place = item / pairs % positions;
    const int first = item / pairs / positions * kRows;
    const int top = place / c.width * c.stride, left = place % c.width * c.stride;
    const float* weight = params + c.weight + j;
    float2 sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = {params[c.bias + j], params[c.bias + j + 1]};
    for (int run = 0; run < runs; ++run) {
      const int line = c.planes ? run / c.kernel * c.height_in + top + run % c.kernel : top + run;
      const int column = c.planes ? left : left * c.channels_in;
      const float* from =
          x + first * x_row + line * (c.planes ? c.width_in : c.width_in * c.channels_in) + column;
      for (int k = 0; k < run_length; ++k, weight += c.channels) {
        const float2 wk = *reinterpret_cast<const float2*>(weight);
        for (int r = 0; r < kRows; ++r) {
          const float xk = from[r * x_row + k];
          sum[r].x = __fmaf_rn(xk, wk.x, sum[r].x);
          sum[r].y = __fmaf_rn(xk, wk.y, sum[r].y);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      put_two(y, outputs, first + r, place * c.channels + j, {finish(sum[r].x), finish(sum[r].y)});
    }
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
struct ActivateHidden {
  Activation kind;
  bool hidden;
  __device__ float operator()(float x) const { return hidden ? Activate{kind}(x) : x; }
};

// dw [inputs][width] += x^T dy over `rows` rows in order. A thread has four inputs of two neighbouring features; x_row is a
// multiple of kRowFloats.
template <class Product = Float32Product>
__device__ inline void weight_product_tile(const typename Product::Row* x, int x_row, int inputs,
                                           const typename Product::Row* dy, int dy_row, int width,
                                           int rows, float* dw) {
  constexpr int kInputs = 4;
  const int pairs = width / 2, blocks = (inputs + kInputs - 1) / kInputs;
  for (int item = threadIdx.x; item < pairs * blocks; item += blockDim.x) {
    const int j = item % pairs * 2, first = item / pairs * kInputs;
    const int n = inputs - first < kInputs ? inputs - first : kInputs;
    const auto place = [&](int k) {
      return reinterpret_cast<float2*>(dw + static_cast<std::int64_t>(first + k) * width + j);
    };
    float2 sum[kInputs];
    for (int k = 0; k < kInputs; ++k) sum[k] = k < n ? *place(k) : float2{0.0f, 0.0f};
    const auto add = [&](int k, float xk, float2 d) {
      sum[k].x = Product::add(xk, d.x, sum[k].x);
      sum[k].y = Product::add(xk, d.y, sum[k].y);
    };
    for (int r = 0; r < rows; ++r) {
      const float2 d = Product::two(dy + r * dy_row, j);
      // (Beyond the last input the row holds anything; those sums are thrown away.)
      const float4 xk = Product::four(x + r * x_row, first);
      add(0, xk.x, d);
      add(1, xk.y, d);
      add(2, xk.z, d);
      add(3, xk.w, d);
    }
    for (int k = 0; k < n; ++k) *place(k) = sum[k];
  }
}

// db [width] += column sums of dy [rows][width], in order.
__device__ inline void bias_grad_tile(const float* dy, int width, int rows, float* db) {
  for (int j = threadIdx.x; j < width; j += blockDim.x) {
    float sum = db[j];
    for (int r = 0; r < rows; ++r) sum += dy[r * width + j];
    db[j] = sum;
  }
}

__device__ inline void weight_grad_tile(const float* x, int x_row, int inputs, const float* dy,
                                        int width, int rows, float* dw, float* db) {
  weight_product_tile(x, x_row, inputs, dy, width, width, rows, dw);
  bias_grad_tile(dy, width, rows, db);
}

// dh times the activation's derivative, a function of its result h.
__device__ inline float activate_backward_one(Activation kind, float h, float dh) {
  if (kind == Activation::kTanh) return dh * (1.0f - h * h);
  return h > 0.0f ? dh : 0.0f;
}

// The same in place, of n numbers of the tile.
__device__ inline void activate_backward_tile(Activation kind, const float* h, float* dh, int n) {
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    dh[i] = activate_backward_one(kind, h[i], dh[i]);
}

}  // namespace rollmill
