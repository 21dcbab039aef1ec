// A whole rollout in one kernel: a block takes its tile of environments through policy and steps from slot to slot. Nothing waits
// for a launch, the weights are read from global memory once, and observations that were just written are still in a cache.
//
//   block      environments [begin, begin + tile_rows)
//   slot t     observations -> network -> actions (thread r samples for row r) -> step (thread r steps it) -> observations t + 1
//
// The text is that of the kernels it replaces, step by step (rollout/mlp/policy_tile.cuh, envs/batch_kernels.cuh), so the bits
// are theirs. For policies that read single frames and remember nothing. Values of the last slot, final values and advantages are
// kernels of their own, over all slots at once.
#pragma once

#include "envs/batch_kernels.cuh"
#include "rollout/mlp/policy_tile.cuh"

namespace rollmill {

inline constexpr int kRolloutThreads = 256;

// Floats of shared memory that a block works in: the policy as it sees it, a tile, and the parameters that it keeps there.
RM_HD int policy_floats() {
  return tile_row(static_cast<int>(sizeof(DevicePolicy) / sizeof(float)));
}
RM_HD int rollout_floats(const DevicePolicy& p, int shared_params) {
  return policy_floats() + tile_floats(p) + shared_params;
}

// shared_params: how many parameters of the policy are copied into shared memory; 0: they are read where they lie.
template <class Env, bool kVaried, bool kBf16>
RM_KERNEL void RM_LAUNCH_BOUNDS(kRolloutThreads)
    rollout_kernel(RM_GRID_CONSTANT DevicePolicy given, RolloutBuffer b, BatchColumns columns,
                   BatchConstants constants, typename Env::Params params, int shared_params) {
  // The policy with its parameters' place here, in shared memory, too: as a changed argument each thread would keep one of its own.
  auto& p = *reinterpret_cast<DevicePolicy*>(shared_memory());
  float* room = shared_memory() + policy_floats();
  float* weights = room + tile_floats(given);
  if (threadIdx.x == 0) {
    p = given;
    if (shared_params > 0) p.params = weights;
    if (shared_params > 0 && given.log_std != nullptr)
      p.log_std = weights + (given.log_std - given.params);
  }
  for (int k = static_cast<int>(threadIdx.x); k < shared_params; k += static_cast<int>(blockDim.x))
    weights[k] = given.params[k];
  __syncthreads();
  const BlockTile tile(p, 0, b.num_envs);
  const int r = static_cast<int>(threadIdx.x);
  for (int t = 0; t < b.horizon; ++t) {
    ActRequest q = request_for_slot(b, t);
    q.keys = {columns.environment, columns.episode, columns.step};
    act_tile<kBf16>(p, q, tile.begin, tile.rows, room);
    if (r < tile.rows)
      step_on<Env, kVaried>(columns, constants, params, b.step_buffers(t), tile.begin + r);
    __syncthreads();  // the whole block reads the observations, and writes the tile that some may still read
  }
}

}  // namespace rollmill
