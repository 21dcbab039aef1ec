// A policy on disk: policy.safetensors. Tensors in PyTorch's layout ("actor.0.weight" [outputs, inputs], "actor.0.bias",
// ..., "critic.*", "log_std", "normalizer.mean|m2|count" in float64); the header's metadata holds what else it takes to
// act: environment, shape, clip. Loads in Python with safetensors alone; nothing in it is code.
#pragma once

#include <memory>
#include <string>

#include "envs/env_spec.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill {

struct PolicyFile {
  std::string env_id;
  std::string
      env_params;  // JSON of envs/env_options.h: parameters and time limit it was trained with
  std::unique_ptr<PolicyWeights> weights;
};

// "discrete", "continuous" or "mixed".
std::string action_kind(const PolicyShape& shape);

void save_policy(const std::string& path, const std::string& env_id, const std::string& env_params,
                 const PolicyWeights& weights);

// Throws Error(kBadData) for anything that is not such a file, or has NaN or infinity in it.
PolicyFile load_policy(const std::string& path);

// Throws Error(kBadData) with both shapes when the policy was not made for this environment.
void check_policy_fits(const PolicyFile& policy, const EnvSpec& spec, const std::string& path);

}  // namespace rollmill
