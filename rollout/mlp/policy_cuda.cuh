// The actor-critic MLP on a GPU: the same numbers as rollout/mlp/mlp_policy.h, bit for bit.
#pragma once

#include <cstdint>

#include "core/device/buffer.h"
#include "rollout/mlp/device_policy.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill {

class CudaPolicy {
 public:
  CudaPolicy(const EnvSpec& spec, std::uint64_t seed, bool greedy, int device);

  // Throws Error(kUsage) when the network has more layers or wider ones than the kernels take.
  void set_weights(const PolicyWeights& weights);
  // All pointers of the request are device pointers.
  void act(const ActRequest& request) const;
  // values[t * stride + i] = V of observations[(t * D + k) * stride + i] for t < slots and i <
  // num_envs. With `ends` ([slots][stride]) only where it is kTruncated; other values are left as
  // they were.
  void value(const float* observations, std::int64_t stride, int num_envs, int slots,
             const std::uint8_t* ends, float* values) const;

 private:
  std::size_t shared_bytes() const;

  int device_;
  Buffer params_, normalizer_, bounds_;
  DevicePolicy policy_{};
};

}  // namespace rollmill
