// How a policy is scored: a fixed number of whole episodes with fixed seeds, apart from those of training, on any number
// of threads with the same result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/statistics.h"
#include "generators/episode_runner.h"

namespace rollmill {

class ProcessGroup;

// Seed of evaluation episodes unless --seed says otherwise: far from the small numbers that people train with.
inline constexpr std::uint64_t kEvaluationSeed = 0x524D4556414C3031;  // "RMEVAL01"

struct EvaluationReport {
  std::string env_id, env_params, policy_id, policy_hash;
  std::uint64_t seed = 0;
  std::optional<bool> greedy;   // of a trained policy: whether it took the most probable actions
  std::vector<double> returns;  // by episode number
  std::vector<std::int32_t> lengths;
  std::vector<std::int64_t> outcomes;  // episodes by reason code
  std::vector<std::string> outcome_names;
  std::int64_t cut =
      0;  // episodes without a time limit that went on for EpisodeJob::max_steps; an outcome of its own
  // Episodes that ended because a number of the state or the reward was NaN or infinite (an outcome as well), and those that
  // showed the policy such a number, with the first of them in words.
  std::int64_t broken = 0, blind = 0;
  std::string first_blind;
  double mean_return = 0, median_return = 0, iqm_return = 0, std_return = 0;
  std::optional<Interval> mean_interval;  // of kFewestForInterval episodes or more
  double mean_length = 0;
  double seconds = 0;
};

// job.first and job.count are the episodes; outcome names come from the environment. Empty where job.stopped() afterwards.
// greedy: how job.policy acts, for the report; nothing where it has no such choice.
EvaluationReport evaluate(const EpisodeJob& job, std::optional<bool> greedy, ThreadPool& pool);

// What of the environments was NaN or infinite, for people; "" where all numbers were finite.
std::string not_finite_text(const EvaluationReport& report);

std::string format_text(const EvaluationReport& report);
std::string format_json(const EvaluationReport& report);

}  // namespace rollmill
