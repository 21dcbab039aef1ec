// Trains the trials of a sweep as child processes, some at once, and writes down what they came to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/sweep/children.h"
#include "cli/sweep/sweep_folder.h"

namespace rollmill {

// How trials are trained: so many at once in each of the processes of this machine that share the sweep.
struct Trainings {
  std::int64_t at_once = 1;
  int processes = 1;
  std::vector<std::string> plugins;
};

class SweepRun {
 public:
  SweepRun(const SweepPlan& plan, SweepFolder& folder, const Trainings& trainings);

  // All trials of the part, with halving rung after rung. 0, or 130 or 75 where it was asked to stop: the trainings that
  // run then have been asked to, too, and have written their checkpoints.
  int run(std::optional<SweepPart> part);

 private:
  struct Task {  // one training: a trial with a seed
    std::int64_t trial, seed;
    int exit_code = -1;  // -1: not ended yet
  };
  int train(const std::vector<std::int64_t>& trials, std::int64_t rung);
  void start(std::size_t id);
  void take(const Children::Ended& ended);
  void record_if_done(std::int64_t trial);
  std::string log_path(const Task& task) const;

  const SweepPlan& plan_;
  SweepFolder& folder_;
  const Trainings& trainings_;
  std::int64_t rung_ = 0;
  std::vector<Task> tasks_;
  Children children_;
  int stop_code_ = 0;
};

}  // namespace rollmill
