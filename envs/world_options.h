// How a world varies, in TOML and JSON: what [env.params] and [env.levels] may say (envs/env_options.h).
#pragma once

#include <string>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "envs/env_spec.h"
#include "envs/world.h"

namespace rollmill {

class Config;

// The distribution given as an inline table at `key`, for parameter number `index`.
ParamDraw read_param_draw(Config& config, const std::string& key, const ParamSpec& param,
                          int index);
void read_levels(Config& config, LevelSet& levels);

// What an episode was drawn as: the function that the runtime computes (envs/step_kernel.h), for records.
struct EpisodeWorld {
  std::vector<float> params;
  std::uint32_t level = 0;
};
// `params`: one per EnvSpec::params, empty for the defaults.
EpisodeWorld episode_world(const EnvSpec& spec, const std::vector<double>& params,
                           const World& world, std::uint64_t seed, std::uint32_t environment,
                           std::uint32_t episode);

// {"uniform":[a,b]} and so on; {"first":0,"count":200,"seed":0}.
nlohmann::ordered_json param_draw_json(const ParamDraw& draw);
// NAME = { uniform = [a, b] } as a line of TOML.
std::string param_draw_toml(const std::string& name, const ParamDraw& draw);
nlohmann::ordered_json levels_json(const LevelSet& levels);
// The reverse. Throw Error(kBadData) naming `where`.
ParamDraw parse_param_draw(const nlohmann::json& j, const ParamSpec& param, int index,
                           const std::string& where);
LevelSet parse_levels(const nlohmann::json& j, const std::string& where);

}  // namespace rollmill
