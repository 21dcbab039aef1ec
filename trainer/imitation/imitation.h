// Supervised updates from a dataset: what behaviour cloning repeats, and what an offline start does before the first rollout.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "trainer/imitation/demonstrations.h"
#include "trainer/learner.h"
#include "trainer/train_run.h"

namespace rollmill {

class Imitation {
 public:
  // Takes `dataset` in windows of `streams` sequences (over all ranks) of options.horizon steps. The context's weights and
  // optimiser change with each update; weights with a normaliser that has seen nothing get the dataset's statistics.
  // options.objective is kImitateWeighted. run outlives the object.
  Imitation(const std::string& dataset, TrainRun& run, const PpoOptions& options, int streams,
            PolicyWeights& weights, OptimizerState& optimizer);

  // One window, cut into options.minibatches. Collective.
  UpdateStats update(double learning_rate);

  const Demonstrations& demonstrations() const { return demonstrations_; }
  std::int64_t pass() const { return pass_; }  // passes that are complete
  // Steps of the dataset that the last update learned from, of all ranks: padding is none.
  std::int64_t steps_learned() const { return steps_learned_; }
  // Where the next window is: a checkpoint's two numbers.
  std::int64_t next_stream() const { return next_; }
  void go_to(std::int64_t pass, std::int64_t stream);

 private:
  const TrainRun& run_;
  const PpoOptions& options_;
  Demonstrations demonstrations_;
  int streams_;  // of all ranks
  HostRollout rollout_;
  std::unique_ptr<Learner> learner_;
  std::int64_t pass_ = 0, next_ = 0, steps_learned_ = 0;
};

// [init] dataset: `epochs` passes, with an optimiser of its own. Logs a line a pass (rank 0). Returns false where run.stopped()
// before the last: the weights are then halfway. Throws Error(kNumerical) if no optimiser step was taken. Collective.
bool imitate_first(TrainRun& run, PolicyWeights& weights);

}  // namespace rollmill
