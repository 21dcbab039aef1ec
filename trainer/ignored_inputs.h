// Asymmetric actor and critic: observation fields that only the critic reads (Pinto et al. 2018, arXiv:1710.06542). The actor's
// weights of such an input start at 0 and get no gradient, so that nothing of it reaches the action, in training and wherever
// the policy goes. What training knows and the world will not say is such a field; any other may be named, too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/env_spec.h"
#include "rollout/mlp/layout.h"

namespace rollmill {

// [begin, end) of a policy's flat array of parameters.
struct ParamRange {
  std::int64_t begin, end;
};

// Elements of one frame that observation field `field` is: one (real numbers), a one-hot part, a plane.
struct ElementRange {
  int begin, end;
};
ElementRange elements_of_field(const EnvSpec& spec, int field);

// Index of the observation field of that name, or -1.
int find_observation_field(const EnvSpec& spec, const std::string& name);

// The actor's weights of the fields, in every frame it reads. The names must be fields of the environment.
std::vector<ParamRange> actor_weights_of(const std::vector<std::string>& fields,
                                         const EnvSpec& spec, const MlpLayout& layout);

// The fields whose weights in the actor are all 0, as those of policy.actor_ignores are in a trained policy.
std::vector<std::string> ignored_fields(const EnvSpec& spec, const MlpLayout& layout,
                                        const float* params);

void set_to_zero(const std::vector<ParamRange>& ranges, float* params);

}  // namespace rollmill
