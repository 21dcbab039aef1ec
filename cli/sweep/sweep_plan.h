// A sweep as it will be done: the file, its recipe and every trial's values, all of them read and checked before anything
// is trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/sweep/halving.h"
#include "evaluation/sweep/sweep_options.h"

namespace rollmill {

struct SweepPlan {
  std::string name;     // of the file, without its ending: the default folder is runs/NAME
  std::string text;     // resolved
  std::string checked;  // the same, with where each value comes from
  SweepOptions options;
  std::string recipe;       // the recipe file's bytes
  std::string recipe_name;  // run.name
  std::string device;       // env.device, of the first trial
  std::vector<TrialValues> trials;
  // By trial, for halving: whether a run that ended can go on to more steps and be the run that had them from the start.
  std::vector<bool> extends;
  std::vector<Rung> rungs;  // one, with steps 0 (the recipe's), where nothing is halved
};

// Throws usage errors of one line with the place in the sweep file.
SweepPlan read_sweep_plan(const std::string& path, const std::vector<std::string>& overrides);

// What a trial's training on a rung overrides in the recipe, without run.*.
std::vector<std::string> trial_overrides(const SweepPlan& plan, std::int64_t trial,
                                         std::int64_t rung);

}  // namespace rollmill
