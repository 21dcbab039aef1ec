// The CUDA runtime's kernels: one thread for each environment, over the text of envs/step_kernel.h.
#pragma once

#include <cstdint>

#include "core/device/kernel.cuh"
#include "envs/step_kernel.h"

namespace rollmill {

// Which episodes a batch starts with; see BatchConfig.
struct FirstEpisodes {
  std::uint32_t environment, environment_stride, episode, episode_offset;
};

template <class Env, bool kVaried>
RM_KERNEL void reset_kernel(BatchColumns columns, BatchConstants constants,
                            typename Env::Params params, FirstEpisodes first, int num_envs,
                            float* observations, Word* masks) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= num_envs) return;
  const auto u = static_cast<std::uint32_t>(i);
  columns.environment[i] = first.environment + u * first.environment_stride;
  columns.episode[i] = first.episode + u * first.episode_offset;
  reset_environment<Env, kVaried>(columns, constants, params, observations, masks, i);
}

// Environment i's step and, where its episode ended, the next one's start.
template <class Env, bool kVaried>
__device__ inline void step_on(const BatchColumns& columns, const BatchConstants& constants,
                               const typename Env::Params& params, const StepBuffers& buffers,
                               std::int64_t i) {
  const std::uint32_t code = step_environment<Env, kVaried>(columns, constants, params, buffers, i);
  buffers.ends[i] = static_cast<std::uint8_t>(code);
  if ((code & 0xFFu) == 0) return;
  finish_episode<Env, kVaried>(columns, constants, params, buffers, code, i);
}

template <class Env, bool kVaried>
RM_KERNEL void step_kernel(BatchColumns columns, BatchConstants constants,
                           typename Env::Params params, std::int64_t begin, std::int64_t end,
                           StepBuffers buffers) {
  const std::int64_t i = begin + static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < end) step_on<Env, kVaried>(columns, constants, params, buffers, i);
}

template <class Env, bool kVaried>
RM_KERNEL void observe_kernel(BatchColumns columns, typename Env::Params params, int num_envs,
                              float* observations, Word* masks) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= num_envs) return;
  const auto state = load_columns<typename Env::State>(columns.state, columns.stride, i);
  write_observation<Env>(state, params_at<Env, kVaried>(columns, params, i), observations, masks,
                         columns.stride, i);
}

}  // namespace rollmill
