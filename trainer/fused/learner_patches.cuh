// The learner's part for networks whose first convolution sees ones and zeros (Network::by_patch): windows, ids and orders of sums are
// those of rollout/mlp/patches.h and trainer/fused/patch_backward.h.
//
//   a window of a shard, kPatchRows rows     its patches, and which rows show the same one at a position (patch_window.cuh)
//     a network's tiles, kLearnRows rows     patches -> features -> dense layers, loss, back to the first dense layer's sums
//     the network's patches                  from those sums' gradients of all the window's rows
//
// Forward every row is computed anew, by the bits that are set in its patches. Backward goes position by position: what reaches a
// patch from the rows that show it is added up, in ids' order kLearnRows ids at a time, and all gradients below are made of that.
//
// With products of bfloat16 numbers (kBf16) all this stays in float32 up to the first dense layer; those after it are rounded.
//
// In global memory, a region for each block (see learner_conv.cuh): a tile's features, a window's patches, orders and gradients.
// Actor and critic go one after the other: they share no parameter and no sum but the value's, to which an actor of its own adds
// zeros.
#pragma once

#include "rollout/mlp/patch_kernels.cuh"
#include "trainer/fused/learner_bf16.cuh"
#include "trainer/fused/patch_window.cuh"

namespace rollmill {

// Channels j and j + 1 of what a convolution says of a patch, its words kPatchRows apart.
__device__ inline float2 patch_features(const LearnTask& task, const ConvLayer& c,
                                        const std::uint32_t* patch, int j) {
  const float *weight = task.policy.params + c.weight + j, *bias = task.policy.params + c.bias + j;
  float2 h{bias[0], bias[1]};
  for (int w = 0; w < patch_words(c); ++w) {
    for (std::uint32_t bits = patch[w * kPatchRows]; bits != 0; bits &= bits - 1) {
      const int k = 32 * w + __ffs(static_cast<int>(bits)) - 1;
      const float2 wk = *reinterpret_cast<const float2*>(weight + k * c.channels);
      h.x = wk.x + h.x;
      h.y = wk.y + h.y;
    }
  }
  const Activate activate{task.policy.activation};
  return {activate(h.x), activate(h.y)};
}

// A tile of kRows rows through the convolution and the first dense layer, to y; row: of the window, where the tile begins. Ends
// without a barrier.
template <int kRows, class Result>
__device__ inline void patch_layers_tile(const LearnTask& task, const LearnNet& net,
                                         const PatchRegion& region, int row, const Result& y) {
  const ConvLayer& c = net.conv[0].layer;
  const int pairs = c.channels / 2, positions = c.positions();
  for (int item = threadIdx.x; item < pairs * positions * kRows; item += blockDim.x) {
    const int j = item % pairs * 2, place = item / pairs, p = place % positions;
    const std::uint32_t* patch =
        region.patches + std::int64_t{p} * patch_words(c) * kPatchRows + row + place / positions;
    put_two(region.features, c.channels, place, j, patch_features(task, c, patch, j));
  }
  __syncthreads();
  const LearnLayer& dense = net.layers[0];
  dense_patches_tile<kLearnBlockRows>(region.features, c.outputs(), c.channels,
                                      task.policy.params + dense.weight,
                                      task.policy.params + dense.bias, dense.width, kRows, y,
                                      ActivateHidden{task.policy.activation, net.count > 1});
}

template <bool kBf16>
__device__ inline void patch_learn_forward(const LearnTask& task, const LearnNet& net,
                                           const LearnTile& tile, const PatchRegion& region,
                                           int row) {
  const int width = net.layers[0].width;
  if constexpr (kBf16) {
    const TileResult y = layer_result(net, 0, tile);
    patch_layers_tile<kLearnRows>(task, net, region, row, y);
    __syncthreads();
    bf16_layers_forward(task, net, 1, y.pairs, bf16_row(width), tile);
  } else {
    patch_layers_tile<kLearnRows>(task, net, region, row, tile.layers);
    __syncthreads();
    dense_layers_forward(task, net, 1, tile.layers, width, tile);
  }
}

// Down to the first dense layer's sums, whose gradient the window keeps.
template <bool kBf16>
__device__ inline void patch_learn_backward(const LearnTask& task, const LearnNet& net,
                                            const LearnTile& tile, int rows, float* window_dy,
                                            float* gradient) {
  const LearnLayer& dense = net.layers[0];
  const float* dy = kBf16 ? bf16_upper_layers_backward(task, net, tile, rows, gradient)
                          : upper_layers_backward(task, net, tile, rows, gradient);
  bias_grad_tile(dy, dense.width, rows, gradient + dense.bias);
  for (int i = threadIdx.x; i < rows * dense.width; i += blockDim.x) window_dy[i] = dy[i];
  __syncthreads();  // the next tile, or network, writes over this one
}

// Some ids of a position, and their rows.
struct PatchIdsInHand {
  const std::uint32_t* patches;  // of the position
  const std::uint8_t* order;
  const std::uint8_t* begin;  // from the first of these ids on
  int count;
  __device__ int first_row(int id) const { return order[begin[id]]; }
};

// What the rows of each id add up to, dsums [ids][width], and the ids' features. Ends without a barrier.
template <class Tile>
__device__ inline void sum_rows_of_ids(const LearnTask& task, const LearnNet& net,
                                       const PatchIdsInHand& ids, const float* dy, const Tile& t,
                                       float* dsums) {
  const ConvLayer& c = net.conv[0].layer;
  const int width = net.layers[0].width, pairs = width / 2, channel_pairs = c.channels / 2;
  for (int item = threadIdx.x; item < ids.count * pairs; item += blockDim.x) {
    const int j = item % pairs * 2, id = item / pairs, end = ids.begin[id + 1];
    const auto of_row = [&](int place) {
      return *reinterpret_cast<const float2*>(dy + ids.order[place] * width + j);
    };
    float2 sum = of_row(ids.begin[id]);
    for (int place = ids.begin[id] + 1; place < end; ++place) {
      const float2 d = of_row(place);
      sum.x = d.x + sum.x;
      sum.y = d.y + sum.y;
    }
    put_two(dsums, width, id, j, sum);
  }
  for (int item = threadIdx.x; item < ids.count * channel_pairs; item += blockDim.x) {
    const int j = item % channel_pairs * 2, id = item / channel_pairs;
    put_two(t.features, c.channels, id, j,
            patch_features(task, c, ids.patches + ids.first_row(id), j));
  }
}

// dfeatures of the ids at a position, whose transposed weights lie at `transposed`, rows of `row` numbers apart; and their patches.
// Ends without a barrier.
template <class Tile>
__device__ inline void dense_to_features(const LearnTask& task, const LearnNet& net,
                                         const PatchIdsInHand& ids, const float* transposed,
                                         int row, const float* dsums, const Tile& t) {
  const ConvLayer& c = net.conv[0].layer;
  const LearnLayer& dense = net.layers[0];
  const int pairs = c.channels / 2, words = patch_words(c);
  for (int item = threadIdx.x; item < ids.count * pairs; item += blockDim.x) {
    const int j = item % pairs * 2, id = item / pairs;
    const float* d = dsums + id * dense.width;
    const float* weight = transposed + j;
    float2 sum{0.0f, 0.0f};
    for (int k = 0; k < dense.outputs; ++k, weight += row) {
      const float2 wk = *reinterpret_cast<const float2*>(weight);
      sum.x = __fmaf_rn(d[k], wk.x, sum.x);
      sum.y = __fmaf_rn(d[k], wk.y, sum.y);
    }
    const float* h = t.features + id * c.channels + j;
    put_two(t.dfeatures, c.channels, id, j,
            {activate_backward_one(task.policy.activation, h[0], sum.x),
             activate_backward_one(task.policy.activation, h[1], sum.y)});
  }
  for (int item = threadIdx.x; item < ids.count * words; item += blockDim.x) {
    const int id = item / words, w = item % words;
    t.seen[item] = ids.patches[w * kPatchRows + ids.first_row(id)];
  }
}

// The convolution's gradient, id after id: every number of a patch gives its weights what reaches the ids that have it; the bias
// gets everything. Ends without a barrier.
template <class Tile>
__device__ inline void features_to_weights(const ConvLayer& c, int count, const Tile& t,
                                           float* gradient) {
  const int pairs = c.channels / 2, patch = c.patch(), words = patch_words(c);
  for (int item = threadIdx.x; item < pairs * (patch + 1); item += blockDim.x) {
    const int j = item % pairs * 2, k = item / pairs;
    float* to = gradient + (k < patch ? c.weight + std::int64_t{k} * c.channels : c.bias) + j;
    float2 sum = *reinterpret_cast<const float2*>(to);
    for (int id = 0; id < count; ++id) {
      if (k < patch && (t.seen[id * words + k / 32] >> (k % 32) & 1u) == 0) continue;
      const float2 d = *reinterpret_cast<const float2*>(t.dfeatures + id * c.channels + j);
      sum.x = d.x + sum.x;
      sum.y = d.y + sum.y;
    }
    *reinterpret_cast<float2*>(to) = sum;
  }
}

// From the gradients that a window's rows kept, kRows ids at a time, whose sums dsums has room for. Ends with a barrier.
template <int kRows>
__device__ inline void patch_backward(const LearnTask& task, const LearnNet& net,
                                      const PatchTile<kRows>& t, const PatchRegion& region,
                                      float* dsums, float* gradient) {
  const ConvLayer& c = net.conv[0].layer;
  const LearnLayer& dense = net.layers[0];
  const int channels = c.channels, width = dense.width, row = pad16(dense.inputs);
  for (int p = 0; p < c.positions(); ++p) {
    const auto count = static_cast<int>(region.counts[p]);
    const float* transposed = task.transposed + dense.transposed + p * channels;
    float* weight = gradient + dense.weight + std::int64_t{p} * channels * width;
    for (int first = 0; first < count; first += kRows) {
      const int n = count - first < kRows ? count - first : kRows;
      const PatchIdsInHand ids{region.patches + std::int64_t{p} * patch_words(c) * kPatchRows,
                               region.order + p * kPatchRows, region.begin + p * kPatchEnds + first,
                               n};
      sum_rows_of_ids(task, net, ids, region.dy, t, dsums);
      __syncthreads();
      weight_product_tile(t.features, channels, channels, dsums, width, width, n, weight);
      dense_to_features(task, net, ids, transposed, row, dsums, t);
      __syncthreads();
      // (What this reads is written after the next ids' first barrier.)
      features_to_weights(c, n, t, gradient);
    }
  }
  __syncthreads();
}

// A network on the rows of a window.
template <bool kBf16>
__device__ inline void learn_window(const LearnTask& task, const LearnNet& net, bool actor,
                                    const LearnTile& tile, const PatchTile<kLearnRows>& t,
                                    const PatchRegion& region, const std::uint32_t* units, int rows,
                                    float* gradient, double& sum) {
  for (int first = 0; first < rows; first += kLearnRows) {
    const int n = rows - first < kLearnRows ? rows - first : kLearnRows;
    learn_network(
        task, net, actor, tile, units + first, n, gradient, sum,
        [&](const LearnTask& k, const LearnNet& of, const LearnTile& at) {
          patch_learn_forward<kBf16>(k, of, at, region, first);
        },
        [&](const LearnTask& k, const LearnNet& of, const LearnTile& at, int count, float* to) {
          patch_learn_backward<kBf16>(k, of, at, count, region.dy + first * of.layers[0].width, to);
        });
  }
  patch_backward(task, net, t, region, tile.dx0, gradient);
}

// Block b: shards b, b + resident_blocks, ...
template <bool kBf16>
RM_KERNEL void RM_LAUNCH_BOUNDS(kLearnThreads) patch_shard_kernel(RM_GRID_CONSTANT LearnTask task) {
  float* const kept = task.kept + blockIdx.x * task.kept_floats;
  const PatchRegion region = patch_region(task, kept, kLearnRows);
  const LearnTile tile = learn_tile(task);
  const auto t = patch_tile<kLearnRows>(task, shared_memory() + learn_shared_floats(task));
  const auto shards = static_cast<unsigned>(task.groups * task.shards);
  for (unsigned s = blockIdx.x; s < shards; s += task.resident_blocks) {
    const auto [order, begin, end, gradient] = begin_shard(task, s);
    double sum = 0;
    for (int first = begin; first < end; first += kPatchRows) {
      const int rows = end - first < kPatchRows ? end - first : kPatchRows;
      const std::uint32_t* units = order + first;
      read_window(task, units, rows, t, region);
      each_network(task, [&](const LearnNet& net, bool actor) {
        learn_window<kBf16>(task, net, actor, tile, t, region, units, rows, gradient, sum);
      });
    }
    end_shard(task, s, sum);
  }
}

}  // namespace rollmill
