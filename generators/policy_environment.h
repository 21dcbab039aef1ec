// The world that a command line means by a policy and, perhaps, an environment.
#pragma once

#include <string>
#include <vector>

#include "envs/env_options.h"

namespace rollmill {

// A trained policy (a file) knows its environment and parameters; "random" and "expert" need env_id and take its defaults.
// `set` overrides keys: env.params.gravity=20.
EnvOptions policy_environment(const std::string& policy, const std::string& env_id,
                              const std::vector<std::string>& set);

}  // namespace rollmill
