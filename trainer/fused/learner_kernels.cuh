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
#include "trainer/explained_variance.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/layer_kernels.cuh"
#include "trainer/fused/ordered_sums.h"
#include "trainer/fused/ppo_rows.h"
#include "trainer/fused/sequence_rows.h"
#include "trainer/minibatch_order.h"

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

// Forward, backward: as learn_forward and learn_backward.
template <class Forward, class Backward>
__device__ inline void learn_shard(const LearnTask& task, unsigned shard, const LearnTile& tile,
                                   Forward&& forward, Backward&& backward) {
  const auto [order, begin, end, gradient] = begin_shard(task, shard);
  const bool separate = task.policy.trunk == Trunk::kSeparate;
  double sum = 0;  // thread q's: term q
  for (int first = begin; first < end; first += kLearnRows) {
    const int rows = end - first < kLearnRows ? end - first : kLearnRows;
    const std::uint32_t* units = order + first;
    gather_samples(task.policy, task.buffer, units, rows, kLearnRows, tile.input);
    learn_network(task, task.actor, true, tile, units, rows, gradient, sum, forward, backward);
    if (!separate) continue;
    learn_network(task, task.critic, false, tile, units, rows, gradient, sum, forward, backward);
  }
  end_shard(task, shard, sum);
}

RM_KERNEL void RM_LAUNCH_BOUNDS(kLearnThreads) shard_kernel(LearnTask task) {
  learn_shard(task, blockIdx.x, learn_tile(task), learn_forward, learn_backward);
}

// keys [groups]; order [groups][samples].
RM_KERNEL void order_kernel(const ShuffleKey* keys, int groups, int num_envs,
                            std::uint32_t* order) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t samples = keys[0].samples;
  if (i >= groups * samples) return;
  const int k = static_cast<int>(i / samples);
  order[i] =
      group_sample(shuffled(keys[k], static_cast<std::uint32_t>(i % samples)), k, groups, num_envs);
}

// A block of kSumLanes threads: a chunk of a minibatch, chunk after chunk. parts [groups][minibatches][chunks]. Shared memory:
// the lanes.
RM_KERNEL void advantage_kernel(RolloutBuffer b, const std::uint32_t* order, int minibatches,
                                int units, std::int64_t samples, const float* statistics,
                                bool squared, double* parts) {
  const std::int64_t chunks = sum_chunks(units), c = blockIdx.x % chunks,
                     m = blockIdx.x / chunks % minibatches,
                     group = blockIdx.x / chunks / minibatches;
  const std::int64_t begin = c * kSumChunk;
  const std::int64_t end = begin + kSumChunk < units ? begin + kSumChunk : units;
  const double mean =
      squared ? *reinterpret_cast<const double*>(statistics + kStatistics * m + 2) : 0.0;
  const std::uint32_t* unit = order + group * samples + m * units;
  auto* lanes = reinterpret_cast<double*>(shared_memory());
  const int lane = static_cast<int>(threadIdx.x);
  lanes[lane] = lane_sum(begin, end, lane, kSumLanes, [&](std::int64_t r) {
    return advantages_of_unit(b, unit[r], mean, squared);
  });
  __syncthreads();
  if (lane != 0) return;
  double sum = 0;
  for (int l = 0; l < kSumLanes; ++l) sum += lanes[l];
  parts[blockIdx.x] = sum;
}

// sums [groups * minibatches] from parts [groups * minibatches][chunks].
RM_KERNEL void sums_kernel(const double* parts, int count, int chunks, double* sums) {
  const int p = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (p >= count) return;
  double sum = 0;
  for (int c = 0; c < chunks; ++c) sum += parts[std::int64_t{p} * chunks + c];
  sums[p] = sum;
}

// From sums [groups of all ranks][minibatches]. A minibatch's statistics take kStatistics floats: mean and scale as the rows read
// them, and the mean as a float64.
RM_KERNEL void statistics_kernel(const double* sums, int groups, int minibatches, double total,
                                 bool squared, float* statistics) {
  const int m = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (m >= minibatches) return;
  double sum = 0;
  for (int g = 0; g < groups; ++g) sum += sums[std::int64_t{g} * minibatches + m];
  float* mine = statistics + std::int64_t{m} * kStatistics;
  if (!squared) {
    *reinterpret_cast<double*>(mine + 2) = sum / total;
    mine[0] = static_cast<float>(sum / total);
  } else {
    mine[1] = static_cast<float>(1.0 / (sqrt(sum / total) + 1e-8));
  }
}

// told: this rank's, or null where nobody is told.
RM_KERNEL void gradient_kernel(LearnTask task, std::byte* told, float* gradient) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= task.groups * task.parameters) return;
  const std::int64_t group = at / task.parameters, i = at % task.parameters;
  const float* parts = task.parts + group * task.shards * task.parameters + i;
  float sum = parts[0];
  for (int s = 1; s < task.shards; ++s) sum += parts[s * task.parameters];
  if (told == nullptr) {
    gradient[i] = sum;
    return;
  }
  reinterpret_cast<float*>(told)[at] = sum;
  if (i >= kToldLosses) return;
  double loss = 0;
  for (int s = 0; s < task.shards; ++s)
    loss += task.sums[group * task.shards + s].term(static_cast<int>(i));
  reinterpret_cast<double*>(told + told_gradient_bytes(task))[group * kToldLosses + i] = loss;
}

// told: [ranks], each of told_bytes().
RM_KERNEL void combine_kernel(LearnTask task, const std::byte* told, float* gradient) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= task.parameters) return;
  const std::int64_t bytes = told_bytes(task);
  float sum = 0.0f;
  for (int g = 0; g < task.all_groups; ++g) {
    const auto* theirs = reinterpret_cast<const float*>(told + g / task.groups * bytes);
    const float part = theirs[g % task.groups * task.parameters + i];
    sum = g == 0 ? part : sum + part;
  }
  gradient[i] = sum;
}

RM_KERNEL void zero_kernel(float* values, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) values[i] = 0.0f;
}

struct AdamPlan {
  AdamStep step;
  bool goes;
};

// Over all groups of all ranks, but the ratio's error, which is this rank's. told: as combine_kernel has it, or null.
__device__ inline LossSums minibatch_losses(const LearnTask& task, const std::byte* told) {
  LossSums sums;
  for (int s = 0; s < task.groups * task.shards; ++s) sums.add(task.sums[s]);
  if (told == nullptr) return sums;
  const std::int64_t bytes = told_bytes(task), losses = told_gradient_bytes(task);
  for (int q = 0; q < kToldLosses; ++q) {
    double sum = 0;
    for (int g = 0; g < task.all_groups; ++g) {
      const std::byte* theirs = told + g / task.groups * bytes + losses;
      sum += reinterpret_cast<const double*>(theirs)[g % task.groups * kToldLosses + q];
    }
    sums.term(q) = sum;
  }
  return sums;
}

// One block. parts: scratch [norm chunks][kNormLanes + 1].
RM_KERNEL void plan_kernel(LearnTask task, const float* gradient, const std::byte* told,
                           double* parts, bool first_of_update, LearnState* state, AdamPlan* plan) {
  const int count = norm_chunks(task.parameters);
  double *lanes = parts, *chunks = parts + std::int64_t{count} * kNormLanes;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int item = thread; item < count * kNormLanes; item += threads) {
    const std::int64_t begin = std::int64_t{item / kNormLanes} * kNormChunk;
    const std::int64_t end =
        begin + kNormChunk < task.parameters ? begin + kNormChunk : task.parameters;
    lanes[item] = lane_sum(begin, end, item % kNormLanes, kNormLanes, [&](std::int64_t i) {
      return static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
    });
  }
  __syncthreads();
  for (int c = thread; c < count; c += threads) {
    double sum = 0;
    for (int l = 0; l < kNormLanes; ++l) sum += lanes[c * kNormLanes + l];
    chunks[c] = sum;
  }
  __syncthreads();
  if (thread != 0) return;
  double squares = 0;
  for (int c = 0; c < count; ++c) squares += chunks[c];
  const double norm = sqrt(squares);
  const LossSums sums = minibatch_losses(task, told);
  if (first_of_update) state->first_ratio_error = sums.ratio_error;
  const double loss = sums.policy + sums.value;
  plan->goes = norm - norm == 0.0 && loss - loss == 0.0;  // both finite
  if (!plan->goes) {
    ++state->all_skipped;
    ++state->skipped;
    if (state->skipped > state->longest) state->longest = state->skipped;
    return;
  }
  const PpoOptions& o = task.settings->options;
  state->skipped = 0;
  ++state->step;
  state->total.add(sums);
  state->count += task.total;
  state->epoch_kl += sums.kl / task.total / o.minibatches;
  state->grad_norm += norm;
  ++state->minibatches;
  plan->step = adam_step(o.adam_beta1, o.adam_beta2, o.adam_epsilon, task.settings->learning_rate,
                         state->step, clip_scale(o.max_grad_norm, norm));
}

RM_KERNEL void begin_epoch_kernel(LearnState* state) { state->epoch_kl = 0; }

RM_KERNEL void adam_kernel(const AdamPlan* plan, const float* gradient, std::int64_t parameters,
                           float* params, float* first, float* second) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= parameters || !plan->goes) return;
  adam_element(plan->step, gradient[i], params[i], first[i], second[i]);
}

// spreads [groups][horizon][chunks of a group's environments].
RM_KERNEL void spread_kernel(RolloutBuffer b, int groups, Spread* spreads) {
  const int envs = b.num_envs / groups, chunks = spread_chunks(envs);
  const std::int64_t p = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (p >= std::int64_t{groups} * b.horizon * chunks) return;
  const std::int64_t group = p / chunks / b.horizon, t = p / chunks % b.horizon;
  const std::int64_t first = t * b.stride + group * envs;
  spreads[p] =
      spread_of_chunk(b.returns + first, b.values + first, envs, static_cast<int>(p % chunks));
}

}  // namespace rollmill
