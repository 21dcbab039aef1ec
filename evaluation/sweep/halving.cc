#include "evaluation/sweep/halving.h"

#include <algorithm>

#include "core/base/assert.h"

namespace rollmill {

std::vector<Rung> halving_rungs(std::int64_t trials, int eta, std::int64_t min_steps,
                                std::int64_t max_steps) {
  RM_ASSERT(trials >= 1 && eta >= 2 && min_steps >= 1 && max_steps >= min_steps);
  std::vector<std::int64_t> steps = {max_steps};
  while (steps.back() > 1) {
    const std::int64_t fewer = (steps.back() - 1) / eta + 1;
    if (fewer < min_steps) break;
    steps.push_back(fewer);
  }
  std::vector<Rung> rungs;
  for (std::size_t k = steps.size(); k-- > 0; trials = std::max<std::int64_t>(1, trials / eta)) {
    rungs.push_back({steps[k], trials});
    if (trials > 1) continue;
    rungs.back().steps = max_steps;
    break;
  }
  return rungs;
}

bool is_ahead(const TrialScore& a, const TrialScore& b) {
  if (a.second != b.second) return a.second > b.second;  // an empty optional is less than any value
  return a.first < b.first;
}

std::vector<std::int64_t> halving_survivors(std::vector<TrialScore> scores, std::int64_t count) {
  std::sort(scores.begin(), scores.end(), is_ahead);
  std::vector<std::int64_t> trials;
  for (const auto& [trial, score] : scores) {
    if (score && static_cast<std::int64_t>(trials.size()) < count) trials.push_back(trial);
  }
  std::sort(trials.begin(), trials.end());
  return trials;
}

}  // namespace rollmill
