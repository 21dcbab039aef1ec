// policy.json: what an exported policy takes and gives, for people and for programs that embed it. docs/formats.md lists
// its keys.
#pragma once

#include <string>
#include <vector>

#include "envs/env_spec.h"
#include "rollout/export/policy_graph.h"
#include "rollout/mlp/policy_file.h"

namespace rollmill {

inline constexpr char kExportFormat[] = "rollmill-export-1";

// The text of policy.json. `graph` is make_policy_graph's of the same policy and environment. ignored: fields of the observation
// that no action depends on (policy.actor_ignores).
std::string policy_description(const EnvSpec& spec, const PolicyFile& policy,
                               const PolicyGraph& graph,
                               const std::vector<std::string>& ignored = {});

}  // namespace rollmill
