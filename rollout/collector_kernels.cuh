// Advantages and statistics of a rollout on a GPU, from the text that the CPU compiles, too
// (rollout/column_kernels.h).
#pragma once

#include "core/device/kernel.cuh"
#include "rollout/collector.h"
#include "rollout/column_kernels.h"

namespace rollmill {

// Takes environment i back through time; element(at, ...): GAE's or V-trace's.
template <class Element>
__device__ inline void advantages_of(const RolloutBuffer& b, const AdvantageOptions& o,
                                     std::int64_t i, Element&& element) {
  float carry = 0.0f;
  for (int t = b.horizon - 1; t >= 0; --t) {
    const std::int64_t at = t * b.stride + i;
    carry = element(at, b.ends[at], used_reward(b.rewards[at], o.reward_scale, o.reward_clip),
                    b.values[at], b.values[at + b.stride], b.final_values[at], carry);
    b.advantages[at] = carry;
    b.returns[at] = carry + b.values[at];
  }
}

// One thread an environment.
RM_KERNEL void gae_kernel(RolloutBuffer b, AdvantageOptions o) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= b.num_envs) return;
  advantages_of(b, o, i,
                [&](std::int64_t, std::uint8_t end, float reward, float value, float next,
                    float final, float carry) {
                  return gae_element(end, reward, value, next, final, o.gamma, o.lambda, carry);
                });
}

// The same of an older policy's rollout. log_ratios [T][stride]: judge_kernel's.
RM_KERNEL void vtrace_kernel(RolloutBuffer b, AdvantageOptions o, const float* log_ratios) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= b.num_envs) return;
  advantages_of(b, o, i,
                [&](std::int64_t at, std::uint8_t end, float reward, float value, float next,
                    float final, float carry) {
                  return vtrace_element(end, reward, value, next, final, o.gamma, o.lambda,
                                        math::exp(log_ratios[at]), carry);
                });
}

// One thread a part of rollout/staleness.h; parts [blocks][T].
RM_KERNEL void staleness_kernel(RolloutBuffer b, const float* log_ratios, RatioSums* parts) {
  const std::int64_t p = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (p >= std::int64_t{staleness_blocks(b.num_envs)} * b.horizon) return;
  const std::int64_t t = p % b.horizon, begin = p / b.horizon * kStalenessEnvs;
  const std::int64_t end =
      begin + kStalenessEnvs < b.num_envs ? begin + kStalenessEnvs : b.num_envs;
  RatioSums sums;
  for (std::int64_t i = begin; i < end; ++i) {
    const float change = log_ratios[t * b.stride + i];
    sums.add(math::exp(change), change);
  }
  parts[p] = sums;
}

// Fills slot t's frames from the steps that the episodes have taken.
RM_KERNEL void frames_kernel(RolloutBuffer b, int t, const std::uint32_t* steps) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < b.num_envs) b.frames[t * b.stride + i] = earlier_frames(steps[i], b.frame_stack);
}

// What is remembered now, as the start of sequence k.
RM_KERNEL void keep_memory_kernel(RolloutBuffer b, int k, const std::uint32_t* steps) {
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= static_cast<std::int64_t>(b.memory_columns) * b.num_envs) return;
  const std::int64_t at = item / b.num_envs * b.stride + item % b.num_envs;
  b.memory_slot(k)[at] = steps[item % b.num_envs] == 0 ? 0.0f : b.current_memory()[at];
}

// One thread sums one column of a group in environment order, as the CPU does; parts [groups][T][D].
RM_KERNEL void moments_kernel(RolloutBuffer b, int groups, Moments* parts) {
  const std::int64_t p = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t columns = static_cast<std::int64_t>(b.horizon) * b.observation_columns;
  if (p >= groups * columns) return;
  const int envs = b.num_envs / groups;
  parts[p] = column_moments(b.observations + p % columns * b.stride + p / columns * envs, envs);
}

}  // namespace rollmill
