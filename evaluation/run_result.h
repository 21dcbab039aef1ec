// What a training run came to, as its folder says: for tables over several runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "evaluation/statistics.h"

namespace rollmill {

// Of RUN/evaluation.json.
struct EvaluationSummary {
  double mean_return = 0;
  std::optional<Interval> interval;  // of it over the episodes, 95 %
  std::string policy_hash;
  std::int64_t episodes = 0;
  std::uint64_t seed = 0;
  bool greedy = true;
};
// nullopt where the file is missing or damaged: an evaluation can be made anew.
std::optional<EvaluationSummary> read_evaluation(const std::string& run);

// Of RUN/metrics.jsonl: environment steps, and seconds of training over all its processes. Zeros before the first update.
struct RunLength {
  std::int64_t steps = 0;
  double seconds = 0;
};
RunLength read_run_length(const std::string& run);

}  // namespace rollmill
