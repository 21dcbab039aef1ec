// Training runs side by side: runs of one config with different seeds are one curve with an interval.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluation/run_curve.h"
#include "evaluation/statistics.h"

namespace rollmill {

// What a curve's runs came to. A run's final value is its mean over the last tenth of its length.
struct CurveSummary {
  std::vector<double> finals;  // of each run
  double mean = 0, iqm = 0;    // of the finals
  std::optional<Interval>
      interval;     // of the mean over seeds, 95 % by Student's t; kFewestForInterval runs or more
  double best = 0;  // the highest value of any run
  int reached = 0;  // runs that came to the threshold
  double mean_to_threshold = 0;  // x at which they did, on average
};

struct CurveGroup {
  std::string label;
  std::vector<RunCurve> runs;
  // The runs' mean over x, and where there are enough (kFewestForInterval) its 95 % interval (else low and high are empty). x: equally
  // spaced over the part that every run of the group covers; values between records are interpolated.
  std::vector<double> x, mean, low, high;
  CurveSummary summary;
};

struct Comparison {
  std::string environment, key;
  CurveAxis axis = CurveAxis::kSteps;
  std::optional<double> threshold;
  std::vector<CurveGroup> groups;  // in the order their first runs were given
};

// Throws Error kUsage for runs of different environments, for one run given twice (same config and seed), and for seeds
// of one config that have no part in common.
Comparison compare_runs(std::vector<RunCurve> runs, const std::string& key, CurveAxis axis,
                        std::optional<double> threshold);

// The first x at which a run's value is at least the threshold, between records on a straight line.
std::optional<double> first_reached(const RunCurve& run, double threshold);

std::string format_text(const Comparison& comparison);  // a table
std::string format_json(const Comparison& comparison);

// The table's cells, the header row first: for other forms of it.
std::vector<std::vector<std::string>> comparison_table(const Comparison& comparison);

}  // namespace rollmill
