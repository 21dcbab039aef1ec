// The kernels of policy inference; what a block does is in rollout/mlp/policy_tile.cuh. kBf16: see act_tile.
#pragma once

#include "rollout/mlp/policy_tile.cuh"

namespace rollmill {

template <bool kBf16>
RM_KERNEL void act_kernel(RM_GRID_CONSTANT DevicePolicy p, ActRequest q) {
  const BlockTile tile(p, q.begin, q.end);
  act_tile<kBf16>(p, q, tile.begin, tile.rows, shared_memory());
}

// V of slots [first, first + gridDim.y) of a rollout; of their final observations, where an episode was truncated. With memory of
// one slot, as long as what is remembered is of it; steps: of the episodes, null for final observations.
template <bool kBf16>
RM_KERNEL void value_kernel(RM_GRID_CONSTANT DevicePolicy p, RolloutBuffer b, int first, bool final,
                            const std::uint32_t* steps) {
  float* input = shared_memory();
  float* h1 = input + p.tile_rows * tile_row(p.observations);
  float* h2 = h1 + p.tile_rows * p.a_width;
  const std::int64_t t = first + static_cast<std::int64_t>(blockIdx.y);
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * p.tile_rows;
  const int rows =
      static_cast<int>(b.num_envs - begin < p.tile_rows ? b.num_envs - begin : p.tile_rows);
  const int r = static_cast<int>(threadIdx.x);
  const std::int64_t at = t * b.stride + begin + r;
  const std::int64_t slot = b.observation_columns * b.stride;
  const bool wanted = r < rows && (!final || b.ends[at] == kTruncated);
  if (__syncthreads_or(wanted) == 0) return;  // the whole block leaves together
  // The frame before a final observation is the slot's own; before the slot's own it is the slot before.
  const float* own = b.observations + t * slot;
  const std::uint8_t* frames = b.frames == nullptr ? nullptr : b.frames + t * b.stride;
  const TileSource from =
      final ? TileSource{b.final_observations + t * slot, own, b.stride, slot, frames, 1}
            : TileSource{own, own - slot, b.stride, slot, frames, 0};
  gather_tile(p, from, begin, rows, input);
  const bool shared = p.trunk == Trunk::kShared;
  const DeviceNet& net = shared ? p.actor : p.critic;
  float* memory = h2 + p.tile_rows * p.b_width;
  if (p.memory_size > 0) {
    const float* columns = b.current_memory() + (shared ? 0 : p.memory_size * b.stride);
    load_memory_tile(p, net.memory, columns, b.stride, steps, begin, rows, memory);
  }
  const float* head = network_tile<kBf16>(p, net, input, h1, h2, memory);
  float* out = final ? b.final_values : b.values;
  if (wanted) out[at] = head[r * net.layers[net.count - 1].width + (shared ? p.outputs : 0)];
}

}  // namespace rollmill
