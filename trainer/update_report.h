// What one update did, for logs and metrics.jsonl: counters that every algorithm has, and a list of its own numbers.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "envs/batch.h"

namespace rollmill {

// One number of an algorithm. Names are literals.
struct Metric {
  const char* name;  // in metrics.jsonl
  double value;
};

struct UpdateReport {
  std::int64_t update = 0;     // updates done, this one included
  std::int64_t env_steps = 0;  // all ranks, since the start of the run
  std::int64_t new_steps = 0;  // of them in this update
  std::int64_t episodes = 0;   // finished since the start
  // Of the last episodes (at most 100, or the stop window); NaN before the first.
  double mean_return = 0, mean_length = 0;
  double difficulty = 0, success_rate = 0;  // of the curriculum, where there is one
  EnvBatch::Faults faults;                  // environments of this rank that broke
  // TrainRun::stopped() before it was done: nothing is counted, and no checkpoint holds what there is.
  bool stopped = false;
  std::int64_t skipped = 0;     // optimiser steps not taken: NaN or infinity
  std::vector<Metric> metrics;  // in the order of metrics.jsonl
  double collect_seconds = 0, learn_seconds = 0;
  // Of collect_seconds: in the environments' steps; NaN where it is not known.
  double env_seconds = std::numeric_limits<double>::quiet_NaN();

  // NaN where the algorithm has no such number.
  double metric(std::string_view name) const {
    for (const Metric& m : metrics) {
      if (name == m.name) return m.value;
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
};

}  // namespace rollmill
