// The environment part that all jobs share: [env] and [env.params] of a config.
#pragma once

#include <string>
#include <vector>

namespace rollmill {

class Config;
struct EnvEntry;

struct EnvOptions {
  std::string id;
  int num_envs = 64;
  std::string device = "cpu";  // "cpu", "cuda", "cuda:N", "check"
  int time_limit = -1;         // steps; 0: none
  std::vector<double> params;  // one per EnvSpec::params
};

// Reads and checks the keys against the environment's own manifest.
EnvOptions read_env_options(Config& config, int default_num_envs);

// Parameters and time limit as one JSON object, numbers with full precision: what datasets record.
std::string env_params_json(const EnvEntry& entry, const EnvOptions& options);
// The reverse. Throws Error(kBadData) naming `where` for anything that is not such an object for this environment.
EnvOptions parse_env_params_json(const EnvEntry& entry, const std::string& json,
                                 const std::string& where);

}  // namespace rollmill
