// What off-policy learning on a GPU is told, whatever the algorithm.
#pragma once

#include <cstdint>
#include <string>

#include "envs/batch.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/replay/off_policy_options.h"
#include "trainer/replay/replay_buffer.h"

namespace rollmill {

struct DeviceOffPolicyConfig {
  std::string env_id;
  BatchConfig batch;
  int device = 0;
  const PolicyWeights* weights = nullptr;  // their shape
  ReplayConfig replay;
  std::int64_t total_steps = 0;
  std::uint64_t seed = 0;
  std::int64_t log_room = std::int64_t{1}
                          << 22;  // ends of steps kept until the host asks for episodes
};

}  // namespace rollmill
