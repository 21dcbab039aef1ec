// PPO's update on a GPU, with the CPU's bits (trainer/fused/fused_learner.cc): the same shards of a minibatch, tiles of rows and
// orders of sums, and the same text for everything that is done to one row (trainer/fused/ppo_rows.h). Products of bfloat16 numbers:
// trainer/fused/learner_bf16.cuh. Networks that begin with convolutions: learner_conv.cuh, learner_patches.cuh.
//
//   order_kernel       which sample comes when, of large epochs
//   advantage_kernel   an epoch's minibatches: parts of the sums of their advantages, and of squares
//   sums_kernel        those sums, of each of this rank's groups
//   statistics_kernel  means and scales, from the sums of all ranks' groups
//   transpose_kernel   the weights that the backward pass reads
//   shard_kernel       a block goes through the tiles of one shard: gather, forward, loss, backward
//   conv_shard_kernel, patch_shard_kernel   the same of networks with convolutions
//   sequence_kernel    the same of policies with a memory, through time (trainer/fused/learner_memory.cuh)
//   gradient_kernel    shard 0 + shard 1 + ... of each of this rank's groups, and their losses
//   combine_kernel     group 0 + group 1 + ... of all ranks
//   plan_kernel        the gradient's norm, what the losses add up to, and whether and how far Adam goes
//   adam_kernel        a step
//
// Samples belong to groups of environments, each permuted and summed alone, as on the CPU; between the kernels that work on this
// rank's groups and those on all, ranks exchange their parts (trainer/fused/learner_sequence.cuh).
#pragma once

#include <cmath>
#include <cstddef>

#include "core/device/kernel.cuh"
#include "rollout/mlp/bf16_format.h"
#include "rollout/mlp/device_policy.h"
#include "trainer/fused/layer_kernels.cuh"
#include "trainer/fused/ppo_rows.h"
#include "trainer/fused/sequence_rows.h"

namespace rollmill {

inline constexpr int kMaxLearnColumns = 16;  // discrete, and real, action columns
inline constexpr int kMaxLearnMasks = 32;    // words
inline constexpr int kStatistics = 4;        // floats a minibatch, see statistics_kernel

// What changes from update to update, in device memory: a captured graph reads it there.
struct LearnSettings {
  PpoOptions options;
  double learning_rate;
};

// What an update has done so far, and the optimiser's counters.
struct LearnState {
  std::int64_t step;
  int skipped, longest;  // steps skipped in a row: now, at most
  int minibatches, all_skipped;
  LossSums total;
  double count, grad_norm, epoch_kl, first_ratio_error;
};

struct LearnTask {
  LearnNet actor, critic;
  DevicePolicy policy;  // what is read and said; its parameters
  const LearnSettings* settings;
  RolloutBuffer buffer;
  int groups, all_groups;      // of this rank, of all
  std::int64_t samples;        // of an epoch and a group; sequences, where the policy remembers
  const std::uint32_t* order;  // [units] of this minibatch; group k's are k * samples further on
  int units, shards;           // of a group
  double total;                // steps of a minibatch, of all groups
  float inv_n;
  Products products;
  const float* advantage;  // mean, scale of this minibatch
  const float* transposed;
  std::int64_t log_std;     // offset of a Gaussian's, or -1
  std::int64_t parameters;  // of the flat array
  float* parts;             // [groups * shards][parameters]
  LossSums* sums;           // [groups * shards]
  int dense_width;          // of the dense layers, at most
  // Of kernels whose blocks go through several shards each: how many there are, and what a block keeps outside shared memory.
  int resident_blocks;
  float* kept;               // [resident_blocks][kept_floats]
  std::int64_t kept_floats;  // ShardKernel's
};

using LearnKernel = void (*)(LearnTask);

// What each rank tells the others of a minibatch: its groups' gradients, then their losses.
inline constexpr int kToldLosses = 5;  // policy, value, entropy, kl, clipped
RM_HD std::int64_t told_gradient_bytes(const LearnTask& task) {
  return (task.groups * task.parameters * std::int64_t{sizeof(float)} + 15) / 16 * 16;
}
RM_HD std::int64_t told_bytes(const LearnTask& task) {
  const std::int64_t losses = task.groups * kToldLosses * std::int64_t{sizeof(double)};
  return told_gradient_bytes(task) + (losses + 15) / 16 * 16;
}
// One group alone: nothing to tell, and no sums of one part.
RM_HD bool is_alone(const LearnTask& task) { return task.all_groups == 1; }

// Words of a row of a gradient's pairs.
RM_HD int gradient_pairs(const LearnTask& task) {
  return task.products == Products::kFloat32 ? 0 : bf16_row(task.dense_width);
}

// Of a row of observations in shared memory: convolutions read it from where there is more room.
RM_HD int shared_input_row(const LearnTask& task) {
  return task.actor.convs > 0 ? 0 : tile_row(task.policy.observations);
}

// Floats of shard_kernel's shared memory.
RM_HD std::size_t learn_shared_floats(const LearnTask& task) {
  const auto activations = [](const LearnNet& net) {
    int total = 0;
    for (int l = 0; l < net.count; ++l) total += net.layers[l].room;
    return total;
  };
  const int layers = activations(task.actor) > activations(task.critic) ? activations(task.actor)
                                                                        : activations(task.critic);
  const int head = task.actor.layers[task.actor.count - 1].width;
  const int row = shared_input_row(task) + layers + 2 * task.dense_width + head +
                  task.policy.reals + 6 + gradient_pairs(task);
  return static_cast<std::size_t>(row) * kLearnRows;
}

// Where those are.
struct LearnTile {
  float *input, *layers, *dx0, *dx1, *dhead,
      *dlog_std;  // (dx no array: indexed, it would cost the address space)
  float* terms;   // [6][kLearnRows]: policy, value, entropy, kl, clipped, ratio error
  // With bfloat16 products: the gradient that goes back, as pairs [kLearnRows][bf16_row(its width)].
  std::uint32_t* dpairs;
};

__device__ inline LearnTile learn_tile(const LearnTask& task) {
  LearnTile t;
  float* next = shared_memory();
  const auto take = [&](int row) {
    float* const here = next;
    next += row * kLearnRows;
    return here;
  };
  t.input = take(shared_input_row(task));
  t.dx0 = take(task.dense_width);
  t.dx1 = take(task.dense_width);
  t.dhead = take(task.actor.layers[task.actor.count - 1].width);
  t.dlog_std = take(task.policy.reals);
  t.terms = take(6);
  t.dpairs = reinterpret_cast<std::uint32_t*>(take(gradient_pairs(task)));
  t.layers = next;
  return t;
}

// Samples `units` of a rollout, unpacked and normalised, as rollout/mlp/tile_input.cc does; rows beyond, up to tile_rows, are 0.
__device__ inline void gather_samples(const DevicePolicy& p, const RolloutBuffer& b,
                                      const std::uint32_t* units, int rows, int tile_rows,
                                      float* input) {
  const int elements = p.unpack.elements;
  const auto envs = static_cast<std::uint32_t>(b.num_envs);
  for (int item = threadIdx.x; item < p.observations * tile_rows; item += blockDim.x) {
    const int r = item % tile_rows, n = item / tile_rows;
    const int k = n % elements, back = p.frame_stack - 1 - n / elements;
    float x = 0.0f;
    if (r < rows) {
      const std::int64_t t = units[r] / envs, i = units[r] % envs;
      if (back == 0 || b.frames[t * b.stride + i] >= back) {
        const float* frame = b.observations + (t - back) * b.observation_columns * b.stride;
        x = unpack_element(p.unpack, reinterpret_cast<const Word*>(frame) + i, b.stride, k);
        if (p.shift != nullptr) x = normalize_observation(x, p.shift[k], p.scale[k], p.clip);
      }
    }
    input[r * tile_row(p.observations) + n] = x;
  }
  __syncthreads();
}

// From what layer `first` reads, x_row apart, to the head.
__device__ inline void dense_layers_forward(const LearnTask& task, const LearnNet& net, int first,
                                            const float* x, int x_row, const LearnTile& tile) {
  forward_layers(net, task.policy.params, task.policy.activation, x, x_row, tile.layers, kLearnRows,
                 first);
}

__device__ inline void learn_forward(const LearnTask& task, const LearnNet& net,
                                     const LearnTile& tile) {
  dense_layers_forward(task, net, 0, tile.input, tile_row(task.policy.observations), tile);
}

__device__ inline const float* upper_layers_backward(const LearnTask& task, const LearnNet& net,
                                                     const LearnTile& tile, int rows,
                                                     float* gradient) {
  return upper_layers_backward(net, task.transposed, task.policy.activation, tile.layers,
                               tile.dhead, tile.dx0, tile.dx1, rows, gradient);
}

__device__ inline void learn_backward(const LearnTask& task, const LearnNet& net,
                                      const LearnTile& tile, int rows, float* gradient) {
  backward_layers(net, task.transposed, task.policy.activation, tile.input,
                  tile_row(task.policy.observations), tile.layers, tile.dhead, tile.dx0, tile.dx1,
                  rows, gradient);
}

// What one row brings along, in this thread's memory.
struct LearnRow {
  std::int32_t choices[kMaxLearnColumns];
  float raw[kMaxLearnColumns];
  Word masks[kMaxLearnMasks];
  float old_logp, advantage, target, old_value;
};
__device__ inline void read_row(const LearnTask& task, std::uint32_t unit, LearnRow& row) {
  const RolloutBuffer& b = task.buffer;
  const auto envs = static_cast<std::uint32_t>(b.num_envs);
  const std::int64_t t = unit / envs, i = unit % envs, at = t * b.stride + i;
  row.old_logp = b.logprobs[at];
  row.old_value = b.values[at];
  row.target = b.returns[at];
  row.advantage = (b.advantages[at] - task.advantage[0]) * task.advantage[1];
  const std::int64_t first = t * (b.choice_columns + b.real_columns);
  for (int k = 0; k < b.choice_columns; ++k)
    row.choices[k] = static_cast<const std::int32_t*>(b.actions)[(first + k) * b.stride + i];
  for (int k = 0; k < b.real_columns; ++k)
    row.raw[k] = b.raw_actions[(t * b.real_columns + k) * b.stride + i];
  for (int k = 0; k < b.mask_columns; ++k)
    row.masks[k] = b.masks[(t * b.mask_columns + k) * b.stride + i];
}
__device__ inline RowData row_data(const LearnTask& task, const LearnRow& row) {
  return {row.choices,   row.raw,        task.buffer.mask_columns > 0 ? row.masks : nullptr,
          &row.old_logp, &row.advantage, &row.target,
          &row.old_value};
}

// The loss of sample `unit` in row r of the heads and its derivatives by the actor's, and with a shared trunk by the value.
__device__ inline void actor_row(const LearnTask& task, const LearnTile& tile, float* heads,
                                 std::uint32_t unit, int r) {
  const DevicePolicy& p = task.policy;
  const int width = task.actor.layers[task.actor.count - 1].width;
  float* head = heads + r * width;
  float* dhead = tile.dhead + r * width;
  LearnRow row;
  read_row(task, unit, row);
  const RowData data = row_data(task, row);
  int total = 0;
  for (int c = 0; c < p.choice_columns; ++c) total += p.choices[c];
  const HeadShape shape{p.choices, p.choice_columns, total, p.reals, p.distribution};
  for (int j = 0; j < width; ++j) dhead[j] = 0.0f;
  float value = 0.0f, dvalue = 0.0f, loss = 0.0f, entropy[kMaxLearnColumns];
  const PpoOptions& o = task.settings->options;
  if (p.trunk == Trunk::kShared) value = head[p.outputs];
  RowTerms<1> terms;
  policy_rows<1>(o, shape, data, head, task.log_std >= 0 ? p.params + task.log_std : nullptr, 1,
                 task.inv_n, entropy, dhead, tile.dlog_std + r * p.reals, terms);
  if (p.trunk == Trunk::kShared) {
    value_rows(o, data, &value, 1, task.inv_n, &dvalue, &loss);
    dhead[p.outputs] = dvalue;
  }
  const float all[6] = {terms.policy[0],     loss, terms.entropy[0], terms.kl[0], terms.clipped[0],
                        terms.ratio_error[0]};
  for (int q = 0; q < 6; ++q) tile.terms[q * kLearnRows + r] = all[q];
}

__device__ inline void critic_row(const LearnTask& task, const LearnTile& tile, const float* heads,
                                  std::uint32_t unit, int r) {
  const int width = task.critic.layers[task.critic.count - 1].width;
  const float* head = heads + r * width;
  float* dhead = tile.dhead + r * width;
  LearnRow row;
  read_row(task, unit, row);
  float loss = 0.0f, dvalue = 0.0f;
  value_rows(task.settings->options, row_data(task, row), head, 1, task.inv_n, &dvalue, &loss);
  for (int j = 0; j < width; ++j) dhead[j] = 0.0f;
  dhead[0] = dvalue;
  tile.terms[kLearnRows + r] = loss;
}

__device__ inline float* head_output(const LearnNet& net, const LearnTile& tile) {
  return layer_output(net, net.count - 1, tile.layers);
}

// Thread q adds term q of the tile's rows in their order; the last of them is a maximum.
__device__ inline void add_terms(const LearnTile& tile, int rows, int first, int last,
                                 double& sum) {
  const int q = static_cast<int>(threadIdx.x);
  if (q < first || q > last) return;
  const float* terms = tile.terms + q * kLearnRows;
  for (int r = 0; r < rows; ++r) {
    const auto term = static_cast<double>(terms[r]);
    sum = q < 5 ? sum + term : larger_or_nan(sum, term);
  }
}

// What a tile's rows add to the gradient of a Gaussian's log standard deviations, in their order.
__device__ inline void add_log_std(const LearnTask& task, const LearnTile& tile, int rows,
                                   float* gradient) {
  const int a = static_cast<int>(threadIdx.x);
  if (task.log_std < 0 || a >= task.policy.reals) return;
  float by_std = 0.0f;
  for (int r = 0; r < rows; ++r) by_std += tile.dlog_std[r * task.policy.reals + a];
  gradient[task.log_std + a] += by_std;
}

// One network on a tile of `rows` samples `units` that it may read: forward, loss, backward. sum: thread q's of term q.
template <class Forward, class Backward>
__device__ inline void learn_network(const LearnTask& task, const LearnNet& net, bool actor,
                                     const LearnTile& tile, const std::uint32_t* units, int rows,
                                     float* gradient, double& sum, Forward&& forward,
                                     Backward&& backward) {
  const int thread = static_cast<int>(threadIdx.x);
  forward(task, net, tile);
  if (thread < rows) {
    float* heads = head_output(net, tile);
    if (actor) {
      actor_row(task, tile, heads, units[thread], thread);
    } else {
      critic_row(task, tile, heads, units[thread], thread);
    }
  }
  __syncthreads();
  add_terms(tile, rows, actor ? 0 : 1, actor ? 5 : 1, sum);
  if (actor) add_log_std(task, tile, rows, gradient);
  backward(task, net, tile, rows, gradient);
}

// A shard (those of group 0 come first, then those of group 1, ...): its part of its group's samples, and where its gradient goes.
struct ShardRows {
  const std::uint32_t* order;
  int begin, end;
  float* gradient;
};
// Clears the gradient.
__device__ inline ShardRows begin_shard(const LearnTask& task, unsigned shard) {
  const std::int64_t s = shard % task.shards, group = shard / task.shards;
  const ShardRows rows{
      task.order + group * task.samples, static_cast<int>(task.units * s / task.shards),
      static_cast<int>(task.units * (s + 1) / task.shards), task.parts + shard * task.parameters};
  for (std::int64_t i = threadIdx.x; i < task.parameters; i += blockDim.x) rows.gradient[i] = 0.0f;
  __syncthreads();
  return rows;
}
__device__ inline void end_shard(const LearnTask& task, unsigned shard, double sum) {
  if (threadIdx.x < 6) task.sums[shard].term(static_cast<int>(threadIdx.x)) = sum;
}

// f(network, whether it is the actor) of the actor, and of the critic if it has a trunk of its own.
template <class F>
__device__ inline void each_network(const LearnTask& task, F&& f) {
  const int networks = task.policy.trunk == Trunk::kSeparate ? 2 : 1;
  RM_COMPILE_ONCE
  for (int n = 0; n < networks; ++n) f(n == 0 ? task.actor : task.critic, n == 0);
}

// Forward, backward: as learn_forward and learn_backward.
template <class Forward, class Backward>
__device__ inline void learn_shard(const LearnTask& task, unsigned shard, const LearnTile& tile,
                                   Forward&& forward, Backward&& backward) {
  const auto [order, begin, end, gradient] = begin_shard(task, shard);
  double sum = 0;  // thread q's: term q
  for (int first = begin; first < end; first += kLearnRows) {
    const int rows = end - first < kLearnRows ? end - first : kLearnRows;
    const std::uint32_t* units = order + first;
    gather_samples(task.policy, task.buffer, units, rows, kLearnRows, tile.input);
    each_network(task, [&](const LearnNet& net, bool actor) {
      learn_network(task, net, actor, tile, units, rows, gradient, sum, forward, backward);
    });
  }
  end_shard(task, shard, sum);
}

}  // namespace rollmill
