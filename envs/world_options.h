// How a world varies, in TOML and JSON: what [env.params] and [env.levels] may say (envs/env_options.h).
#pragma once

#include <string>
#include <nlohmann/json_fwd.hpp>

#include "envs/env_spec.h"
#include "envs/world.h"

namespace rollmill {

class Config;

// The distribution given as an inline table at `key`, for parameter number `index`.
ParamDraw read_param_draw(Config& config, const std::string& key, const ParamSpec& param,
                          int index);
void read_levels(Config& config, LevelSet& levels);

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
