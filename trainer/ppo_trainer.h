// Reinforcement learning with PPO on vectorised environments: the loop, readable top to bottom in ppo_trainer.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "trainer/experience.h"
#include "trainer/learner.h"
#include "trainer/train_options.h"

namespace rollmill {

// What one update did, for logs and metrics.
struct UpdateReport {
  std::int64_t update = 0;     // updates done, this one included
  std::int64_t env_steps = 0;  // all ranks, since the start of the run
  std::int64_t episodes = 0;   // finished since the start
  double learning_rate = 0;
  double mean_return =
      0;  // of the last episodes (at most 100, or the stop window); NaN before the first
  double mean_length = 0;
  double difficulty = 0, success_rate = 0;  // of the curriculum, where there is one
  EnvBatch::Faults faults;                  // environments of this rank that broke
  UpdateStats stats;
  double collect_seconds = 0, learn_seconds = 0;
  double env_seconds = 0;  // of collect_seconds: in the environments' steps; NaN where it is not known
};

// Recent episodes and counters: what the loop remembers beside weights and environments.
struct TrainProgress {
  std::int64_t update = 0, env_steps = 0, episodes = 0;
  std::deque<EpisodeRecord> recent;
};

class PpoTrainer {
 public:
  // Starts a run: initial weights from the seed, environments reset. local_rank picks this process's GPU when the device is
  // "cuda" without a number.
  PpoTrainer(const TrainOptions& options, ProcessGroup& group, int local_rank = 0);
  ~PpoTrainer();

  bool finished() const;
  UpdateReport step();  // one rollout and one update

  const EnvSpec& spec() const { return spec_; }
  const PolicyWeights& weights() const { return weights_; }
  const TrainProgress& progress() const { return progress_; }
  const Curriculum& curriculum() const { return curriculum_; }
  const TrainOptions& options() const { return options_; }
  ProcessGroup& group() { return group_; }
  std::int64_t bytes_per_environment() const;

  // Whole state, for checkpoints: this rank's environments and first observations beside the shared parts.
  struct State {
    PolicyWeights* weights;
    OptimizerState* optimizer;
    TrainProgress* progress;
    Experience* experience;
    Curriculum* curriculum;
  };
  State state() { return {&weights_, &optimizer_, &progress_, experience_.get(), &curriculum_}; }

 private:
  double learning_rate() const;
  void count_episodes(UpdateReport& report);
  void update_normalizer();
  int local_groups() const;

  TrainOptions options_;
  ProcessGroup& group_;
  std::unique_ptr<ThreadPool> pool_;
  EnvSpec spec_;
  PolicyWeights weights_;
  OptimizerState optimizer_;
  std::unique_ptr<Experience> experience_;
  std::unique_ptr<Learner> learner_;
  TrainProgress progress_;
  Curriculum curriculum_;
};

}  // namespace rollmill
