// The CUDA learner on the host (tests/cuda/emulation.h). Compiled once for all tests: its kernels take half a minute.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/dist/process_group.h"
#include "rollout/mlp/device_policy.h"
#include "trainer/explained_variance.h"
#include "trainer/fused/ppo_rows.h"
#include "trainer/learner.h"

namespace rollmill::testing {

// CudaDeviceLearner (trainer/fused/learner_cuda.cu) with host pointers.
class EmulatedLearner {
 public:
  EmulatedLearner(const PpoOptions& options, PolicyWeights& weights, OptimizerState& optimizer,
                  const RolloutBuffer& buffer, std::uint64_t seed, std::vector<ParamRange> frozen,
                  int groups, ProcessGroup& group, Products products = Products::kFloat32);
  ~EmulatedLearner();

  // The buffer of the next updates, which has the first one's shape; and parameters and normaliser where they are now.
  void learn_from(const RolloutBuffer& buffer);

  // All but the explained variance.
  UpdateStats update(std::int64_t number, double learning_rate);

  // The gradient that `units` give as one shard, with advantages as they are, and the losses' sums.
  std::pair<std::vector<float>, LossSums> one_shard(const std::vector<std::uint32_t>& units);

  // Plays the actions of a rollout with the policy as CudaPolicy would make it now: its log-probabilities, and what it remembers.
  void act();

  std::vector<Spread> spreads();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rollmill::testing
