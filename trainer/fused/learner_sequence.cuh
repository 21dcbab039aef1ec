// The kernels of an update in their order, once for the GPU (trainer/fused/learner_cuda.cu) and for host threads
// (tests/cuda/learner_emulation.h):
//
//   launch(name, kernel, blocks, threads, shared floats, arguments...)
//   launch.gather(all, bytes, what)   every rank's own part of all [ranks][bytes] to all others
#pragma once

#include <vector>

#include "core/base/assert.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/fused/learner_conv.cuh"
#include "trainer/fused/learner_memory.cuh"
#include "trainer/fused/learner_memory_bf16.cuh"
#include "trainer/fused/learner_memory_conv.cuh"
#include "trainer/fused/learner_patches.cuh"
#include "trainer/fused/minibatch_shards.h"
#include "trainer/fused/shard_kernels.cuh"
#include "trainer/fused/update_kernels.cuh"
#include "trainer/ignored_inputs.h"
#include "trainer/learner.h"

namespace rollmill {

inline constexpr int kPlanThreads = 512;  // of the one block of plan_kernel

// Arrays beside those of the task.
struct LearnArrays {
  std::uint32_t* order;     // [order_epochs][groups][samples]
  const ShuffleKey* keys;   // [epochs][groups]
  float* statistics;        // [epochs][minibatches][kStatistics]
  double* advantage_parts;  // [groups][minibatches][chunks]
  double* advantage_sums;   // [ranks][groups][minibatches]
  std::byte* told;          // [ranks][told_bytes]; null: one group, one rank
  int rank;
  float *gradient, *params, *first, *second, *transposed;
  double* norm_parts;  // [norm chunks][kNormLanes + 1]
  LearnState* state;
  AdamPlan* plan;
};

inline LearnNet learn_net(const Network& network, Products products, std::int64_t& transposed) {
  LearnNet net{};
  const auto room = [&](int inputs, int outputs) {
    const std::int64_t offset = transposed;
    transposed += static_cast<std::int64_t>(outputs) * pad16(inputs);
    return offset;
  };
  net.by_patch = network.by_patch;
  for (const ConvLayer& c : network.conv) {
    net.conv[net.convs] = {c, transposed};
    if (net.convs++ > 0) room(c.patch(), c.channels);
  }
  net.rounded = products == Products::kFloat32 ? static_cast<int>(network.dense.size())
                                               : first_bf16_layer(network);
  for (const DenseLayer& l : network.dense) {
    LearnLayer& layer = net.layers[net.count];
    layer = {l.inputs, l.outputs, l.width, l.weight, l.bias, transposed, l.width, transposed};
    if (products != Products::kFloat32 && &l != &network.head()) layer.room += bf16_row(l.width);
    const int place = net.count++;
    if (place == 0 && net.convs == 0) continue;
    if (place < net.rounded) {
      room(l.inputs, l.outputs);
    } else {
      layer.transposed += forward_floats(layer, products);
      transposed = layer.transposed + backward_floats(layer, products);
    }
  }
  const MemoryLayer& m = net.memory = network.memory;
  const int width = m.gates() * m.width;
  net.memory_input = {m.inputs, width, width, m.input_weight, m.input_bias, room(m.inputs, width)};
  if (m.kind != MemoryKind::kGru) return net;
  net.memory_recurrent = {
      m.size, width, width, m.recurrent_weight, m.recurrent_bias, room(m.size, width)};
  return net;
}

// What follows from layout, rollout and options; returns how many floats the transposed weights take. The caller fills in the
// policy and the pointers.
inline std::int64_t set_task(const MlpLayout& layout, const RolloutBuffer& buffer,
                             const PpoOptions& o, int groups, int ranks, LearnTask& task,
                             Products products = Products::kFloat32) {
  RM_ASSERT(layout.shape.memory == MemoryKind::kNone || layout.actor.dense.size() > 1);
  std::int64_t transposed = 0;
  task.products = products;
  task.actor = learn_net(layout.actor, products, transposed);
  task.critic = learn_net(layout.critic, products, transposed);
  task.dense_width = 0;
  for (const LearnNet* net : {&task.actor, &task.critic}) {
    for (int l = 0; l < net->count; ++l)
      task.dense_width = std::max(task.dense_width, net->layers[l].width);
  }
  task.buffer = buffer;
  task.groups = groups;
  task.all_groups = groups * ranks;
  const int steps = steps_of_unit(buffer);
  task.samples = static_cast<std::int64_t>(buffer.horizon / steps) * (buffer.num_envs / groups);
  task.units = static_cast<int>(task.samples / o.minibatches);
  task.shards = minibatch_shards(task.units, shard_units(layout.shape), layout.size);
  task.total = static_cast<double>(task.units) * steps * task.all_groups;
  task.inv_n = static_cast<float>(1.0 / task.total);
  task.log_std = layout.has_log_std() ? layout.log_std : -1;
  task.parameters = layout.size;
  return transposed;
}

// Epochs whose order has room: of large ones a kernel computes it when it is wanted.
inline int order_epochs(const LearnTask& task, const PpoOptions& o) {
  return task.samples >= kShuffledFrom ? 1 : o.epochs;
}
// Entries of an epoch's order.
inline std::int64_t order_size(const LearnTask& task) { return task.groups * task.samples; }

// What the host says of an epoch's order: a key for each group where a kernel computes it, else the order itself.
inline void write_order(const LearnTask& task, std::uint64_t seed, int rank, std::int64_t update,
                        int epoch, ShuffleKey* keys, std::uint32_t* order) {
  const auto n = static_cast<std::uint32_t>(task.samples);
  for (int k = 0; k < task.groups; ++k) {
    const int group = rank * task.groups + k;
    if (n >= kShuffledFrom) {
      keys[k] = shuffle_key(minibatch_rng(seed, group, update, epoch), n);
      continue;
    }
    std::uint32_t* mine = order + k * task.samples;
    minibatch_order(seed, group, update, epoch, n, mine);
    for (std::uint32_t r = 0; r < n; ++r)
      mine[r] = group_sample(mine[r], k, task.groups, task.buffer.num_envs);
  }
}
// Advantages as they are, should nothing normalise them.
inline std::vector<float> plain_statistics(const PpoOptions& o) {
  std::vector<float> all(std::size_t{kStatistics} * static_cast<std::size_t>(o.epochs) *
                         static_cast<std::size_t>(o.minibatches));
  for (std::size_t i = 1; i < all.size(); i += kStatistics) all[i] = 1.0f;
  return all;
}

inline std::int64_t spread_count(const LearnTask& task) {
  const RolloutBuffer& b = task.buffer;
  return std::int64_t{task.groups} * b.horizon * spread_chunks(b.num_envs / task.groups);
}

// What makes the shards' gradients of a policy like this one.
struct ShardKernel {
  const char* name;
  LearnKernel kernel;
  std::size_t shared_floats;
  // Of each of resident_blocks; 0: there is a block for each shard, which keeps nothing.
  std::int64_t kept_floats;
};
#if defined(__CUDACC__)  // kernels that take the compiler long have files of their own
extern template LearnKernel sequence_kernel_of<SequenceLayers>(const LearnNet& net);
extern template LearnKernel sequence_kernel_of<Bf16SequenceLayers>(const LearnNet& net);
#endif
inline ShardKernel shard_kernel_of(const LearnTask& task) {
  const bool bf16 = task.products != Products::kFloat32;
  if (task.actor.memory.kind != MemoryKind::kNone) {
    return {"sequence_kernel",
            bf16 ? sequence_kernel_of<Bf16SequenceLayers>(task.actor)
                 : sequence_kernel_of<SequenceLayers>(task.actor),
            sequence_shared_floats(task), kept_floats(task)};
  }
  if (task.actor.by_patch) {
    return {"patch_shard_kernel", bf16 ? patch_shard_kernel<true> : patch_shard_kernel<false>,
            patch_shared_floats(task), patch_kept_floats(task, kLearnRows)};
  }
  if (task.actor.convs > 0) {
    return {"conv_shard_kernel", bf16 ? conv_shard_kernel<true> : conv_shard_kernel<false>,
            learn_shared_floats(task), conv_kept_floats(task)};
  }
  if (bf16) return {"bf16_shard_kernel", bf16_shard_kernel, learn_shared_floats(task), 0};
  return {"shard_kernel", shard_kernel, learn_shared_floats(task), 0};
}

template <class Launch>
void launch_minibatch(Launch&& launch, const LearnTask& task, const LearnArrays& a,
                      const std::vector<ParamRange>& frozen, bool first_of_update) {
  const auto transpose = [&](const LearnLayer& layer) {
    if (layer.inputs == 0 || layer.outputs == 0) return;  // no such matrix
    launch_transpose(launch, layer, a.params, a.transposed);
  };
  const auto round = [&](const LearnLayer& layer) {
    const std::int64_t n =
        forward_floats(layer, task.products) + backward_floats(layer, task.products);
    launch("round_kernel", round_kernel, element_blocks(n), kElementThreads, 0, a.params, layer,
           task.products, a.transposed);
  };
  for (const LearnNet* net : {&task.actor, &task.critic}) {
    for (int l = 1; l < net->convs; ++l) {
      const ConvLayer& c = net->conv[l].layer;
      transpose({c.patch(), c.channels, c.channels, c.weight, c.bias, net->conv[l].transposed});
    }
    for (int l = net->convs > 0 ? 0 : 1; l < net->count; ++l) {
      if (l < net->rounded) {
        transpose(net->layers[l]);
      } else {
        round(net->layers[l]);
      }
    }
    transpose(net->memory_input);
    transpose(net->memory_recurrent);
  }
  const ShardKernel shards = shard_kernel_of(task);
  launch(shards.name, shards.kernel,
         shards.kept_floats > 0 ? task.resident_blocks : std::int64_t{task.groups} * task.shards,
         kLearnThreads, shards.shared_floats, task);
  const std::int64_t bytes = told_bytes(task);
  launch("gradient_kernel", gradient_kernel, element_blocks(task.groups * task.parameters),
         kElementThreads, 0, task, is_alone(task) ? nullptr : a.told + a.rank * bytes, a.gradient);
  if (!is_alone(task)) {
    launch.gather(a.told, bytes, "gradients");
    launch("combine_kernel", combine_kernel, element_blocks(task.parameters), kElementThreads, 0,
           task, a.told, a.gradient);
  }
  for (const ParamRange& r : frozen) {
    launch("zero_kernel", zero_kernel, element_blocks(r.end - r.begin), kElementThreads, 0,
           a.gradient + r.begin, r.end - r.begin);
  }
  launch("plan_kernel", plan_kernel, 1, kPlanThreads, 0, task, a.gradient, a.told, a.norm_parts,
         first_of_update, a.state, a.plan);
  launch("adam_kernel", adam_kernel, element_blocks(task.parameters), kElementThreads, 0, a.plan,
         a.gradient, task.parameters, a.params, a.first, a.second);
}

// The statistics of an epoch's minibatches, over all ranks: advantages do not change meanwhile.
template <class Launch>
void launch_statistics(Launch&& launch, const LearnTask& task, const LearnArrays& a,
                       int minibatches, const std::uint32_t* order, float* statistics) {
  const int chunks = sum_chunks(task.units), count = task.groups * minibatches;
  double* mine = a.advantage_sums + std::int64_t{a.rank} * count;
  for (const bool squared : {false, true}) {
    launch("advantage_kernel", advantage_kernel, std::int64_t{chunks} * count, kSumLanes,
           2 * kSumLanes, task.buffer, order, minibatches, task.units, task.samples, statistics,
           squared, a.advantage_parts);
    launch("sums_kernel", sums_kernel, element_blocks(count), kElementThreads, 0, a.advantage_parts,
           count, chunks, mine);
    if (task.all_groups > task.groups) {
      launch.gather(a.advantage_sums, count * std::int64_t{sizeof(double)},
                    squared ? "advantage variances" : "advantage means");
    }
    launch("statistics_kernel", statistics_kernel, element_blocks(minibatches), kElementThreads, 0,
           a.advantage_sums, task.all_groups, minibatches, task.total, squared, statistics);
  }
}

template <class Launch>
void launch_epoch(Launch&& launch, const LearnTask& base, const LearnArrays& a, const PpoOptions& o,
                  const std::vector<ParamRange>& frozen, int epoch) {
  const bool computed = base.samples >= kShuffledFrom;
  std::uint32_t* order = a.order + (computed ? 0 : epoch * order_size(base));
  float* statistics = a.statistics + std::int64_t{epoch} * o.minibatches * kStatistics;
  if (computed) {
    launch("order_kernel", order_kernel, element_blocks(order_size(base)), kElementThreads, 0,
           a.keys + std::int64_t{epoch} * base.groups, base.groups, base.buffer.num_envs, order);
  }
  if (o.normalize_advantages) launch_statistics(launch, base, a, o.minibatches, order, statistics);
  launch("begin_epoch_kernel", begin_epoch_kernel, 1, 1, 0, a.state);
  for (int m = 0; m < o.minibatches; ++m) {
    LearnTask task = base;
    task.order = order + std::int64_t{m} * task.units;
    task.advantage = statistics + std::int64_t{m} * kStatistics;
    launch_minibatch(launch, task, a, frozen, epoch == 0 && m == 0);
  }
}

// Of an update that has made `epochs` of them; all but the explained variance.
inline UpdateStats stats_of(const LearnState& state, int epochs) {
  UpdateStats s;
  s.policy_loss = state.total.policy / state.count;
  s.value_loss = state.total.value / state.count;
  s.entropy = state.total.entropy / state.count;
  s.clip_fraction = state.total.clipped / state.count;
  s.grad_norm = state.grad_norm / state.minibatches;
  s.approx_kl = state.epoch_kl;
  s.first_ratio_error = state.first_ratio_error;
  s.skipped = state.all_skipped;
  s.epochs = epochs;
  return s;
}

template <class Launch>
void launch_spreads(Launch&& launch, const LearnTask& task, Spread* spreads) {
  launch("spread_kernel", spread_kernel, element_blocks(spread_count(task)), kElementThreads, 0,
         task.buffer, task.groups, spreads);
}

}  // namespace rollmill
