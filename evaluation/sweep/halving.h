// Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
// optimization"): all trials get few steps, the best 1 / eta of them eta times as many, and so on to the whole length.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace rollmill {

struct Rung {
  std::int64_t steps = 0;   // trainer.total_steps of its trials, from their beginning on
  std::int64_t trials = 0;  // at most so many are trained
};

// Counted from the top, as Hyperband does (Li et al. 2018): the last rung has max_steps, the ones before it each 1 / eta of
// the next, rounded up, down to min_steps or more. When one trial is left it gets all steps at once.
// trials, min_steps >= 1, max_steps >= min_steps, eta >= 2.
std::vector<Rung> halving_rungs(std::int64_t trials, int eta, std::int64_t min_steps,
                                std::int64_t max_steps);

// A trial and its score on a rung; no score: it failed.
using TrialScore = std::pair<std::int64_t, std::optional<double>>;

// Whether a is ahead of b: a higher score, failures last, equals by their number.
bool is_ahead(const TrialScore& a, const TrialScore& b);

// The trials of the next rung, by number: the best `count` that did not fail.
std::vector<std::int64_t> halving_survivors(std::vector<TrialScore> scores, std::int64_t count);

}  // namespace rollmill
