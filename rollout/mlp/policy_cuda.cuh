// The actor-critic MLP on a GPU: the same numbers as rollout/mlp/mlp_policy.h, bit for bit, but with Products::kBf16Tensor.
#pragma once

#include <cstdint>

#include "core/device/buffer.h"
#include "rollout/mlp/device_policy.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill {

class CudaPolicy {
 public:
  CudaPolicy(const EnvSpec& spec, std::uint64_t seed, bool greedy, int frame_stack, int device,
             Products products = Products::kFloat32);

  // To learn with: what the networks read and say, without the actions' bounds.
  CudaPolicy(const PolicyShape& shape, int device);

  // Throws Error(kUsage) when the network has more layers or wider ones than the kernels take.
  void set_weights(const PolicyWeights& weights);
  // Parts of set_weights: what follows from the layout, and what changes beside the parameters.
  void set_networks(const PolicyWeights& weights);
  void set_normalizer(const PolicyWeights& weights);
  // Pointers stay as long as the shape does.
  const DevicePolicy& device() const { return policy_; }
  std::int64_t parameters() const {
    return static_cast<std::int64_t>(params_.bytes() / sizeof(float));
  }
  // All pointers of the request are device pointers.
  void act(const ActRequest& request) const;
  // Slot t's values, from the rollout's observations and what is remembered; steps: of the episodes.
  void value(const RolloutBuffer& buffer, int t, const std::uint32_t* steps) const;
  // Final values of slots [first, last), where an episode was truncated; others are left as they were. With memory one slot at a
  // time, right after its step.
  void final_values(const RolloutBuffer& buffer, int first, int last) const;
  // MlpPolicy::judge of all slots: log-probabilities and values anew; log_ratios [T][stride]: the former's changes. Without memory.
  void judge(const RolloutBuffer& buffer, float* log_ratios) const;

 private:
  bool bf16() const { return policy_.products != Products::kFloat32; }
  std::size_t shared_bytes() const;
  // launch(t, grid) for slots from t on, as many as a grid takes at a time, until all of [first, last) have had theirs.
  template <class Launch>
  void for_slots(const RolloutBuffer& buffer, int first, int last, Launch&& launch) const;
  void choose_tile();
  void upload_tables(const ObservationSpec& observed, const std::vector<int>& choices);

  int device_;
  Buffer params_, normalizer_, bounds_, tables_;
  DevicePolicy policy_{};
};

}  // namespace rollmill
