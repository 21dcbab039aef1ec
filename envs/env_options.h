// The environment part that all jobs share: [env] and [env.params] of a config.
#pragma once

#include <string>
#include <vector>

#include "envs/world.h"

namespace rollmill {

class Config;
struct EnvEntry;

struct EnvOptions {
  std::string id;
  int num_envs = 64;
  std::string device = "cpu";  // "cpu", "cuda", "cuda:N", "check"
  int time_limit = -1;         // steps; 0: none
  std::vector<double> params;  // one per EnvSpec::params; of a drawn one its default
  World world;                 // parameters drawn at each episode, levels
  bool reset_pool = false;     // initial states made ahead (envs/reset_pool.h)
  int trace_steps = 0;  // states and actions kept for the report of an environment that breaks
};

// Reads and checks the keys against the environment's own manifest. A parameter is a number, or how each episode draws it:
//   pole_mass = { uniform = [0.05, 0.2] }      also log_uniform = [a, b], normal = [mean, deviation],
//                                              choice = [x, y, ...] (at most 8), constant = x
// [env.levels] count, first, seed: episodes are drawn from so many levels (envs/world.h).
EnvOptions read_env_options(Config& config, int default_num_envs);

// Parameters (numbers, or how they are drawn), levels and time limit as one JSON object, numbers with full precision: what datasets record.
std::string env_params_json(const EnvEntry& entry, const EnvOptions& options);
// The reverse. Throws Error(kBadData) naming `where` for anything that is not such an object for this environment.
EnvOptions parse_env_params_json(const EnvEntry& entry, const std::string& json,
                                 const std::string& where);

}  // namespace rollmill
