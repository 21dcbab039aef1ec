// Policy inference on a GPU. A block takes a tile of environments through the whole network;
// activations stay in shared memory, [row][feature] as on the CPU.
//
//   input [tile][observations]  ->  a [tile][width]  ->  b  ->  a ...  ->  head
//
// One thread computes one feature of kRowsPerThread rows: bias first, then one fused multiply-add
// for each input in ascending order. That is the order of rollout/mlp/dense.h, whose lanes are
// features, too; so the bits are equal. The distribution's arithmetic is the CPU's text on tiles of
// one row (rollout/mlp/distribution.h).
#pragma once

#include "core/device/kernel.cuh"
#include "rollout/mlp/device_policy.h"
#include "rollout/mlp/distribution.h"
#include "rollout/mlp/elementwise.h"
#include "rollout/policy.h"

namespace rollmill {

inline constexpr int kRowsPerThread = 4;

// Copies a tile's observations [rows of this tile] into input [tile_rows][observations]; rows
// beyond are zero.
__device__ inline void gather_tile(const DevicePolicy& p, const float* columns, std::int64_t stride,
                                   std::int64_t begin, int rows, float* input) {
  for (int item = threadIdx.x; item < p.observations * p.tile_rows; item += blockDim.x) {
    const int r = item % p.tile_rows, k = item / p.tile_rows;
    float x = 0.0f;
    if (r < rows) {
      x = columns[k * stride + begin + r];
      if (p.shift != nullptr) x = normalize_observation(x, p.shift[k], p.scale[k], p.clip);
    }
    input[r * p.observations + k] = x;
  }
  __syncthreads();
}

// Runs a network over the tile; returns its head [tile_rows][width of the last layer], which lies
// in a or b.
__device__ inline const float* forward_tile(const DevicePolicy& p, const DeviceNet& net,
                                            const float* input, float* a, float* b) {
  int input_row = p.observations;
  float* out = a;
  for (int l = 0; l < net.count; ++l) {
    const DeviceNet::Layer layer = net.layers[l];
    const bool hidden = l + 1 < net.count;
    for (int item = threadIdx.x; item < layer.width * (p.tile_rows / kRowsPerThread);
         item += blockDim.x) {
      const int j = item % layer.width, first = item / layer.width * kRowsPerThread;
      const float* w = p.params + layer.weight + j;
      const float* x = input + first * input_row;
      float sum[kRowsPerThread];
      for (int r = 0; r < kRowsPerThread; ++r) sum[r] = p.params[layer.bias + j];
      for (int k = 0; k < layer.inputs; ++k) {
        const float wk = w[static_cast<std::int64_t>(k) * layer.width];
        for (int r = 0; r < kRowsPerThread; ++r)
          sum[r] = __fmaf_rn(x[r * input_row + k], wk, sum[r]);
      }
      for (int r = 0; r < kRowsPerThread; ++r) {
        out[(first + r) * layer.width + j] = hidden ? math::tanh(sum[r]) : sum[r];
      }
    }
    __syncthreads();
    input = out;
    input_row = layer.width;
    out = out == a ? b : a;
  }
  return input;
}

__device__ inline void sample_discrete_row(const DevicePolicy& p, const ActRequest& q,
                                           std::int64_t i, float* head) {
  std::int32_t action;
  log_softmax<1>(head, p.outputs, 1);
  if (p.greedy) {
    argmax_categorical<1>(head, p.outputs, 1, &action);
  } else {
    const float u =
        action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]).uniform();
    sample_categorical<1>(head, &u, p.outputs, 1, &action);
  }
  static_cast<std::int32_t*>(q.actions)[i] = action;
  if (q.logprobs != nullptr) q.logprobs[i] = head[action];
}

__device__ inline void sample_gaussian_row(const DevicePolicy& p, const ActRequest& q,
                                           std::int64_t i, const float* head) {
  float logp = 0.0f;
  for (int a = 0; a < p.outputs; ++a) {
    const float std = math::exp(p.log_std[a]);
    float raw = head[a];
    if (!p.greedy) {
      const Rng rng = action_rng(p.seed, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
      raw = head[a] + std * action_normal(rng, a);
    }
    add_gaussian_logp<1>(&raw, head + a, p.log_std[a], 1, &logp);
    const std::int64_t at = a * q.stride + i;
    static_cast<float*>(q.actions)[at] =
        bound_action(raw, p.middle[a], p.half_range[a], p.low[a], p.high[a]);
    if (q.raw_actions != nullptr) q.raw_actions[at] = raw;
  }
  if (q.logprobs != nullptr) q.logprobs[i] = logp;
}

RM_KERNEL void act_kernel(DevicePolicy p, ActRequest q) {
  float* input = shared_memory();
  float* a = input + p.tile_rows * p.observations;
  float* b = a + p.tile_rows * p.max_width;
  const std::int64_t begin = q.begin + static_cast<std::int64_t>(blockIdx.x) * p.tile_rows;
  const int rows = static_cast<int>(q.end - begin < p.tile_rows ? q.end - begin : p.tile_rows);
  const int r = static_cast<int>(threadIdx.x);
  gather_tile(p, q.observations, q.stride, begin, rows, input);
  const int actor_width = p.actor.layers[p.actor.count - 1].width;
  // The head is in a or b, both ours to write: log_softmax works in place.
  float* head = const_cast<float*>(forward_tile(p, p.actor, input, a, b)) + r * actor_width;
  if (r < rows) {
    if (p.discrete) {
      sample_discrete_row(p, q, begin + r, head);
    } else {
      sample_gaussian_row(p, q, begin + r, head);
    }
  }
  if (q.values == nullptr) return;
  __syncthreads();  // the critic overwrites the actor's head
  const float* value = forward_tile(p, p.critic, input, a, b);
  if (r < rows) q.values[begin + r] = value[r * p.critic.layers[p.critic.count - 1].width];
}

RM_KERNEL void value_kernel(DevicePolicy p, const float* observations, std::int64_t stride,
                            int num_envs, const std::uint8_t* ends, float* values) {
  float* input = shared_memory();
  float* a = input + p.tile_rows * p.observations;
  float* b = a + p.tile_rows * p.max_width;
  const std::int64_t slot = blockIdx.y, begin = static_cast<std::int64_t>(blockIdx.x) * p.tile_rows;
  const int rows =
      static_cast<int>(num_envs - begin < p.tile_rows ? num_envs - begin : p.tile_rows);
  const int r = static_cast<int>(threadIdx.x);
  const std::int64_t at = slot * stride + begin + r;
  const bool wanted = r < rows && (ends == nullptr || ends[at] == kTruncated);
  if (__syncthreads_or(wanted) == 0) return;  // the whole block leaves together
  gather_tile(p, observations + slot * p.observations * stride, stride, begin, rows, input);
  const float* value = forward_tile(p, p.critic, input, a, b);
  if (wanted) values[at] = value[r * p.critic.layers[p.critic.count - 1].width];
}

}  // namespace rollmill
