// Policy inference on a GPU, the part of a block. It takes a tile of environments through the whole network;
// activations stay in shared memory, [row][feature] as on the CPU.
//
//   input [tile][observations, padded]  ->  a [tile][a_width]  ->  b  ->  a ...  ->  head
//
// One thread computes two features of kRowsPerThread rows: bias first, then one fused multiply-add
// for each input in ascending order. That is the order of rollout/mlp/dense.h, whose lanes are
// features, too; so the bits are equal. The distribution's arithmetic is the CPU's text on tiles of
// one row (rollout/mlp/distribution.h). Products of bfloat16 numbers: rollout/mlp/bf16_kernels.cuh.
#pragma once

#include "core/device/kernel.cuh"
#include "rollout/mlp/beta.h"
#include "rollout/mlp/bf16_kernels.cuh"
#include "rollout/mlp/dense_kernels.cuh"
#include "rollout/mlp/device_policy.h"
#include "rollout/mlp/distribution.h"
#include "rollout/mlp/elementwise.h"
#include "rollout/mlp/patch_kernels.cuh"
#include "rollout/policy.h"

namespace rollmill {

inline constexpr int kRowsPerThread = 4;
inline constexpr int kMaxDeviceMaskWords = 32;  // 1024 choices

// Where a tile's observations lie, [D][stride] each. The frame before the newest one is `before`, earlier ones `slot` words
// before each other; min(frames[i] + more, frame_stack - 1) of them are of environment i's episode.
struct TileSource {
  const float* newest;
  const float* before;
  std::int64_t stride, slot;
  const std::uint8_t* frames;  // null without frame stacking
  int more;
};

// Unpacks a tile's observations [rows of this tile] into input [tile_rows][tile_row(observations)]; rows
// beyond are zero, and so are frames from before the episode. As rollout/mlp/tile_input.cc.
__device__ inline void gather_tile(const DevicePolicy& p, const TileSource& from,
                                   std::int64_t begin, int rows, float* input) {
  const int elements = p.unpack.elements;
  for (int item = threadIdx.x; item < p.observations * p.tile_rows; item += blockDim.x) {
    const int r = item % p.tile_rows, n = item / p.tile_rows;
    const int k = n % elements, back = p.frame_stack - 1 - n / elements;
    float x = 0.0f;
    if (r < rows && (back == 0 || from.frames[begin + r] + from.more >= back)) {
      const float* frame = back == 0 ? from.newest : from.before - (back - 1) * from.slot;
      x = unpack_element(p.unpack, reinterpret_cast<const Word*>(frame) + begin + r, from.stride,
                         k);
      if (p.shift != nullptr) x = normalize_observation(x, p.shift[k], p.scale[k], p.clip);
    }
    input[r * tile_row(p.observations) + n] = x;
  }
  __syncthreads();
}

// A network's memory in a tile: the state [tile_rows][width], then room for the gates.
//
// The state of environments [begin, begin + rows), from columns [size][stride]; nothing where steps says that an episode begins.
__device__ inline void load_memory_tile(const DevicePolicy& p, const MemoryLayer& m,
                                        const float* columns, std::int64_t stride,
                                        const std::uint32_t* steps, std::int64_t begin, int rows,
                                        float* memory) {
  for (int item = threadIdx.x; item < m.width * p.tile_rows; item += blockDim.x) {
    const int r = item % p.tile_rows, j = item / p.tile_rows;
    const bool known = r < rows && j < m.size && (steps == nullptr || steps[begin + r] != 0);
    memory[r * m.width + j] = known ? columns[j * stride + begin + r] : 0.0f;
  }
  __syncthreads();
}
__device__ inline void store_memory_tile(const DevicePolicy& p, const MemoryLayer& m,
                                         const float* memory, std::int64_t stride,
                                         std::int64_t begin, int rows, float* columns) {
  for (int item = threadIdx.x; item < m.size * p.tile_rows; item += blockDim.x) {
    const int r = item % p.tile_rows, j = item / p.tile_rows;
    if (r < rows) columns[j * stride + begin + r] = memory[r * m.width + j];
  }
}

// From x, what the layer reads, to the next state. As rollout/mlp/memory.cc.
__device__ inline void remember_tile(const DevicePolicy& p, const MemoryLayer& m, const float* x,
                                     int x_row, float* memory) {
  const int w = m.width, width = m.gates() * w;
  float *gates = memory + w * p.tile_rows, *recurrent = gates + width * p.tile_rows;
  dense_tile<kRowsPerThread>(x, x_row, m.inputs, p.params + m.input_weight, p.params + m.input_bias,
                             width, p.tile_rows, gates, LeaveAsIs{});
  if (m.kind == MemoryKind::kGru) {
    dense_tile<kRowsPerThread>(memory, w, m.size, p.params + m.recurrent_weight,
                               p.params + m.recurrent_bias, width, p.tile_rows, recurrent,
                               LeaveAsIs{});
  }
  __syncthreads();
  for (int item = threadIdx.x; item < w * p.tile_rows; item += blockDim.x) {
    const int j = item % w, r = item / w;
    float* g = gates + r * width + j;
    const float* u = recurrent + r * width + j;
    float& h = memory[r * w + j];
    h = m.kind == MemoryKind::kGru ? gru_next(g[0], g[w], g[2 * w], u[0], u[w], u[2 * w], h)
                                   : min_gru_next(g[0], g[w], h);
  }
  __syncthreads();
}

// Runs a network over the tile; returns its head [tile_rows][width of the last layer], which lies
// in a or b. memory: loaded before, the next state after.
__device__ inline const float* forward_tile(const DevicePolicy& p, const DeviceNet& net,
                                            const float* input, float* a, float* b, float* memory) {
  int input_row = tile_row(p.observations);
  float* out = a;
  for (int l = 0; l < net.convs; ++l) {
    conv_tile<kRowsPerThread>(net.conv[l], input, input_row, p.params, p.tile_rows, out,
                              Activate{p.activation});
    __syncthreads();
    input = out;
    input_row = net.conv[l].outputs();
    out = out == a ? b : a;
  }
  for (int l = 0; l < net.count; ++l) {
    const DeviceNet::Layer layer = net.layers[l];
    if (l + 1 == net.count && net.memory.kind != MemoryKind::kNone) {
      remember_tile(p, net.memory, input, input_row, memory);
      input = memory;
      input_row = net.memory.width;
    }
    const ActivateHidden finish{p.activation, l + 1 < net.count};
    const float *w = p.params + layer.weight, *bias = p.params + layer.bias;
    if (l == 0 && net.by_patch) {
      dense_patches_tile<kRowsPerThread>(input, input_row, net.conv[0].channels, w, bias,
                                         layer.width, p.tile_rows, out, finish);
    } else {
      dense_tile<kRowsPerThread>(input, input_row, layer.inputs, w, bias, layer.width, p.tile_rows,
                                 out, finish);
    }
    __syncthreads();
    input = out;
    input_row = layer.width;
    out = out == a ? b : a;
  }
  return input;
}

// The state of a tile's memory as pairs, where its gates were. Ends with a barrier.
__device__ inline const float* round_memory_tile(const DevicePolicy& p, const MemoryLayer& m,
                                                 float* memory) {
  float* gates = memory + m.width * p.tile_rows;
  round_tile(memory, m.width, p.tile_rows, p.tile_rows, as_pairs(gates));
  __syncthreads();
  return gates;
}

// forward_tile of bfloat16 products: what such a layer reads lies in a or b as pairs of rounded numbers; a memory, and a first layer
// that reads observations or patches, read numbers.
__device__ inline const float* bf16_forward_tile(const DevicePolicy& p, const DeviceNet& net,
                                                 const float* input, float* a, float* b,
                                                 float* memory) {
  const bool remembers = net.memory.kind != MemoryKind::kNone;
  const int rounded = first_bf16_layer(net.convs > 0, net.by_patch);
  // Whether what is before layer l leaves pairs.
  const auto pairs_before = [&](int l) {
    return l >= rounded && l < net.count && !(remembers && l + 1 == net.count);
  };
  const auto result = [](float* room, bool pairs) {
    return TileResult{pairs ? nullptr : room, pairs ? as_pairs(room) : nullptr};
  };
  const auto row = [](int width, bool pairs) { return pairs ? bf16_row(width) : width; };
  const float* x = input;
  int x_row = tile_row(p.observations);
  float* out = a;
  for (int l = 0; l < net.convs; ++l) {
    const bool pairs = l + 1 == net.convs && pairs_before(0);
    conv_tile<kRowsPerThread>(net.conv[l], x, x_row, p.params, p.tile_rows, result(out, pairs),
                              Activate{p.activation});
    __syncthreads();
    x = out;
    x_row = row(net.conv[l].outputs(), pairs);
    out = out == a ? b : a;
  }
  for (int l = 0; l < net.count; ++l) {
    const DeviceNet::Layer layer = net.layers[l];
    if (l + 1 == net.count && remembers) {
      remember_tile(p, net.memory, x, x_row, memory);
      x = l < rounded ? memory : round_memory_tile(p, net.memory, memory);
      x_row = row(net.memory.width, l >= rounded);
    }
    const bool pairs = pairs_before(l + 1);
    const TileResult y = result(out, pairs);
    const ActivateHidden finish{p.activation, l + 1 < net.count};
    const float *w = p.params + layer.weight, *bias = p.params + layer.bias;
    if (l >= rounded) {
      bf16_dense_tile<kRowsPerThread>(p.products, as_pairs(x), x_row, layer.inputs, w, bias,
                                      layer.width, p.tile_rows, y, finish);
    } else if (net.by_patch) {
      dense_patches_tile<kRowsPerThread>(x, x_row, net.conv[0].channels, w, bias, layer.width,
                                         p.tile_rows, y, finish);
    } else {
      dense_tile<kRowsPerThread>(x, x_row, layer.inputs, w, bias, layer.width, p.tile_rows, y,
                                 finish);
    }
    __syncthreads();
    x = out;
    x_row = row(layer.width, pairs);
    out = out == a ? b : a;
  }
  return x;
}

template <bool kBf16>
__device__ inline const float* network_tile(const DevicePolicy& p, const DeviceNet& net,
                                            const float* input, float* a, float* b, float* memory) {
  if constexpr (kBf16) {
    return bf16_forward_tile(p, net, input, a, b, memory);
  } else {
    return forward_tile(p, net, input, a, b, memory);
  }
}

// Excludes what row i's mask does not allow of the choices [first, first + n), whose logits are z.
__device__ inline void exclude_masked_row(const DevicePolicy& p, const ActRequest& q,
                                          std::int64_t i, float* z, int first, int n) {
  if (q.masks == nullptr) return;
  Word mask[kMaxDeviceMaskWords];
  for (int m = 0; m < p.mask_columns; ++m) mask[m] = q.masks[m * q.stride + i];
  exclude_masked<1>(z, mask, first, n, 1);
}

// Discrete columns of row i; head: logits in, log-probabilities out. Returns the actions' log-probability.
__device__ inline float sample_choices_row(const DevicePolicy& p, const ActRequest& q,
                                           std::int64_t i, float* head) {
  const Rng rng = action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
  float logp = 0.0f;
  int first = 0;
  for (int column = 0; column < p.choice_columns; ++column) {
    const int n = p.choices[column];
    float* z = head + first;
    std::int32_t action;
    exclude_masked_row(p, q, i, z, first, n);
    log_softmax<1>(z, n, 1);
    if (p.greedy) {
      argmax_categorical<1>(z, n, 1, &action);
    } else {
      const float u = action_uniform(rng, column);
      sample_categorical<1>(z, &u, n, 1, &action);
      if (q.masks != nullptr) keep_allowed<1>(z, n, 1, &action);
    }
    static_cast<std::int32_t*>(q.actions)[column * q.stride + i] = action;
    logp += z[action];
    first += n;
  }
  return logp;
}

// The same of a Beta; head: its shapes' part.
__device__ inline float sample_betas_row(const DevicePolicy& p, const ActRequest& q, std::int64_t i,
                                         const float* head, float logp) {
  auto* actions = static_cast<float*>(q.actions) + p.choice_columns * q.stride;
  Rng rng =
      real_action_rng(action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]),
                      p.choice_columns);
  for (int a = 0; a < p.reals; ++a) {
    const float *first = head + a, *second = head + p.reals + a;
    const float alpha = beta_shape(*first), beta = beta_shape(*second);
    const float x = p.greedy ? beta_mean(alpha, beta) : sample_beta(alpha, beta, rng);
    add_beta_logp<1>(&x, first, second, 1, &logp);
    const std::int64_t at = a * q.stride + i;
    actions[at] = bound_action(2.0f * x - 1.0f, p.middle[a], p.half_range[a], p.low[a], p.high[a]);
    if (q.raw_actions != nullptr) q.raw_actions[at] = x;
  }
  return logp;
}

// Real columns of row i; mean: their part of the head.
__device__ inline float sample_reals_row(const DevicePolicy& p, const ActRequest& q, std::int64_t i,
                                         const float* mean, float logp) {
  auto* actions = static_cast<float*>(q.actions) + p.choice_columns * q.stride;
  const bool gaussian = p.distribution == RealDistribution::kGaussian;
  const bool squashed = p.distribution == RealDistribution::kSquashed;
  if (p.distribution == RealDistribution::kBeta) return sample_betas_row(p, q, i, mean, logp);
  for (int a = 0; a < p.reals; ++a) {
    const float* log_std = mean + p.reals + a;  // squashed only
    float raw = mean[a];
    if (!p.greedy && (gaussian || squashed)) {
      const float std = math::exp(squashed ? bound_log_std(*log_std) : p.log_std[a]);
      const Rng rng = action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
      raw = mean[a] + std * action_normal(rng, p.choice_columns, a);
    }
    if (gaussian) add_gaussian_logp<1>(&raw, mean + a, p.log_std[a], 1, &logp);
    if (squashed) add_squashed_logp<1>(&raw, mean + a, log_std, 1, &logp);
    const float unit = gaussian ? raw : math::tanh(raw);
    const std::int64_t at = a * q.stride + i;
    actions[at] = bound_action(unit, p.middle[a], p.half_range[a], p.low[a], p.high[a]);
    if (q.raw_actions != nullptr) q.raw_actions[at] = raw;
  }
  return logp;
}

__device__ inline void sample_row(const DevicePolicy& p, const ActRequest& q, std::int64_t i,
                                  float* head) {
  float logp = p.choice_columns > 0 ? sample_choices_row(p, q, i, head) : 0.0f;
  if (p.reals > 0) {
    int first = 0;
    for (int column = 0; column < p.choice_columns; ++column) first += p.choices[column];
    logp = sample_reals_row(p, q, i, head + first, logp);
  }
  if (q.logprobs != nullptr) q.logprobs[i] = logp;
}

// Floats of shared memory that a tile of p works in.
RM_HD int tile_floats(const DevicePolicy& p) {
  return p.tile_rows * (tile_row(p.observations) + p.a_width + p.b_width + p.memory_row);
}

// The networks on environments [begin, begin + rows), by all threads of a block: values are written, and say(i, head) called, by
// thread r for row r. `input`: tile_floats(p); threads may still read it when the first ones return. kBf16: p.products are
// bfloat16's; float32's kernels would grow and slow down if they held both.
template <bool kBf16, class Say>
__device__ inline void policy_tile(const DevicePolicy& p, const ActRequest& q, std::int64_t begin,
                                   int rows, float* input, Say&& say) {
  float* a = input + p.tile_rows * tile_row(p.observations);
  float* b = a + p.tile_rows * p.a_width;
  float* memory = b + p.tile_rows * p.b_width;
  const bool remembers = p.memory_size > 0;
  const int r = static_cast<int>(threadIdx.x);
  const int networks = q.values != nullptr && p.trunk == Trunk::kSeparate ? 2 : 1;
  gather_tile(p, {q.observations, q.observations - q.slot, q.stride, q.slot, q.frames, 0}, begin,
              rows, input);
  RM_COMPILE_ONCE
  for (int n = 0; n < networks; ++n) {
    const bool actor = n == 0;
    const DeviceNet& net = actor ? p.actor : p.critic;
    float* columns = q.memory + n * p.memory_size * q.stride;
    if (!actor) __syncthreads();  // the critic overwrites the actor's head
    if (remembers)
      load_memory_tile(p, net.memory, columns, q.stride, q.keys.step, begin, rows, memory);
    // The head is in a or b, both ours to write: log_softmax works in place.
    float* head = const_cast<float*>(network_tile<kBf16>(p, net, input, a, b, memory)) +
                  r * net.layers[net.count - 1].width;
    if (remembers) store_memory_tile(p, net.memory, memory, q.stride, begin, rows, columns);
    if (r >= rows) continue;
    if (!actor) {
      q.values[begin + r] = head[0];
      continue;
    }
    if (q.values != nullptr && p.trunk == Trunk::kShared) q.values[begin + r] = head[p.outputs];
    say(begin + r, head);
  }
}

// The whole of an action.
template <bool kBf16>
__device__ inline void act_tile(const DevicePolicy& p, const ActRequest& q, std::int64_t begin,
                                int rows, float* input) {
  policy_tile<kBf16>(p, q, begin, rows, input,
                     [&](std::int64_t i, float* head) { sample_row(p, q, i, head); });
}

// The tile of this block among environments [first, end): where it begins, and its rows.
struct BlockTile {
  std::int64_t begin;
  int rows;
  __device__ BlockTile(const DevicePolicy& p, std::int64_t first, std::int64_t end)
      : begin(first + static_cast<std::int64_t>(blockIdx.x) * p.tile_rows),
        rows(static_cast<int>(end - begin < p.tile_rows ? end - begin : p.tile_rows)) {}
};

}  // namespace rollmill
