// An environment's facts for people and programs.
#pragma once

#include <string>
#include <nlohmann/json_fwd.hpp>

#include "envs/registry.h"

namespace rollmill {

// "Discrete(4)", "Planes(3, 8, 8)", ...; long lists of choices are cut.
std::string observation_text(const EnvSpec& spec);
std::string action_text(const EnvSpec& spec);

// All of it, in lines.
std::string describe_text(const EnvEntry& entry, const EnvSpec& spec);
nlohmann::ordered_json describe_json(const EnvEntry& entry, const EnvSpec& spec);

}  // namespace rollmill
