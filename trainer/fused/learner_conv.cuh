// The learner's part for networks that begin with convolutions, but those that look patches up (learner_patches.cuh): tiles, rows
// and orders of sums are those of rollout/mlp/conv.cc and conv_part (trainer/fused/mlp_backward.cc).
//
//   forward    observations -> convolution -> ... -> convolution -> dense layers, in shared memory
//   backward   dense layers -> d0 -> d1 -> d0 ... -> the first convolution's gradient
//
// What convolutions write is too much for shared memory (1,024 numbers of 48 rows are 192 KB) and lies in global memory, as do the
// tile's observations: a region for each block, and blocks go through several shards each, so that there are no more regions than
// blocks that run at a time. A region is written and read by its block alone, between barriers as shared memory is.
//
// With products of bfloat16 numbers (kBf16) convolutions stay in float32; the first dense layer reads pairs, as those after it do.
#pragma once

#include "trainer/fused/learner_bf16.cuh"
#include "trainer/fused/learner_kernels.cuh"

namespace rollmill {

// A block's region, [tile_rows][...] each.
struct ConvRegion {
  float* input;
  float *d0, *d1;        // d loss / d a convolution's results, by turns
  std::uint32_t* pairs;  // of the last convolution's results, with bfloat16 products
  float* layers;         // results of the convolutions, one after the other
};

// Numbers of a row that a convolution writes, at most; actor and critic begin with the same.
RM_HD int conv_width(const LearnNet& net) {
  int width = 0;
  for (int l = 0; l < net.convs; ++l) {
    const int outputs = net.conv[l].layer.outputs();
    width = outputs > width ? outputs : width;
  }
  return width;
}
// Floats of a row that the convolutions before l write.
RM_HD int conv_offset(const LearnNet& net, int l) {
  int row = 0;
  for (int k = 0; k < l; ++k) row += net.conv[k].layer.outputs();
  return row;
}

// What the first dense layer reads.
RM_HD int conv_outputs(const LearnNet& net) { return net.conv[net.convs - 1].layer.outputs(); }

// Floats of a row of a region, without the results of convolutions.
RM_HD int conv_row(const LearnTask& task) {
  const LearnNet& net = task.actor;
  const int pairs = task.products == Products::kFloat32 ? 0 : bf16_row(conv_outputs(net));
  return tile_row(task.policy.observations) + 2 * conv_width(net) + pairs;
}
// Floats that a block keeps.
RM_HD std::int64_t conv_kept_floats(const LearnTask& task) {
  return std::int64_t{conv_row(task) + conv_offset(task.actor, task.actor.convs)} * kLearnRows;
}

__device__ inline ConvRegion conv_region(const LearnTask& task, float* kept, int tile_rows) {
  const LearnNet& net = task.actor;
  const int width = conv_width(net);
  ConvRegion region{};
  region.input = kept;
  region.d0 = kept + tile_row(task.policy.observations) * tile_rows;
  region.d1 = region.d0 + width * tile_rows;
  region.pairs = as_pairs(region.d1 + width * tile_rows);
  region.layers = kept + conv_row(task) * tile_rows;
  return region;
}

// Number k of a patch lies this far from the patch's first.
__device__ inline int patch_offset(const ConvLayer& c, int k) {
  if (!c.planes) {
    const int run = c.kernel * c.channels_in;
    return k / run * c.width_in * c.channels_in + k % run;
  }
  const int line = k / c.kernel, channel = line / c.kernel;
  return (channel * c.height_in + line % c.kernel) * c.width_in + k % c.kernel;
}

// dW, db += what `rows` rows of x, x_row apart, and dy [rows][positions][channels] give, row after row and position after position.
// The bias is taken for the weights of one more number of every patch, which is 1: a thread has two neighbouring channels of two
// numbers.
__device__ inline void conv_weight_grad_tile(const ConvLayer& c, const float* x, int x_row,
                                             const float* dy, int rows, float* gradient) {
  constexpr int kInputs = 2;
  const int pairs = c.channels / 2, patch = c.patch();
  const int step = c.stride * (c.planes ? 1 : c.channels_in), line = step * c.width_in;
  const int items = pairs * (patch / kInputs + 1);
  for (int item = threadIdx.x; item < items; item += blockDim.x) {
    const int j = item % pairs * 2, first = item / pairs * kInputs;
    float2 sum[kInputs];
    int offset[kInputs];  // -1: the bias, or beyond it
    const auto place = [&](int n) {
      const int k = first + n;
      return reinterpret_cast<float2*>(
          gradient + (k < patch ? c.weight + std::int64_t{k} * c.channels : c.bias) + j);
    };
    for (int n = 0; n < kInputs; ++n) {
      sum[n] = *place(n);
      offset[n] = first + n < patch ? patch_offset(c, first + n) : -1;
    }
    const float* d = dy + j;
    for (int r = 0; r < rows; ++r) {
      for (int oy = 0; oy < c.height; ++oy) {
        const float* corner = x + r * x_row + oy * line;
        for (int ox = 0; ox < c.width; ++ox, corner += step, d += c.channels) {
          const float2 by = *reinterpret_cast<const float2*>(d);
          for (int n = 0; n < kInputs; ++n) {
            const float xk = offset[n] < 0 ? 1.0f : corner[offset[n]];
            sum[n].x = __fmaf_rn(xk, by.x, sum[n].x);
            sum[n].y = __fmaf_rn(xk, by.y, sum[n].y);
          }
        }
      }
    }
    for (int n = 0; n < kInputs && first + n <= patch; ++n) *place(n) = sum[n];
  }
}

// dx [tile_rows][inputs] of a later convolution from dy and the transposed weights: a number's sum runs over the positions that see
// it, each position's from 0 over the channels. A thread has two neighbouring channels of a pixel in kRows rows. Ends without a
// barrier.
template <int kRows>
__device__ inline void conv_input_grad_tile(const ConvLayer& c, const float* transposed,
                                            const float* dy, int tile_rows, float* dx) {
  const int pairs = c.channels_in / 2, pixels = c.height_in * c.width_in;
  const int row = pad16(c.patch()), outputs = c.outputs(), inputs = c.inputs();
  const auto first_seeing = [&](int at) {
    return at < c.kernel ? 0 : (at - c.kernel) / c.stride + 1;
  };
  for (int item = threadIdx.x; item < pairs * pixels * (tile_rows / kRows); item += blockDim.x) {
    const int channel = item % pairs * 2, pixel = item / pairs % pixels;
    const int first = item / pairs / pixels * kRows;
    const int y = pixel / c.width_in, x = pixel % c.width_in;
    float2 total[kRows];
    for (int r = 0; r < kRows; ++r) total[r] = {0.0f, 0.0f};
    for (int oy = first_seeing(y); oy < c.height && oy * c.stride <= y; ++oy) {
      for (int ox = first_seeing(x); ox < c.width && ox * c.stride <= x; ++ox) {
        const int ky = y - oy * c.stride, kx = x - ox * c.stride;
        const float* weight = transposed + (ky * c.kernel + kx) * c.channels_in + channel;
        const float* from = dy + first * outputs + (oy * c.width + ox) * c.channels;
        float2 sum[kRows];
        for (int r = 0; r < kRows; ++r) sum[r] = {0.0f, 0.0f};
        for (int k = 0; k < c.channels; k += 4) {
          float2 wk[4];
          for (int n = 0; n < 4; ++n, weight += row)
            wk[n] = *reinterpret_cast<const float2*>(weight);
          for (int r = 0; r < kRows; ++r) {
            const float4 d = *reinterpret_cast<const float4*>(from + r * outputs + k);
            const float d4[4] = {d.x, d.y, d.z, d.w};
            for (int n = 0; n < 4; ++n) {
              sum[r].x = __fmaf_rn(d4[n], wk[n].x, sum[r].x);
              sum[r].y = __fmaf_rn(d4[n], wk[n].y, sum[r].y);
            }
          }
        }
        for (int r = 0; r < kRows; ++r) {
          total[r].x = sum[r].x + total[r].x;
          total[r].y = sum[r].y + total[r].y;
        }
      }
    }
    for (int r = 0; r < kRows; ++r)
      put_two(dx, inputs, first + r, pixel * c.channels_in + channel, total[r]);
  }
}

// Through the convolutions, on tile_rows rows; returns the last's results. Ends with a barrier.
__device__ inline const float* convolve(const LearnTask& task, const LearnNet& net,
                                        const ConvRegion& region, int tile_rows) {
  const float* x = region.input;
  int x_row = tile_row(task.policy.observations);
  for (int l = 0; l < net.convs; ++l) {
    const ConvLayer& c = net.conv[l].layer;
    float* out = region.layers + conv_offset(net, l) * tile_rows;
    conv_tile<kLearnBlockRows>(c, x, x_row, task.policy.params, tile_rows, out,
                               Activate{task.policy.activation});
    __syncthreads();
    x = out;
    x_row = c.outputs();
  }
  return x;
}

// From d loss / d the last convolution's results, in d0, to the gradient of all. Ends with a barrier.
__device__ inline void convolve_backward(const LearnTask& task, const LearnNet& net,
                                         const ConvRegion& region, int rows, int tile_rows,
                                         float* gradient) {
  const Activation activation = task.policy.activation;
  const float* x = region.layers + conv_offset(net, net.convs - 1) * tile_rows;
  float *dy = region.d0, *dx = region.d1;
  activate_backward_tile(activation, x, dy, tile_rows * conv_outputs(net));
  __syncthreads();
  for (int l = net.convs - 1; l > 0; --l) {
    const ConvLayer& c = net.conv[l].layer;
    x = region.layers + conv_offset(net, l - 1) * tile_rows;
    conv_weight_grad_tile(c, x, c.inputs(), dy, rows, gradient);
    conv_input_grad_tile<kLearnBlockRows>(c, task.transposed + net.conv[l].transposed, dy,
                                          tile_rows, dx);
    __syncthreads();
    activate_backward_tile(activation, x, dx, tile_rows * c.inputs());
    __syncthreads();
    float* const next = dy;
    dy = dx;
    dx = next;
  }
  conv_weight_grad_tile(net.conv[0].layer, region.input, tile_row(task.policy.observations), dy,
                        rows, gradient);
  __syncthreads();
}

template <bool kBf16>
__device__ inline void conv_learn_forward(const LearnTask& task, const LearnNet& net,
                                          const LearnTile& tile, const ConvRegion& region) {
  const float* x = convolve(task, net, region, kLearnRows);
  const int x_row = conv_outputs(net);
  if constexpr (kBf16) {
    round_tile(x, x_row, kLearnRows, kLearnRows, region.pairs);
    __syncthreads();
    bf16_layers_forward(task, net, 0, region.pairs, bf16_row(x_row), tile);
  } else {
    dense_layers_forward(task, net, 0, x, x_row, tile);
  }
}

template <bool kBf16>
__device__ inline void conv_learn_backward(const LearnTask& task, const LearnNet& net,
                                           const LearnTile& tile, const ConvRegion& region,
                                           int rows, float* gradient) {
  const LearnLayer& dense = net.layers[0];
  const int inputs = dense.inputs;
  float *dw = gradient + dense.weight, *db = gradient + dense.bias;
  const float* transposed = task.transposed + dense.transposed;
  if constexpr (kBf16) {
    const float* dy = bf16_upper_layers_backward(task, net, tile, rows, gradient);
    const int dy_row = bf16_row(dense.width);
    bf16_weight_tile(task.products, region.pairs, bf16_row(inputs), inputs, tile.dpairs, dy_row,
                     dense.width, rows, dw);
    bias_grad_tile(dy, dense.width, rows, db);
    bf16_dense_tile<kLearnBlockRows>(task.products, tile.dpairs, dy_row, dense.outputs, transposed,
                                     nullptr, inputs, kLearnRows, TileResult{region.d0, nullptr},
                                     LeaveAsIs{});
  } else {
    const float* dy = upper_layers_backward(task, net, tile, rows, gradient);
    const float* x = region.layers + conv_offset(net, net.convs - 1) * kLearnRows;
    weight_grad_tile(x, inputs, inputs, dy, dense.width, rows, dw, db);
    dense_tile<kLearnBlockRows>(dy, dense.width, dense.outputs, transposed, nullptr, inputs,
                                kLearnRows, region.d0, LeaveAsIs{});
  }
  __syncthreads();
  convolve_backward(task, net, region, rows, kLearnRows, gradient);
}

// Block b: shards b, b + resident_blocks, ...
template <bool kBf16>
RM_KERNEL void RM_LAUNCH_BOUNDS(kLearnThreads) conv_shard_kernel(RM_GRID_CONSTANT LearnTask task) {
  const ConvRegion region =
      conv_region(task, task.kept + blockIdx.x * task.kept_floats, kLearnRows);
  LearnTile tile = learn_tile(task);
  tile.input = region.input;
  const auto forward = [&](const LearnTask& t, const LearnNet& net, const LearnTile& at) {
    conv_learn_forward<kBf16>(t, net, at, region);
  };
  const auto backward = [&](const LearnTask& t, const LearnNet& net, const LearnTile& at, int rows,
                            float* gradient) {
    conv_learn_backward<kBf16>(t, net, at, region, rows, gradient);
  };
  const auto shards = static_cast<unsigned>(task.groups * task.shards);
  for (unsigned s = blockIdx.x; s < shards; s += task.resident_blocks)
    learn_shard(task, s, tile, forward, backward);
}

}  // namespace rollmill
