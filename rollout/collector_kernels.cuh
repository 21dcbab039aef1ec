// Advantages and statistics of a rollout on a GPU, from the text that the CPU compiles, too
// (rollout/column_kernels.h).
#pragma once

#include "core/device/kernel.cuh"
#include "rollout/collector.h"
#include "rollout/column_kernels.h"

namespace rollmill {

// One thread takes one environment back through time.
RM_KERNEL void gae_kernel(RolloutBuffer b, AdvantageOptions options) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= b.num_envs) return;
  float carry = 0.0f;
  for (int t = b.horizon - 1; t >= 0; --t) {
    const std::int64_t at = t * b.stride + i;
    carry = gae_element(b.ends[at],
                        used_reward(b.rewards[at], options.reward_scale, options.reward_clip),
                        b.values[at], b.values[at + b.stride], b.final_values[at], options.gamma,
                        options.lambda, carry);
    b.advantages[at] = carry;
    b.returns[at] = carry + b.values[at];
  }
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
