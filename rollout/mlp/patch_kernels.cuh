// The dense layer that reads a convolution over ones, on a tile of rows in a block's shared memory: the sums of
// rollout/mlp/patches.h, computed anew for every row. Looking them up would need all of them in every block's shared memory.
#pragma once

#include "core/device/kernel.cuh"
#include "rollout/mlp/dense_kernels.cuh"

namespace rollmill {

// y [tile_rows][width] = finish(bias + the sum over positions of x's `channels` numbers there times W's rows of them): a thread has
// two neighbouring features of kRows rows. x_row: positions * channels. Ends without a barrier.
template <int kRows, class Result, class Finish>
__device__ inline void dense_patches_tile(const float* x, int x_row, int channels, const float* w,
                                          const float* bias, int width, int tile_rows,
                                          const Result& y, Finish&& finish) {
  const int pairs = width / 2;
  for (int item = threadIdx.x; item < pairs * (tile_rows / kRows); item += blockDim.x) {
    const int j = item % pairs * 2, first = item / pairs * kRows;
    const float* weight = w + j;
    const float* rows = x + first * x_row;
    float2 total[kRows];
    for (int r = 0; r < kRows; ++r) total[r] = {bias[j], bias[j + 1]};
    for (int position = 0; position < x_row; position += channels) {
      float2 sum[kRows];
      for (int r = 0; r < kRows; ++r) sum[r] = {0.0f, 0.0f};
      for (int k = position; k < position + channels; k += 4) {
        float2 wk[4];
        for (int c = 0; c < 4; ++c, weight += width)
          wk[c] = *reinterpret_cast<const float2*>(weight);
        for (int r = 0; r < kRows; ++r) {
          const float4 xk = *reinterpret_cast<const float4*>(rows + r * x_row + k);
          const float x4[4] = {xk.x, xk.y, xk.z, xk.w};
          for (int c = 0; c < 4; ++c) {
            sum[r].x = __fmaf_rn(x4[c], wk[c].x, sum[r].x);
            sum[r].y = __fmaf_rn(x4[c], wk[c].y, sum[r].y);
          }
        }
      }
      for (int r = 0; r < kRows; ++r) {
        total[r].x = sum[r].x + total[r].x;
        total[r].y = sum[r].y + total[r].y;
      }
    }
    for (int r = 0; r < kRows; ++r)
      put_two(y, width, first + r, j, {finish(total[r].x), finish(total[r].y)});
  }
}

}  // namespace rollmill
