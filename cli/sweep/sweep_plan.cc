#include "cli/sweep/sweep_plan.h"

#include <algorithm>
#include <filesystem>

#include "cli/training.h"
#include "core/base/error.h"
#include "core/config/config.h"
#include "core/io/atomic_file.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> overrides_of(const TrialValues& values) {
  std::vector<std::string> all;
  for (const TrialValue& value : values) all.push_back(override_text(value));
  return all;
}

// An error of the recipe with a trial's values, said of the place in the sweep file that they come from.
[[noreturn]] void fail_trial(const Config& sweep, const TrialValues& values, std::int64_t trial,
                             const std::string& what) {
  const std::string which = "trial " + std::to_string(trial) + ": ";
  for (const TrialValue& value : values) {
    const std::string mark = "--set " + value.key + "=";
    if (!what.starts_with(mark)) continue;
    const std::size_t rest = what.find(": " + value.key + ": ");
    sweep.fail("sweep.space." + value.key,
               which + (rest == std::string::npos ? what : what.substr(rest + 2)));
  }
  fail_usage(sweep.name() + ": " + which + values_text(values) + ": " + what);
}

TrainOptions read_trial(const Config& sweep, const SweepPlan& plan, const std::string& recipe,
                        std::int64_t trial) {
  const TrialValues& values = plan.trials[static_cast<std::size_t>(trial)];
  try {
    Config config = Config::from_string(plan.recipe, recipe, overrides_of(values));
    const TrainOptions options = read_train_job(config, 1).options;
    if (options.evaluation_episodes == 0)
      config.fail("evaluation.episodes", "a sweep compares evaluations; 1 or more are wanted");
    return options;
  } catch (const Error& e) {
    if (e.code() != ExitCode::kUsage) throw;
    fail_trial(sweep, values, trial, e.what());
  }
}

void plan_rungs(const Config& sweep, const TrainOptions& first, SweepPlan& plan) {
  SweepOptions& o = plan.options;
  if (o.method != SweepMethod::kHalving) {
    plan.rungs = {{0, o.trials}};
    return;
  }
  if (o.max_steps == 0) o.max_steps = first.total_steps;
  const std::int64_t square = std::int64_t{o.eta} * o.eta;
  if (o.min_steps == 0) o.min_steps = std::max<std::int64_t>(1, o.max_steps / square);
  if (o.min_steps > o.max_steps / o.eta)
    sweep.fail("sweep.min_steps", "with eta = " + std::to_string(o.eta) + " and " +
                                      std::to_string(o.max_steps) + " steps at most, " +
                                      std::to_string(o.max_steps / o.eta) +
                                      " or less are wanted: else nothing is halved");
  plan.rungs = halving_rungs(o.trials, o.eta, o.min_steps, o.max_steps);
}

}  // namespace

SweepPlan read_sweep_plan(const std::string& path, const std::vector<std::string>& overrides) {
  Config sweep = Config::from_file(path, overrides);
  SweepPlan plan;
  plan.name = fs::path(path).stem().string();
  plan.options = read_sweep_options(sweep);
  plan.text = sweep.resolved_toml();
  plan.checked = sweep.resolved_toml(Config::Origins::kShow);
  const std::string recipe = (fs::path(path).parent_path() / plan.options.config).string();
  try {
    Config::from_file(recipe);
    plan.recipe = read_file(recipe, Config::kMaxFileBytes);
  } catch (const Error& e) {
    sweep.fail("sweep.config", e.what());
  }
  for (std::int64_t k = 0; k < plan.options.trials; ++k) {
    plan.trials.push_back(trial_values(plan.options, k));
    const TrainOptions trial = read_trial(sweep, plan, recipe, k);
    plan.extends.push_back(!depends_on_length(trial));
    if (k > 0) continue;
    plan.recipe_name = trial.name;
    plan.device = trial.env.device;
    plan_rungs(sweep, trial, plan);
  }
  return plan;
}

std::vector<std::string> trial_overrides(const SweepPlan& plan, std::int64_t trial,
                                         std::int64_t rung) {
  std::vector<std::string> all = overrides_of(plan.trials[static_cast<std::size_t>(trial)]);
  const std::int64_t steps = plan.rungs[static_cast<std::size_t>(rung)].steps;
  if (steps > 0) all.push_back("trainer.total_steps=" + std::to_string(steps));
  return all;
}

}  // namespace rollmill
