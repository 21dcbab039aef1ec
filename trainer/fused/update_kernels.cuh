// The kernels of an update that are not one tile's: which sample comes when, statistics of advantages, sums of shards, groups and
// ranks, and the step (trainer/fused/learner_kernels.cuh says which comes when). Included by what launches them alone.
#pragma once

#include <cmath>

#include "trainer/explained_variance.h"
#include "trainer/fused/adam.h"
#include "trainer/fused/learner_kernels.cuh"
#include "trainer/fused/ordered_sums.h"
#include "trainer/minibatch_order.h"

namespace rollmill {

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
