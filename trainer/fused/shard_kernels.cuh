// The kernels that make the shards' gradients of dense networks. Apart from what they do (trainer/fused/learner_kernels.cuh,
// learner_bf16.cuh), which files of other kernels share: ptxas takes ten seconds for each of them.
#pragma once

#include "trainer/fused/learner_bf16.cuh"
#include "trainer/fused/learner_kernels.cuh"

namespace rollmill {

RM_KERNEL void RM_LAUNCH_BOUNDS(kLearnThreads) shard_kernel(RM_GRID_CONSTANT LearnTask task) {
  learn_shard(task, blockIdx.x, learn_tile(task), learn_forward, learn_backward);
}

RM_KERNEL void RM_LAUNCH_BOUNDS(kLearnThreads) bf16_shard_kernel(RM_GRID_CONSTANT LearnTask task) {
  learn_shard(task, blockIdx.x, learn_tile(task), bf16_learn_forward, bf16_learn_backward);
}

}  // namespace rollmill
