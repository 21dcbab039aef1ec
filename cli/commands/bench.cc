#include <fmt/core.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "envs/registry.h"
#include "evaluation/roofline.h"
#include "evaluation/speed.h"

namespace rollmill {

namespace {

std::string describe(const Roofline& roof, const SpeedFigures& f) {
  const auto percent = [](double part, double whole) { return 100.0 * part / whole; };
  const double allowed = roof.allowed(f.environment);
  const double both = roof.flops + roof.backward_flops;
  return fmt::format(
      "  peak of float32 multiply-adds    {:>10.1f} GFLOP/s, from registers; {:.1f} G tanh/s\n"
      "  64-64 actor and critic           {:>10} flops a step and {} tanh; {} flops with backward\n"
      "  forward pass alone, in the cache {:>10} steps/s: {:.1f} GFLOP/s, {:.0f} % of the peak; "
      "{:.0f} % of what products and tanh allow\n"
      "  forward and backward, in it, too {:>10} steps/s: {:.1f} GFLOP/s, {:.0f} % of the peak; "
      "{:.0f} % of what products and tanh allow\n"
      "  R if only arithmetic and E cost  {:>10} steps/s: the fastest rollout, {}, is {:.0f} % of "
      "it\n",
      roof.peak / 1e9, roof.activation_rate / 1e9, static_cast<std::int64_t>(roof.flops),
      static_cast<std::int64_t>(roof.activations), static_cast<std::int64_t>(both),
      human(roof.forward), roof.forward * roof.flops / 1e9,
      percent(roof.forward * roof.flops, roof.peak), percent(roof.forward * roof.arithmetic(), 1.0),
      human(roof.both), roof.both * both / 1e9, percent(roof.both * both, roof.peak),
      percent(roof.both * roof.arithmetic_of_both(), 1.0), human(allowed), human(f.fastest_rollout),
      percent(f.fastest_rollout, allowed));
}

}  // namespace

int run_bench(const Arguments& arguments) {
  std::string env_id;
  std::int64_t num_envs = 65536, threads = 1, horizon = 32;
  double seconds = 1.0;
  std::optional<double> seconds_option;
  std::vector<std::string> ids;
  bool json = false, env_only = false, actions_ahead = false, roofline = false;
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
  parser.flag(
      "--roofline", roofline,
      "beside R what arithmetic alone would allow on this machine, and the policy's passes");
  parser.flag("--json", json,
              "print a list of objects with env, num_envs, threads, E, R, T and bytes");
  if (!parser.parse(arguments)) return 0;
  if (seconds_option) seconds = *seconds_option;
  if (!(seconds >= 0.001 && seconds <= 3600))
    fail_usage("--seconds must lie between 0.001 and 3600");
  if (roofline && env_only) fail_usage("--roofline is about R, --env-only leaves it out");
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
    std::optional<Roofline> roof;
    if (roofline) {
      roof = measure_roofline(shape_for(find_env(id).spec(), {64, 64}), static_cast<int>(threads),
                              seconds);
    }
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
      if (roof) {
        auto& j = list.back();
        j["peak_flops"] = roof->peak;
        j["policy_flops"] = roof->flops;
        j["backward_flops"] = roof->backward_flops;
        j["activations"] = roof->activations;
        j["activation_rate"] = roof->activation_rate;
        j["forward_alone"] = roof->forward;
        j["forward_and_backward"] = roof->both;
        j["R_fastest"] = f.fastest_rollout;
        j["R_allowed"] = roof->allowed(f.environment);
      }
    } else {
      print_out(fmt::format("{:<28}{:>9}{:>8}{:>12}{:>12}{:>12}{:>10}{:>8}\n", id, num_envs,
                            threads, human(f.environment), env_only ? "-" : human(f.rollout),
                            env_only ? "-" : human(f.training), f.bytes_per_environment,
                            f.field_bytes));
      if (roof) print_out(describe(*roof, f));
    }
  }
  if (json) print_out(list.dump(2) + "\n");
  return 0;
}

}  // namespace rollmill
