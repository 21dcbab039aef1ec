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
  // What dense layer l multiplies in backward: x, and d loss / d its sums.
  struct Factors {
    std::uint32_t *x, *dy;
  };
  static __device__ Factors factors(const LearnTask& task, const SequenceTile& t, int l) {
    std::uint32_t* x = as_pairs(t.gates);
    return {l > 0 ? x : t.conv_pairs, x + bf16_row(sequence_width(task)) * kSequenceRows};
  }

  // (Of SequenceLayers, one by one.)
  static __device__ LayerInput read(const float* x, int width, const SequenceTile& t) {
    round_tile(x, width, kSequenceRows, kSequenceRows, t.conv_pairs);
    __syncthreads();
    return {reinterpret_cast<const float*>(t.conv_pairs), bf16_row(width)};
  }

  template <class Product>
  static __device__ LayerInput keep(const LearnNet& net, int l, float* out, float* kept,
                                    Product&& product) {
    const bool last = l + 2 == net.count;  // the memory reads numbers
    product(TileResult{last ? out : kept, last ? nullptr : as_pairs(out)});
    __syncthreads();
    const int width = net.layers[l].width, n = width * kSequenceRows;
    if (!last) return {out, bf16_row(width)};
    for (int i = threadIdx.x; kept != nullptr && i < n; i += blockDim.x) kept[i] = out[i];
    return {out, width};
  }

  static __device__ LayerInput hidden(const LearnTask& task, const LearnNet& net, int l,
                                      LayerInput x, float* out, float* kept) {
    const LearnLayer& layer = net.layers[l];
    const float* bias = task.policy.params + layer.bias;
    const Activate finish{task.policy.activation};
    return keep(net, l, out, kept, [&](const TileResult& y) {
      if (l < net.rounded) {
        dense_tile<kSequenceBlockRows>(x.x, x.row, layer.inputs, task.policy.params + layer.weight,
                                       bias, layer.width, kSequenceRows, y, finish);
      } else {
        bf16_dense_tile<kSequenceBlockRows>(task.products, as_pairs(x.x), x.row, layer.inputs,
                                            task.transposed + layer.forward, bias, layer.width,
                                            kSequenceRows, y, finish);
      }
    });
  }

  static __device__ void head(const LearnTask& task, const LearnNet& net, const KeptStep& kept,
                              const SequenceTile& t, int rows) {
    const LearnLayer& head = net.layers[net.count - 1];
    const int w = net.memory.width;
    const Factors by = factors(task, t, net.count - 1);
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
    const int l = net.count - 1;
    const LearnLayer& head = net.layers[l];
    const Factors by = factors(task, t, l);
    round_tile(t.heads.dhead, head.width, rows, kSequenceRows, by.dy);
    __syncthreads();
    layer_backward(task, head, by, net.memory.width, rows, t.heads.dhead, t.b, gradient);
    __syncthreads();
  }

  static __device__ void activate_backward(const LearnTask& task, const LearnNet& net, int l,
                                           const KeptStep& kept, int rows, float* d,
                                           const SequenceTile& t) {
    const float* h = kept_layer(net, kept, l);
    const int width = net.layers[l].width;
    if (l < net.rounded) {
      activate_backward_tile(task.policy.activation, h, d, kSequenceRows * width);
      return;
    }
    const Factors by = factors(task, t, l);
    const LayerInput x = kept_input(net, kept, l);
    bf16_activate_backward_tile(task.policy.activation, h, width, kSequenceRows, {d, by.dy});
    round_tile(x.x, x.row, rows, kSequenceRows, by.x);
  }

  static __device__ void hidden_backward(const LearnTask& task, const LearnNet& net, int l,
                                         const KeptStep& kept, int rows, const float* dy, float* dx,
                                         const SequenceTile& t, float* gradient) {
    layer_backward(task, net.layers[l], factors(task, t, l), kept_input(net, kept, l).row, rows, dy,
                   dx, gradient);
  }

 private:
  // Of a layer whose factors are there: dW, db, and dx [kSequenceRows][x_width].
  static __device__ void layer_backward(const LearnTask& task, const LearnLayer& layer,
                                        const Factors& by, int x_width, int rows, const float* dy,
                                        float* dx, float* gradient) {
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
