#include "envs/registry.h"

#include <algorithm>
#include <cctype>

#include "core/base/error.h"
#include "core/config/nearest.h"
#include "envs/env.h"

namespace rollmill {

const EnvEntry& find_env(const std::string& id) {
  std::vector<std::string> ids;
  for (const auto& entry : env_registry()) {
    if (id == entry.id) return entry;
    ids.emplace_back(entry.id);
  }
  std::string near = nearest(id, ids);
  for (const std::string& known :
       ids) {  // "cartpole" is farther from "CartPole-v1" than a typo, but clear all the same
    if (near.empty() && !id.empty() && known.size() > id.size() &&
        std::equal(id.begin(), id.end(), known.begin(),
                   [](char a, char b) { return std::tolower(a) == std::tolower(b); })) {
      near = known;
    }
  }
  fail_usage("environment '" + id + "' is not known" +
             (near.empty() ? "" : "; did you mean '" + near + "'?") +
             " (`rollmill envs` lists them)");
}

std::string outcome_name(const EnvSpec& spec, int outcome) {
  if (outcome == kOutcomeNotFinite) return "not_finite";
  const auto k = static_cast<std::size_t>(outcome);
  return k < spec.outcomes.size() ? spec.outcomes[k] : "reason_" + std::to_string(outcome);
}

}  // namespace rollmill
