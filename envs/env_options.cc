#include "envs/env_options.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/io/strict_json.h"
#include "envs/registry.h"
#include "envs/world_options.h"

namespace rollmill {

EnvOptions read_env_options(Config& config, int default_num_envs) {
  EnvOptions o;
  o.id = config.require_string("env.id");
  EnvSpec spec;
  try {
    spec = find_env(o.id).spec();
  } catch (const Error& error) {
    config.fail("env.id", error.what());
  }
  o.num_envs = static_cast<int>(config.get_int("env.num_envs", default_num_envs, 1, 1 << 24));
  o.device = config.get_string("env.device", o.device);
  o.time_limit = static_cast<int>(config.get_int("env.time_limit", spec.time_limit, 0, 1 << 30));
  o.reset_pool = config.get_bool("env.reset_pool", o.reset_pool);
  o.trace_steps = static_cast<int>(config.get_int("env.trace_steps", o.trace_steps, 0, 1 << 16));
  for (std::size_t k = 0; k < spec.params.size(); ++k) {
    const ParamSpec& p = spec.params[k];
    const std::string key = "env.params." + p.field.name;
    config.keep_last_override(key);
    if (config.has_section(key)) {
      o.params.push_back(p.default_value);
      o.world.draws.push_back(read_param_draw(config, key, p, static_cast<int>(k)));
    } else if (p.integer) {
      o.params.push_back(static_cast<double>(config.get_int(
          key, static_cast<std::int64_t>(p.default_value), static_cast<std::int64_t>(p.field.low),
          static_cast<std::int64_t>(p.field.high))));
    } else {
      o.params.push_back(config.get_float(key, p.default_value, p.field.low, p.field.high));
    }
  }
  if (config.has("env.levels")) read_levels(config, o.world.levels);
  return o;
}

std::string env_params_json(const EnvEntry& entry, const EnvOptions& options) {
  const EnvSpec spec = entry.spec();
  nlohmann::ordered_json j;
  j["time_limit"] = options.time_limit < 0 ? spec.time_limit : options.time_limit;
  for (std::size_t k = 0; k < spec.params.size(); ++k) {
    j[spec.params[k].field.name] =
        options.params.empty() ? spec.params[k].default_value : options.params[k];
  }
  for (const ParamDraw& d : options.world.draws)
    j[spec.params[static_cast<std::size_t>(d.param)].field.name] = param_draw_json(d);
  if (options.world.levels.count != 0) j["levels"] = levels_json(options.world.levels);
  return j.dump();
}

EnvOptions parse_env_params_json(const EnvEntry& entry, const std::string& text,
                                 const std::string& where) {
  const EnvSpec spec = entry.spec();
  const nlohmann::json j = parse_json_strict(text, where, 4);
  const auto number = [&](const std::string& name, double low, double high) {
    const auto it = j.find(name);
    if (it == j.end() || !it->is_number())
      fail_data(where + ": environment parameter '" + name + "' is missing");
    const double v = it->get<double>();
    if (!(v >= low && v <= high))
      fail_data(where + ": environment parameter '" + name + "' is out of its range");
    return v;
  };
  EnvOptions o;
  o.id = spec.id;
  o.time_limit = static_cast<int>(number("time_limit", 0, 1 << 30));
  for (std::size_t k = 0; k < spec.params.size(); ++k) {
    const ParamSpec& p = spec.params[k];
    if (const auto it = j.find(p.field.name); it != j.end() && it->is_object()) {
      o.params.push_back(p.default_value);
      o.world.draws.push_back(parse_param_draw(*it, p, static_cast<int>(k), where));
    } else {
      o.params.push_back(number(p.field.name, p.field.low, p.field.high));
    }
  }
  std::size_t known = spec.params.size() + 1;
  if (const auto it = j.find("levels"); it != j.end()) {
    o.world.levels = parse_levels(*it, where);
    ++known;
  }
  if (j.size() != known) fail_data(where + ": unknown environment parameters");
  return o;
}

}  // namespace rollmill
