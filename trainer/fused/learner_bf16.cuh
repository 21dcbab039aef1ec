// The learner's part for products of bfloat16 numbers (rollout/mlp/bf16_kernels.cuh): of the dense layers from LearnNet::rounded on.
// A hidden layer's results lie in a tile twice: as they are, which the activation's derivative reads, and after them rounded, as
// pairs, for the next layer's product and for that of its weights' gradient. The gradient that goes back is kept as pairs, too
// (LearnTile::dpairs). Biases, losses and everything outside a tile are the float32 kernels'. round_kernel rounds the weights of both
// passes, once a minibatch.
#pragma once

#include "rollout/mlp/bf16_kernels.cuh"
#include "trainer/fused/learner_kernels.cuh"

namespace rollmill {

static_assert(kLearnRows % kTensorRows == 0);

// Floats of a layer's weights for the forward product, and for its input's gradient.
RM_HD std::int64_t forward_floats(const LearnLayer& layer, Products products) {
  return products == Products::kBf16Tensor ? fragment_words(layer.inputs, layer.width)
                                           : static_cast<std::int64_t>(layer.inputs) * layer.width;
}
RM_HD std::int64_t backward_floats(const LearnLayer& layer, Products products) {
  const int padded = (layer.inputs + 15) / 16 * 16;
  return products == Products::kBf16Tensor ? fragment_words(layer.outputs, padded)
                                           : static_cast<std::int64_t>(layer.outputs) * padded;
}

// Those of one layer: numbers [inputs][width] and [outputs][pad16(inputs)]; for tensor cores both as fragments.
RM_KERNEL void round_kernel(const float* params, LearnLayer layer, Products products,
                            float* transposed) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t forward = forward_floats(layer, products);
  const bool back = i >= forward;
  const std::int64_t n = back ? i - forward : i;
  if (back && n >= backward_floats(layer, products)) return;
  const int width = back ? pad16(layer.inputs) : layer.width;
  const auto value = [&](int row, int column) {
    const int k = back ? column : row, j = back ? row : column;
    return k < layer.inputs && j < layer.outputs
               ? params[layer.weight + static_cast<std::int64_t>(k) * layer.width + j]
               : 0.0f;
  };
  float* to = transposed + (back ? layer.transposed : layer.forward);
  to[n] = products == Products::kBf16Tensor
              ? math::from_bits(fragment_word(n, width, value))
              : round_bf16(value(static_cast<int>(n / width), static_cast<int>(n % width)));
}

// Layer l's results in a tile; a head has no pairs.
__device__ inline TileResult layer_result(const LearnNet& net, int l, const LearnTile& tile) {
  float* numbers = layer_output(net, l, tile.layers);
  float* after = numbers + net.layers[l].width * kLearnRows;
  const bool head = l + 1 == net.count;
  return {numbers, head ? nullptr : reinterpret_cast<std::uint32_t*>(after)};
}

// From the pairs that layer `first` reads, x_row apart, to the head.
__device__ inline void bf16_layers_forward(const LearnTask& task, const LearnNet& net, int first,
                                           const std::uint32_t* x, int x_row,
                                           const LearnTile& tile) {
  for (int l = first; l < net.count; ++l) {
    const LearnLayer& layer = net.layers[l];
    const TileResult y = layer_result(net, l, tile);
    bf16_dense_tile<kLearnBlockRows>(task.products, x, x_row, layer.inputs,
                                     task.transposed + layer.forward,
                                     task.policy.params + layer.bias, layer.width, kLearnRows, y,
                                     ActivateHidden{task.policy.activation, l + 1 < net.count});
    __syncthreads();
    x = y.pairs;
    x_row = bf16_row(layer.width);
  }
}

__device__ inline void bf16_learn_forward(const LearnTask& task, const LearnNet& net,
                                          const LearnTile& tile) {
  const LearnLayer& first = net.layers[0];
  const TileResult y = layer_result(net, 0, tile);
  dense_tile<kLearnBlockRows>(tile.input, tile_row(task.policy.observations), first.inputs,
                              task.policy.params + first.weight, task.policy.params + first.bias,
                              first.width, kLearnRows, y,
                              ActivateHidden{task.policy.activation, net.count > 1});
  __syncthreads();
  bf16_layers_forward(task, net, 1, y.pairs, bf16_row(first.width), tile);
}

// As upper_layers_backward; what it returns lies in dpairs, too, where the first layer is rounded.
__device__ inline const float* bf16_upper_layers_backward(const LearnTask& task,
                                                          const LearnNet& net,
                                                          const LearnTile& tile, int rows,
                                                          float* gradient) {
  const float* dy = tile.dhead;
  if (net.count > net.rounded) {
    round_tile(dy, net.layers[net.count - 1].width, rows, kLearnRows, tile.dpairs);
    __syncthreads();
  }
  for (int l = net.count - 1; l > 0; --l) {
    const LearnLayer& layer = net.layers[l];
    const TileResult x = layer_result(net, l - 1, tile);
    const int x_width = net.layers[l - 1].width, dy_row = bf16_row(layer.width);
    bf16_weight_tile(task.products, x.pairs, bf16_row(x_width), layer.inputs, tile.dpairs, dy_row,
                     layer.width, rows, gradient + layer.weight);
    bias_grad_tile(dy, layer.width, rows, gradient + layer.bias);
    float* dx = l % 2 != 0 ? tile.dx1 : tile.dx0;
    bf16_dense_tile<kLearnBlockRows>(task.products, tile.dpairs, dy_row, layer.outputs,
                                     task.transposed + layer.transposed, nullptr, x_width,
                                     kLearnRows, TileResult{dx, nullptr}, LeaveAsIs{});
    __syncthreads();  // whoever read dpairs has done so
    bf16_activate_backward_tile(task.policy.activation, x.numbers, x_width, kLearnRows,
                                {dx, tile.dpairs});
    __syncthreads();
    dy = dx;
  }
  return dy;
}

__device__ inline void bf16_learn_backward(const LearnTask& task, const LearnNet& net,
                                           const LearnTile& tile, int rows, float* gradient) {
  const float* dy = bf16_upper_layers_backward(task, net, tile, rows, gradient);
  const LearnLayer& first = net.layers[0];
  weight_grad_tile(tile.input, tile_row(task.policy.observations), first.inputs, dy, first.width,
                   rows, gradient + first.weight, gradient + first.bias);
  __syncthreads();  // the next tile, or network, writes over this one
}

}  // namespace rollmill
