#include <fmt/core.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "envs/registry.h"
#include "evaluation/speed.h"

namespace rollmill {

int run_bench(const Arguments& arguments) {
  std::string env_id;
  std::int64_t num_envs = 65536, threads = 1, horizon = 32;
  double seconds = 1.0;
  std::optional<double> seconds_option;
  std::vector<std::string> ids;
  bool json = false, env_only = false, actions_ahead = false;
  Args parser(
      "bench",
      "Measures E (environment), R (environment + policy) and T (training), in steps per second.");
  parser.positional("ENV", env_id, "environment; all of them if left out", false);
  parser.option("--num-envs", num_envs, "environments in the batch", 1, 1 << 24);
  parser.option("--threads", threads, "threads", 1, 1024);
  parser.option("--horizon", horizon, "steps of a rollout (R and T)", 1, 1 << 16);
  parser.option("--seconds", seconds_option, "time for each figure (default 1)");
  parser.flag("--env-only", env_only, "measure E only");
  parser.flag("--actions-ahead", actions_ahead,
              "draw E's random actions before the clock starts (not where actions are masked)");
  parser.flag("--json", json,
              "print a list of objects with env, num_envs, threads, E, R, T and bytes");
  if (!parser.parse(arguments)) return 0;
  if (seconds_option) seconds = *seconds_option;
  if (!(seconds >= 0.001 && seconds <= 3600))
    fail_usage("--seconds must lie between 0.001 and 3600");
  if (env_id.empty()) {
    for (const EnvEntry& entry : env_registry()) ids.emplace_back(entry.id);
  } else {
    ids.emplace_back(find_env(env_id).id);
  }
  auto list = nlohmann::ordered_json::array();
  if (!json) {
    print_out(fmt::format("{}\n{:<28}{:>9}{:>8}{:>12}{:>12}{:>12}{:>10}{:>8}\n", processor_name(),
                          "environment", "envs", "threads", "E", "R", "T", "B/env", "fields"));
  }
  for (const std::string& id : ids) {
    const SpeedFigures f =
        measure_speed({id, static_cast<int>(num_envs), static_cast<int>(threads),
                       static_cast<int>(horizon), seconds, env_only, actions_ahead});
    if (json) {
      list.push_back({{"env", id},
                      {"num_envs", num_envs},
                      {"threads", threads},
                      {"E", f.environment},
                      {"R", f.rollout},
                      {"T", f.training},
                      {"bytes_per_env", f.bytes_per_environment},
                      {"field_bytes_per_env", f.field_bytes},
                      {"processor", processor_name()}});
    } else {
      print_out(fmt::format("{:<28}{:>9}{:>8}{:>12}{:>12}{:>12}{:>10}{:>8}\n", id, num_envs,
                            threads, human(f.environment), env_only ? "-" : human(f.rollout),
                            env_only ? "-" : human(f.training), f.bytes_per_environment,
                            f.field_bytes));
    }
  }
  if (json) print_out(list.dump(2) + "\n");
  return 0;
}

}  // namespace rollmill
