// A sweep file: which recipe, what varies, how it is searched.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/sweep/space.h"

namespace rollmill {

enum class SweepMethod { kRandom, kGrid, kHalving };

struct SweepOptions {
  std::string config;  // the recipe, as it is written: relative to the sweep file
  SweepMethod method = SweepMethod::kRandom;
  std::int64_t trials = 0;  // of a grid: its size
  std::vector<std::int64_t> seeds;
  std::uint64_t seed = 1;  // of the values
  // Halving. max_steps 0: the recipe's trainer.total_steps; min_steps 0: max_steps / eta^2.
  int eta = 3;
  std::int64_t min_steps = 0, max_steps = 0;
  SweepSpace space;
};

inline constexpr std::int64_t kMostTrials = 10'000;

// Reads and checks all keys of a sweep file. Throws usage errors with the place.
SweepOptions read_sweep_options(Config& config);

// The values of a trial, by the method.
TrialValues trial_values(const SweepOptions& options, std::int64_t trial);

}  // namespace rollmill
