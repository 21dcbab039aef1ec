// A counterfactual: an episode up to step T, then twice from there - as it went on, and with another action at T. Both go on
// with the same policy and the same randomness (the keys of draws are copied too), so what differs follows from the action.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/registry.h"
#include "rollout/policy.h"

namespace rollmill {

struct BranchOptions {
  std::int64_t step = 0;          // the branching point, steps after the episode's start
  std::vector<double> action;     // one number an action column
  std::int64_t max_steps = 1000;  // after the branching point
};

struct BranchSide {
  std::vector<double> action;        // at the branching point
  std::vector<std::uint32_t> state;  // words right after it; empty if the action ended the episode
  std::vector<std::uint32_t>
      end;                    // the last state before the episode ended, or where the run stopped
  double episode_return = 0;  // from the episode's start
  std::int64_t length = 0;
  std::string outcome;  // empty: still running after max_steps
};

struct BranchReport {
  std::vector<std::uint32_t> state;  // at the branching point
  BranchSide factual, counterfactual;
  // The step after which states, returns or outcomes first differ; -1: never.
  std::int64_t first_difference = -1;
};

// Plays episode config.first_episode. Errors: the episode ends before the branching point, an action that the environment does
// not have or its mask forbids (usage).
BranchReport branch_episode(const EnvEntry& entry, const BatchConfig& config, const Policy& policy,
                            const BranchOptions& options);

}  // namespace rollmill
