// The learner's part for policies with a memory and products of bfloat16 numbers (learner_bf16.cuh): of the head and all hidden
// layers but the first, as without a memory. The memory itself stays in float32, forward and backward.
//
// What a step keeps are numbers, which derivatives read. What a product reads is rounded when its turn comes: forward a hidden layer
// leaves pairs for the next one; backward, x and d loss / d the sums lie as pairs where the gates do, which nobody needs while
// a dense layer is at work. Rows without a sequence are zeros there: tensor cores add up all rows of the tile.
#pragma once

#include "trainer/fused/learner_bf16.cuh"
#include "trainer/fused/learner_memory.cuh"

namespace rollmill {

static_assert(kSequenceRows % kTensorRows == 0);

struct Bf16SequenceLayers {
  // What a dense layer multiplies in backward: x, and d loss / d its sums.
  struct Factors {
    std::uint32_t *x, *dy;
  };
  static __device__ Factors factors(const LearnTask& task, const SequenceTile& t) {
    std::uint32_t* x = as_pairs(t.gates);
    return {x, x + bf16_row(sequence_width(task)) * kSequenceRows};
  }

  // (Of SequenceLayers, one by one.)
  static __device__ LayerInput hidden(const LearnTask& task, const LearnNet& net, int l,
                                      LayerInput x, float* out, float* kept) {
    const LearnLayer& layer = net.layers[l];
    const bool last = l + 2 == net.count;  // the memory reads numbers
    const TileResult y{last ? out : kept, last ? nullptr : as_pairs(out)};
    const float* bias = task.policy.params + layer.bias;
    const Activate finish{task.policy.activation};
    if (l < net.rounded) {
      dense_tile<kSequenceBlockRows>(x.x, x.row, layer.inputs, task.policy.params + layer.weight,
                                     bias, layer.width, kSequenceRows, y, finish);
    } else {
      bf16_dense_tile<kSequenceBlockRows>(task.products, as_pairs(x.x), x.row, layer.inputs,
                                          task.transposed + layer.forward, bias, layer.width,
                                          kSequenceRows, y, finish);
    }
    __syncthreads();
    if (!last) return {out, bf16_row(layer.width)};
    const int n = layer.width * kSequenceRows;
    for (int i = threadIdx.x; kept != nullptr && i < n; i += blockDim.x) kept[i] = out[i];
    return {out, layer.width};
  }

  static __device__ void head(const LearnTask& task, const LearnNet& net, const KeptStep& kept,
                              const SequenceTile& t, int rows) {
    const LearnLayer& head = net.layers[net.count - 1];
    const int w = net.memory.width;
    const Factors by = factors(task, t);
    round_tile(kept.after, w, rows, kSequenceRows, by.x);
    __syncthreads();
    bf16_dense_tile<kSequenceBlockRows>(task.products, by.x, bf16_row(w), head.inputs,
                                        task.transposed + head.forward,
                                        task.policy.params + head.bias, head.width, kSequenceRows,
                                        TileResult{t.a, nullptr}, LeaveAsIs{});
    __syncthreads();
  }

  // The state's pairs are where head() left them.
  static __device__ void head_backward(const LearnTask& task, const LearnNet& net, const KeptStep&,
                                       int rows, const SequenceTile& t, float* gradient) {
    const LearnLayer& head = net.layers[net.count - 1];
    round_tile(t.heads.dhead, head.width, rows, kSequenceRows, factors(task, t).dy);
    __syncthreads();
    layer_backward(task, head, net.memory.width, rows, t.heads.dhead, t.b, t, gradient);
    __syncthreads();
  }

  static __device__ void activate_backward(const LearnTask& task, const LearnNet& net, int l,
                                           const KeptStep& kept, int rows, float* d,
                                           const SequenceTile& t) {
    const Factors by = factors(task, t);
    const float* h = kept_layer(net, kept, l);
    const int width = net.layers[l].width;
    if (l < net.rounded) {
      activate_backward_tile(task.policy.activation, h, d, kSequenceRows * width);
      return;
    }
    bf16_activate_backward_tile(task.policy.activation, h, width, kSequenceRows, {d, by.dy});
    round_tile(kept_layer(net, kept, l - 1), net.layers[l - 1].width, rows, kSequenceRows, by.x);
  }

  static __device__ void hidden_backward(const LearnTask& task, const LearnNet& net, int l,
                                         const KeptStep&, int rows, const float* dy, float* dx,
                                         const SequenceTile& t, float* gradient) {
    layer_backward(task, net.layers[l], net.layers[l - 1].width, rows, dy, dx, t, gradient);
  }

 private:
  // Of a layer whose factors are there: dW, db, and dx [kSequenceRows][x_width].
  static __device__ void layer_backward(const LearnTask& task, const LearnLayer& layer, int x_width,
                                        int rows, const float* dy, float* dx, const SequenceTile& t,
                                        float* gradient) {
    const Factors by = factors(task, t);
    const int dy_row = bf16_row(layer.width);
    bf16_weight_tile(task.products, by.x, bf16_row(x_width), layer.inputs, by.dy, dy_row,
                     layer.width, rows, gradient + layer.weight);
    bias_grad_tile(dy, layer.width, rows, gradient + layer.bias);
    bf16_dense_tile<kSequenceBlockRows>(task.products, by.dy, dy_row, layer.outputs,
                                        task.transposed + layer.transposed, nullptr, x_width,
                                        kSequenceRows, TileResult{dx, nullptr}, LeaveAsIs{});
  }
};

}  // namespace rollmill
