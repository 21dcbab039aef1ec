// What a sweep says: a line a finished trial, and the best of them at the end.
#pragma once

#include <string>
#include <vector>

#include "evaluation/sweep/trial_record.h"

namespace rollmill {

struct SweepSummary {
  std::string dir, method;
  std::vector<TrialRecord> ranked;  // the best first
  std::size_t rungs = 1;
};

// "trial 7  return 498.20  rank 2 of 9  ppo.epochs=4  0.51 s". `records`: all finished ones, this one among them.
// `last_words`: why a training failed.
std::string trial_line(const TrialRecord& record, const std::vector<TrialRecord>& records,
                       std::size_t rungs, const std::string& last_words);

std::string format_text(const SweepSummary& summary);  // the best five
std::string format_json(const SweepSummary& summary);

}  // namespace rollmill
