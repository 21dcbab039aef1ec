// What a policy says of actions that are there already, on a GPU: MlpPolicy::judge's numbers (rollout/mlp/mlp_policy.h), of many slots
// of a rollout at once.
#pragma once

#include "rollout/mlp/policy_tile.cuh"

namespace rollmill {

// The log-probability of row i's actions; head: what the actor says, overwritten.
__device__ inline float judge_row(const DevicePolicy& p, const ActRequest& q, std::int64_t i,
                                  float* head) {
  float logp = 0.0f;
  int first = 0;
  for (int column = 0; column < p.choice_columns; ++column) {
    const int n = p.choices[column];
    float* z = head + first;
    exclude_masked_row(p, q, i, z, first, n);
    log_softmax<1>(z, n, 1);
    logp += z[static_cast<const std::int32_t*>(q.actions)[column * q.stride + i]];
    first += n;
  }
  const float *mean = head + first, *second = mean + p.reals;
  for (int a = 0; a < p.reals; ++a) {
    const float raw = q.raw_actions[a * q.stride + i];
    switch (p.distribution) {
      case RealDistribution::kGaussian:
        add_gaussian_logp<1>(&raw, mean + a, p.log_std[a], 1, &logp);
        break;
      case RealDistribution::kSquashed:
        add_squashed_logp<1>(&raw, mean + a, second + a, 1, &logp);
        break;
      case RealDistribution::kBeta: add_beta_logp<1>(&raw, mean + a, second + a, 1, &logp); break;
      case RealDistribution::kDeterministic: break;
    }
  }
  return logp;
}

// Slots [first, first + gridDim.y): log-probabilities and values anew. log_ratios [T][stride]: by how much the former have changed.
template <bool kBf16>
RM_KERNEL void judge_kernel(RM_GRID_CONSTANT DevicePolicy p, RolloutBuffer b, int first,
                            float* log_ratios) {
  const int t = first + static_cast<int>(blockIdx.y);
  const ActRequest q = request_for_slot(b, t);
  const BlockTile tile(p, 0, b.num_envs);
  policy_tile<kBf16>(p, q, tile.begin, tile.rows, shared_memory(),
                     [&](std::int64_t i, float* head) {
                       const float now = judge_row(p, q, i, head);
                       log_ratios[t * b.stride + i] = now - q.logprobs[i];
                       q.logprobs[i] = now;
                     });
}

}  // namespace rollmill
