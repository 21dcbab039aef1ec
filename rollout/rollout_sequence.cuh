// The launches of a rollout and of its correction in their order, once for the GPU (rollout/cuda_rollout.cu) and for host threads
// (tests/cuda):
//
//   policy   CudaPolicy, or what has its act(), value(), final_values() and judge()
//   batch    EnvBatch, or what has its episodes() and step()
//   launch(name, kernel, n, arguments...)   a kernel of n threads
#pragma once

#include "rollout/collector_kernels.cuh"
#include "rollout/policy.h"

namespace rollmill {

template <class Launch>
void launch_frames(Launch&& launch, const RolloutBuffer& b, int t, const std::uint32_t* steps) {
  if (b.frame_stack > 1) launch("frames_kernel", frames_kernel, b.num_envs, b, t, steps);
}

template <class Policy, class Launch, class Batch>
void launch_steps(const Policy& policy, Launch&& launch, Batch& batch, const RolloutBuffer& b) {
  const EpisodeColumns keys = batch.episodes();
  for (int t = 0; t < b.horizon; ++t) {
    launch_frames(launch, b, t, keys.step);
    for (int k = 0; k < b.sequences(); ++k) {
      if (b.sequence_start(k) != t) continue;
      launch("keep_memory_kernel", keep_memory_kernel, std::int64_t{b.memory_columns} * b.num_envs,
             b, k, keys.step);
    }
    ActRequest q = request_for_slot(b, t);
    q.keys = keys;
    q.end = b.num_envs;
    policy.act(q);
    batch.step(b.step_buffers(t));
    // What an episode remembered is gone with the next step.
    if (b.memory_columns > 0) policy.final_values(b, t, t + 1);
  }
}

// Values of what comes after the last step and after truncated episodes, then advantages.
// steps: of the episodes.
template <class Policy, class Launch>
void launch_estimates(const Policy& policy, Launch&& launch, const std::uint32_t* steps,
                      const RolloutBuffer& b, const AdvantageOptions& options) {
  launch_frames(launch, b, b.horizon, steps);
  policy.value(b, b.horizon, steps);
  if (b.memory_columns == 0) policy.final_values(b, 0, b.horizon);
  launch("gae_kernel", gae_kernel, b.num_envs, b, options);
}

// HostCollector::correct. Scratch: log_ratios [T][stride]; out: parts [staleness_blocks][T] of rollout/staleness.h. The batch is none of
// its business: it may be on its way.
template <class Policy, class Launch>
void launch_correction(const Policy& policy, Launch&& launch, const RolloutBuffer& b,
                       const AdvantageOptions& options, float* log_ratios, RatioSums* parts) {
  policy.judge(b, log_ratios);
  policy.value(b, b.horizon, nullptr);
  policy.final_values(b, 0, b.horizon);
  launch("vtrace_kernel", vtrace_kernel, b.num_envs, b, options, log_ratios);
  launch("staleness_kernel", staleness_kernel,
         std::int64_t{staleness_blocks(b.num_envs)} * b.horizon, b, log_ratios, parts);
}

}  // namespace rollmill
