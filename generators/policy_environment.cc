#include "generators/policy_environment.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/config/config.h"
#include "envs/registry.h"
#include "envs/world_options.h"
#include "rollout/mlp/policy_file.h"

namespace rollmill {
namespace {

std::string toml_of(const EnvEntry& entry, const EnvOptions& env) {
  const EnvSpec spec = entry.spec();
  std::string text =
      fmt::format("[env]\nid = \"{}\"\ntime_limit = {}\n[env.params]\n", env.id, env.time_limit);
  for (std::size_t k = 0; k < spec.params.size(); ++k) {
    const double v = env.params[k];
    const auto drawn = std::find_if(env.world.draws.begin(), env.world.draws.end(),
                                    [&](const auto& d) { return d.param == static_cast<int>(k); });
    if (drawn != env.world.draws.end()) {
      text += param_draw_toml(spec.params[k].field.name, *drawn);
      continue;
    }
    text += spec.params[k].integer
                ? fmt::format("{} = {}\n", spec.params[k].field.name, static_cast<std::int64_t>(v))
                : fmt::format("{} = {:#}\n", spec.params[k].field.name, v);
  }
  const LevelSet& levels = env.world.levels;
  if (levels.count != 0) {
    text += fmt::format("[env.levels]\nfirst = {}\ncount = {}\nseed = {}\n", levels.first,
                        levels.count, levels.seed);
  }
  return text;
}

}  // namespace

EnvOptions policy_environment(const std::string& target, const std::string& env_id,
                              const std::vector<std::string>& set) {
  std::string text = "[env]\nid = \"" + env_id + "\"\n";
  if (target != "random" && target != "expert") {
    const std::string& path = target;
    const PolicyFile policy = load_policy(path);
    if (!env_id.empty() && env_id != policy.env_id) {
      fail_data(path + ": this policy is for " + policy.env_id + ", not for " + env_id);
    }
    const EnvEntry* entry = nullptr;
    try {
      entry = &find_env(policy.env_id);
    } catch (const Error& e) {
      fail_data(path + ": " + e.what());
    }
    text = toml_of(*entry, parse_env_params_json(*entry, policy.env_params, path));
  } else if (env_id.empty()) {
    fail_usage("policy '" + target + "' needs --env ID");
  }
  Config config = Config::from_string(text, "--env", set);
  EnvOptions env = read_env_options(config, 1);
  config.finish();
  return env;
}

}  // namespace rollmill
