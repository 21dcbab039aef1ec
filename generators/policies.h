// Policies by the name that a config or a command line gives them.
#pragma once

#include <memory>
#include <string>

#include "envs/registry.h"
#include "rollout/mlp/policy_file.h"
#include "rollout/policy.h"

namespace rollmill {

// A policy with whatever it needs to live.
struct LoadedPolicy {
  PolicyFile file;  // of a trained policy
  std::unique_ptr<Policy> policy;
};

// "random", "expert" (the environment's scripted one), or the path of a run, checkpoint or policy.safetensors.
// Errors: an environment without an expert (usage), a path that holds no such policy (bad data).
LoadedPolicy load_named_policy(const std::string& name, const EnvEntry& entry, std::uint64_t seed,
                               bool greedy);

}  // namespace rollmill
