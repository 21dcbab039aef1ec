// Dense networks on one tile of rows, forward and backward, with what lies between in shared memory: what the learners of PPO
// (trainer/fused/learner_kernels.cuh) and of DQN, SAC and TD3 (trainer/algos) do to a minibatch's tiles.
#pragma once

#include <cstdint>

#include "core/device/kernel.cuh"
#include "rollout/mlp/dense_kernels.cuh"
#include "rollout/mlp/device_policy.h"
#include "rollout/mlp/tile_input.h"

namespace rollmill {

inline constexpr int kLearnRows = kTileRows;  // of a tile: the CPU's
inline constexpr int kLearnThreads = 384;     // twelve blocks of four rows of 32 pairs of features
inline constexpr int kLearnBlockRows = 4;     // kLearnRows is a multiple

struct LearnLayer {
  int inputs, outputs, width;
  std::int64_t weight, bias;  // offsets into the parameters
  // Into the transposed weights [outputs][pad16(inputs)]; not of a layer that reads observations.
  std::int64_t transposed;
  int room = 0;  // floats of a tile's row that the layer's results take
  // With bfloat16 products (trainer/fused/learner_bf16.cuh): offset of the forward pass's weights, before `transposed`.
  std::int64_t forward = 0;
};
struct LearnConv {
  ConvLayer layer;
  std::int64_t transposed;  // as LearnLayer's, [channels][pad16(patch)]; not of the first
};
struct LearnNet {
  LearnLayer layers[kMaxDeviceLayers];
  int count;                                  // 0: there is no such network
  int rounded;                                // the first of bfloat16 products; count: none
  MemoryLayer memory;                         // before the last of those
  LearnLayer memory_input, memory_recurrent;  // its matrices; the second is a GRU's
  LearnConv conv[kMaxDeviceConvs];            // before the layers
  int convs;
  bool by_patch;  // Network::by_patch
};

// After l layers: activations + what the layers before take of a tile.
__device__ inline float* layer_output(const LearnNet& net, int l, float* layers,
                                      int tile_rows = kLearnRows) {
  for (int k = 0; k < l; ++k) layers += net.layers[k].room * tile_rows;
  return layers;
}

// x [tile_rows][x_row], what layer `first` reads, through it and those after it; tile_rows: a multiple of kLearnBlockRows. Results
// stay in `layers`, the head's in layer_output(net, net.count - 1, layers, tile_rows). Ends with a barrier.
__device__ inline void forward_layers(const LearnNet& net, const float* params,
                                      Activation activation, const float* x, int x_row,
                                      float* layers, int tile_rows = kLearnRows, int first = 0) {
  float* out = layer_output(net, first, layers, tile_rows);
  for (int l = first; l < net.count; ++l) {
    const LearnLayer& layer = net.layers[l];
    dense_tile<kLearnBlockRows>(x, x_row, layer.inputs, params + layer.weight, params + layer.bias,
                                layer.width, tile_rows, out,
                                ActivateHidden{activation, l + 1 < net.count});
    __syncthreads();
    x = out;
    x_row = layer.width;
    out += layer.room * tile_rows;
  }
}

// From dhead [tile_rows][width of the head] to d loss / d the first layer's sums, which it returns, and to the gradient of the layers
// above, which accumulates. dx0, dx1: of the widest layer.
__device__ inline const float* upper_layers_backward(const LearnNet& net, const float* transposed,
                                                     Activation activation, float* layers,
                                                     const float* dhead, float* dx0, float* dx1,
                                                     int rows, float* gradient,
                                                     int tile_rows = kLearnRows) {
  const float* dy = dhead;
  for (int l = net.count - 1; l > 0; --l) {
    const LearnLayer& layer = net.layers[l];
    const float* x = layer_output(net, l - 1, layers, tile_rows);
    const int x_row = net.layers[l - 1].width;
    weight_grad_tile(x, x_row, layer.inputs, dy, layer.width, rows, gradient + layer.weight,
                     gradient + layer.bias);
    float* dx = l % 2 != 0 ? dx1 : dx0;
    dense_tile<kLearnBlockRows>(dy, layer.width, layer.outputs, transposed + layer.transposed,
                                nullptr, x_row, tile_rows, dx, LeaveAsIs{});
    __syncthreads();
    activate_backward_tile(activation, x, dx, tile_rows * x_row);
    __syncthreads();
    dy = dx;
  }
  return dy;
}

// The same down to the input of all layers. Ends with a barrier.
__device__ inline void backward_layers(const LearnNet& net, const float* transposed,
                                       Activation activation, const float* input, int input_row,
                                       float* layers, const float* dhead, float* dx0, float* dx1,
                                       int rows, float* gradient, int tile_rows = kLearnRows) {
  const float* dy = upper_layers_backward(net, transposed, activation, layers, dhead, dx0, dx1,
                                          rows, gradient, tile_rows);
  const LearnLayer& first = net.layers[0];
  weight_grad_tile(input, input_row, first.inputs, dy, first.width, rows, gradient + first.weight,
                   gradient + first.bias);
  __syncthreads();  // the next tile, or network, writes over this one
}

// wt [outputs][pad16(inputs)] of one layer.
RM_KERNEL void transpose_kernel(const float* params, LearnLayer layer, float* transposed) {
  const int padded = pad16(layer.inputs);
  const std::int64_t n = static_cast<std::int64_t>(layer.outputs) * padded;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int k = static_cast<int>(i % padded), j = static_cast<int>(i / padded);
  transposed[layer.transposed + i] =
      k < layer.inputs ? params[layer.weight + static_cast<std::int64_t>(k) * layer.width + j]
                       : 0.0f;
}

inline constexpr int kElementThreads = 256;  // of kernels with one thread an element
inline std::int64_t element_blocks(std::int64_t n) {
  return (n + kElementThreads - 1) / kElementThreads;
}

// A network of dense layers alone, whose transposed weights begin at `transposed`, which moves behind them. first: the first
// layer's are transposed, too, for the gradient of its input.
inline LearnNet dense_net(const Network& network, bool first, std::int64_t& transposed) {
  LearnNet net{};
  for (const DenseLayer& l : network.dense) {
    net.layers[net.count] = {l.inputs, l.outputs, l.width, l.weight, l.bias, transposed, l.width};
    if (net.count++ > 0 || first)
      transposed += static_cast<std::int64_t>(l.outputs) * pad16(l.inputs);
  }
  return net;
}

template <class Launch>
void launch_transpose(Launch&& launch, const LearnLayer& layer, const float* params,
                      float* transposed) {
  const std::int64_t n = static_cast<std::int64_t>(layer.outputs) * pad16(layer.inputs);
  launch("transpose_kernel", transpose_kernel, element_blocks(n), kElementThreads, 0, params, layer,
         transposed);
}
// From layer `first` on.
template <class Launch>
void launch_transposes(Launch&& launch, const LearnNet& net, int first, const float* params,
                       float* transposed) {
  for (int l = first; l < net.count; ++l)
    launch_transpose(launch, net.layers[l], params, transposed);
}

}  // namespace rollmill
