// [init] policy: another run's weights instead of random ones.
#pragma once

#include <string>

#include "rollout/mlp/mlp_policy.h"

namespace rollmill {

// Weights and observation statistics of the policy that `path` names (a run, checkpoint or policy.safetensors). Error kUsage
// naming `key` and both shapes where it is of another shape; kBadData where there is no such policy.
void start_from(const std::string& key, const std::string& path, PolicyWeights& weights);

}  // namespace rollmill
