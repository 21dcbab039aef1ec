// Launches rollout/fused_rollout.cuh for one environment. Inside librollmill_cuda only; the table of environments that have one is
// generated (cmake/cuda.cmake).
#pragma once

#include <string>

#include "envs/batch.h"
#include "rollout/buffer.h"
#include "rollout/mlp/device_policy.h"

namespace rollmill {

// Steps 0 to T - 1 of `buffer` in the batch, which is the environment's on a GPU. parameters: how many the policy has. Returns false,
// with nothing launched, where the policy leaves no shared memory for it.
using FusedRollout = bool (*)(EnvBatch& batch, const DevicePolicy& policy,
                              const RolloutBuffer& buffer, std::int64_t parameters, int device);

// Null where the environment was built without.
FusedRollout find_fused_rollout(const std::string& env_id);

}  // namespace rollmill
