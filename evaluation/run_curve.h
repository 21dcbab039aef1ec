// One metric of one training run over its steps or seconds, read from the run's folder.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace rollmill {

enum class CurveAxis { kSteps, kSeconds };

struct RunCurve {
  std::string path;         // the run's folder, as it was named
  std::string name;         // run.name
  std::string seed;         // run.seed
  std::string environment;  // env.id
  // Every other key of config.toml that shapes what is learned, and its value as TOML: without run.*, checkpoint.* and
  // evaluation.*.
  std::map<std::string, std::string> settings;
  std::vector<double> x, y;  // x increases; y is finite
};

// Reads DIR/config.toml and DIR/metrics.jsonl. Records in which the metric is null (no episode has ended yet) are left out;
// so is a last line that is still being written. Seconds go on over resumes. Throws Error: kBadData for what is missing or
// damaged, with the line; kUsage for a metric that no record has, with those there are.
RunCurve read_run_curve(const std::string& dir, const std::string& key, CurveAxis axis);

}  // namespace rollmill
