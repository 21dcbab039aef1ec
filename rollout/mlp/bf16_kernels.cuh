// Dense layers of bfloat16 factors on a tile of rows in a block's shared memory (trainer.precision = "bf16"): a row's numbers lie
// there rounded, as pairs, [row][bf16_row(width)]; sums are float32. Two ways to add:
//
//   Products::kBf16        the CPU's bits (rollout/mlp/bf16.h): one multiply-add after the other, results below the smallest normal
//                          number flushed. Weights are rounded float32 numbers in the parameters' order.
//   Products::kBf16Tensor  tensor cores: 16 products at a time, in an order that is the hardware's. Weights are fragments
//                          (rollout/mlp/bf16_format.h). A row's sums take its chunks of 16 inputs in ascending order whatever the
//                          tile: its bits depend neither on other rows nor on where it lies.
//
// Functions end without a barrier; all threads of a block call them.
#pragma once

#include <cstdint>

#include "core/device/instructions.cuh"
#include "rollout/mlp/bf16_format.h"
#include "rollout/mlp/dense_kernels.cuh"
#include "rollout/mlp/device_policy.h"

namespace rollmill {

inline constexpr int kTensorRows = 16;  // a tile of tensor products is a multiple of these rows

// A row's numbers are in pairs: k, and in four(), is even.
struct Bf16Product {
  using Row = std::uint32_t;
  static __device__ float one(const std::uint32_t* row, int k) {
    return k % 2 == 0 ? low_bf16(row[k / 2]) : high_bf16(row[k / 2]);
  }
  static __device__ float2 two(const std::uint32_t* row, int k) {
    return {low_bf16(row[k / 2]), high_bf16(row[k / 2])};
  }
  static __device__ float4 four(const std::uint32_t* row, int k) {
    const uint2 pairs = *reinterpret_cast<const uint2*>(row + k / 2);
    return {low_bf16(pairs.x), high_bf16(pairs.x), low_bf16(pairs.y), high_bf16(pairs.y)};
  }
  static __device__ float add(float a, float b, float sum) { return fma_flushed(a, b, sum); }
};

// Room for numbers that holds pairs.
__device__ inline std::uint32_t* as_pairs(float* room) {
  return reinterpret_cast<std::uint32_t*>(room);
}
__device__ inline const std::uint32_t* as_pairs(const float* room) {
  return reinterpret_cast<const std::uint32_t*>(room);
}

// Where a layer's results go: as they are, [row][width], rounded, [row][bf16_row(width)], or both; null: not there.
struct TileResult {
  float* numbers;
  std::uint32_t* pairs;
};
__device__ inline void put_two(const TileResult& y, int width, int row, int j, float2 v) {
  if (y.numbers != nullptr) put_two(y.numbers, width, row, j, v);
  if (y.pairs != nullptr) y.pairs[row * bf16_row(width) + j / 2] = round_pair(v.x, v.y);
}
// Features j to j + 3, j a multiple of 4.
__device__ inline void put_four(const TileResult& y, int width, int row, int j, float4 v) {
  if (y.numbers != nullptr) *reinterpret_cast<float4*>(y.numbers + row * width + j) = v;
  if (y.pairs != nullptr) {
    *reinterpret_cast<uint2*>(y.pairs + row * bf16_row(width) + j / 2) = {round_pair(v.x, v.y),
                                                                          round_pair(v.z, v.w)};
  }
}

// y = finish(bias + x W) on tensor cores: a warp has 16 rows of 16 features, as two of the instruction's tiles. w: fragments. The
// inputs' number is padded with zeros to 16, in x as in w.
template <class Finish>
__device__ inline void tensor_dense_tile(const std::uint32_t* x, int x_row, int inputs,
                                         const float* w, const float* bias, int width,
                                         int tile_rows, const TileResult& y, Finish&& finish) {
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, part = lane % 4;
  const int blocks = width / 16;
  for (int item = warp; item < blocks * (tile_rows / kTensorRows); item += warps) {
    const int j = item % blocks * 16 + part * 4, row = item / blocks * kTensorRows + group;
    const std::uint32_t* upper = x + row * x_row + part;
    const std::uint32_t* lower = upper + 8 * x_row;
    const uint4* weight = reinterpret_cast<const uint4*>(w) + item % blocks * 32 + lane;
    float4 start{0.0f, 0.0f, 0.0f, 0.0f};
    if (bias != nullptr) start = *reinterpret_cast<const float4*>(bias + j);
    float left[4] = {start.x, start.y, start.x, start.y};
    float right[4] = {start.z, start.w, start.z, start.w};
    __syncwarp();
    for (int k = 0; k < inputs; k += 16, upper += 8, lower += 8, weight += blocks * 32) {
      const uint4 wk = *weight;
      const std::uint32_t a[4] = {upper[0], lower[0], upper[4], lower[4]};
      mma_bf16(left, a, {wk.x, wk.y});
      mma_bf16(right, a, {wk.z, wk.w});
    }
    put_four(y, width, row, j,
             {finish(left[0]), finish(left[1]), finish(right[0]), finish(right[1])});
    put_four(y, width, row + 8, j,
             {finish(left[2]), finish(left[3]), finish(right[2]), finish(right[3])});
  }
}

// The lower halves of two words as one, and the upper halves.
__device__ inline std::uint32_t lower_halves(std::uint32_t a, std::uint32_t b) {
  return (a & 0xFFFFu) | b << 16;
}
__device__ inline std::uint32_t upper_halves(std::uint32_t a, std::uint32_t b) {
  return a >> 16 | (b & 0xFFFF0000u);
}

// dw [inputs][width] += x^T dy on tensor cores: a warp has 16 inputs of 16 features, sums over 16 rows at a time. What is multiplied
// are the tile's rows, so that a register wants one number of two rows: a word of each holds that and its neighbour, and both are
// used. So inputs 2 g and 2 g + 1 of 16 are the instruction's rows g and g + 8, even features are its first tile, odd ones its
// second. dy's rows from `rows` on are zeros, x's are finite, up to the next multiple of 16.
__device__ inline void tensor_weight_tile(const std::uint32_t* x, int x_row, int inputs,
                                          const std::uint32_t* dy, int dy_row, int width, int rows,
                                          float* dw) {
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, part = lane % 4;
  const int blocks = width / 16;
  for (int item = warp; item < blocks * ((inputs + 15) / 16); item += warps) {
    const int j = item % blocks * 16, first = item / blocks * 16;
    const std::uint32_t* xs = x + 2 * part * x_row + first / 2 + group;
    const std::uint32_t* ds = dy + 2 * part * dy_row + j / 2 + group;
    const int input = first + 2 * group;
    auto* to = reinterpret_cast<float4*>(dw + static_cast<std::int64_t>(input) * width + j) + part;
    float4* next = to + width / 4;
    float4 one{0.0f, 0.0f, 0.0f, 0.0f}, two = one;
    if (input < inputs) one = *to;
    if (input + 1 < inputs) two = *next;
    float even[4] = {one.x, one.z, two.x, two.z}, odd[4] = {one.y, one.w, two.y, two.w};
    __syncwarp();
    for (int r = 0; r < rows; r += 16, xs += 16 * x_row, ds += 16 * dy_row) {
      const std::uint32_t x0 = xs[0], x1 = xs[x_row], x8 = xs[8 * x_row], x9 = xs[9 * x_row];
      const std::uint32_t d0 = ds[0], d1 = ds[dy_row], d8 = ds[8 * dy_row], d9 = ds[9 * dy_row];
      const std::uint32_t a[4] = {lower_halves(x0, x1), upper_halves(x0, x1), lower_halves(x8, x9),
                                  upper_halves(x8, x9)};
      mma_bf16(even, a, {lower_halves(d0, d1), lower_halves(d8, d9)});
      mma_bf16(odd, a, {upper_halves(d0, d1), upper_halves(d8, d9)});
    }
    if (input < inputs) *to = {even[0], odd[0], even[1], odd[1]};
    if (input + 1 < inputs) *next = {even[2], odd[2], even[3], odd[3]};
  }
}

template <int kRows, class Finish>
__device__ inline void bf16_dense_tile(Products products, const std::uint32_t* x, int x_row,
                                       int inputs, const float* w, const float* bias, int width,
                                       int tile_rows, const TileResult& y, Finish&& finish) {
  if (products == Products::kBf16Tensor) {
    tensor_dense_tile(x, x_row, inputs, w, bias, width, tile_rows, y, finish);
  } else {
    dense_tile<kRows, Bf16Product>(x, x_row, inputs, w, bias, width, tile_rows, y, finish);
  }
}
__device__ inline void bf16_weight_tile(Products products, const std::uint32_t* x, int x_row,
                                        int inputs, const std::uint32_t* dy, int dy_row, int width,
                                        int rows, float* dw) {
  if (products == Products::kBf16Tensor) {
    tensor_weight_tile(x, x_row, inputs, dy, dy_row, width, rows, dw);
  } else {
    weight_product_tile<Bf16Product>(x, x_row, inputs, dy, dy_row, width, rows, dw);
  }
}

// The pairs of a tile [tile_rows][width]; from row `rows` on zeros.
__device__ inline void round_tile(const float* numbers, int width, int rows, int tile_rows,
                                  std::uint32_t* pairs) {
  for (int i = static_cast<int>(threadIdx.x); i < width / 2 * tile_rows;
       i += static_cast<int>(blockDim.x)) {
    const int r = i / (width / 2), k = i % (width / 2) * 2;
    const float2 x = *reinterpret_cast<const float2*>(numbers + r * width + k);
    pairs[r * bf16_row(width) + k / 2] = r < rows ? round_pair(x.x, x.y) : 0u;
  }
}

// activate_backward_tile on [tile_rows][width], and the results as pairs. (A row of zeros stays one.)
__device__ inline void bf16_activate_backward_tile(Activation kind, const float* h, int width,
                                                   int tile_rows, const TileResult& dh) {
  for (int i = static_cast<int>(threadIdx.x); i < width / 2 * tile_rows;
       i += static_cast<int>(blockDim.x)) {
    const int r = i / (width / 2), k = i % (width / 2) * 2;
    const auto of = reinterpret_cast<const float2*>(h + r * width + k);
    auto* to = reinterpret_cast<float2*>(dh.numbers + r * width + k);
    *to = {activate_backward_one(kind, of->x, to->x), activate_backward_one(kind, of->y, to->y)};
    dh.pairs[r * bf16_row(width) + k / 2] = round_pair(to->x, to->y);
  }
}

}  // namespace rollmill
