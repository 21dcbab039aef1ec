// A finished trial of a sweep: a line of trials.jsonl.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/statistics.h"
#include "evaluation/sweep/space.h"

namespace rollmill {

struct TrialRecord {
  std::int64_t trial = 0;
  std::int64_t rung = 0;  // of halving
  TrialValues values;
  std::vector<std::int64_t> seeds;
  std::vector<std::optional<double>> returns;  // by seed; none: that training failed
  int exit_code = 0;       // of the first seed that failed; 128 + N: by signal N
  std::int64_t steps = 0;  // of all seeds
  double seconds = 0;      // of training, of all seeds

  // The mean over the seeds; none where one of them failed.
  std::optional<double> score() const;
  std::optional<Interval> interval() const;  // of the score, over two seeds or more
};

// Without line break.
std::string trial_json(const TrialRecord& record);

// All records of a file. `values_of` gives the values that a trial has in this sweep: a record with others is refused.
// Throws Error kBadData with the line.
std::vector<TrialRecord> read_trials(const std::string& path,
                                     const std::function<TrialValues(std::int64_t)>& values_of);

// By rung, then trial: the order in the finished file, whatever order the trials ended in.
void sort_trials(std::vector<TrialRecord>& records);

// The best first: a later rung, then a higher score.
std::vector<TrialRecord> ranked_trials(std::vector<TrialRecord> records);

}  // namespace rollmill
