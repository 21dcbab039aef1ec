// PPO's update on a GPU without leaving it: own kernels, the whole update as one CUDA graph, the CPU's bits
// (trainer/fused/learner_kernels.cuh). On several ranks their exchanges are part of the graph. Dense networks, with convolutions
// (learner_conv.cuh, learner_patches.cuh), a memory (learner_memory.cuh), both (learner_memory_conv.cuh) or neither; all also with
// products of bfloat16 numbers, of which only those of trainer.reduction = "exact" have the CPU's bits (learner_bf16.cuh,
// learner_memory_bf16.cuh).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/explained_variance.h"
#include "trainer/learner.h"

namespace rollmill {

struct DeviceUpdate {
  UpdateStats stats;  // but the explained variance
  std::vector<Spread>
      spreads;              // [groups][horizon][chunks of environments]: what that is computed from
  int longest_skipped = 0;  // most steps that were skipped in a row
};

class DeviceLearner {
 public:
  virtual ~DeviceLearner() = default;
  // buffer: in device memory, one of at most two of one shape. Weights and optimiser state are copied in and out.
  virtual DeviceUpdate update(const RolloutBuffer& buffer, std::int64_t update,
                              double learning_rate) = 0;
};

// The learner of trainer.kernels = "fused" with env.device = "cuda". Opens the CUDA module; throws Error(kDevice) where there
// is no such GPU, Error(kUsage) where the network is not one for the kernels.
std::unique_ptr<Learner> make_cuda_learner(const LearnerContext& context);

}  // namespace rollmill

extern "C" rollmill::DeviceLearner* rollmill_make_device_learner(
    const rollmill::LearnerContext* context);
