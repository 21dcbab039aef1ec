// Reinforcement learning with PPO on vectorised environments: the loop, readable top to bottom in ppo_trainer.cc. With a
// teacher it is distillation: the rollouts are the student's, the actions to learn the teacher's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/experience.h"
#include "trainer/imitation/teacher.h"
#include "trainer/learner.h"
#include "trainer/make_learner.h"
#include "trainer/reward_normalizer.h"
#include "trainer/trainer.h"

namespace rollmill {

// What a trainer is made of, for those that bring parts of their own.
struct PpoParts {
  std::function<decltype(make_experience)> experience = make_experience;
  std::function<decltype(make_learner)> learner = make_learner;
};

class PpoTrainer final : public Trainer {
 public:
  PpoTrainer(const TrainOptions& options, ProcessGroup& group, int local_rank = 0,
             const PpoParts& parts = {});
  ~PpoTrainer() override;

  UpdateReport step() override;  // one rollout and one update
  TrainRun& run() override { return run_; }
  EnvBatch& batch() override { return experience_->batch(); }
  PolicyWeights& weights() override { return weights_; }
  std::string observation_not_finite() override;
  // Adam's moments, the observations that the next rollout starts from, what the policy remembers there, reward statistics.
  void save(H5Group& root) override;
  std::function<void()> read(const H5Group& root, const std::string& path) override;

  std::int64_t bytes_per_environment() const;
  OptimizerState& optimizer() { return optimizer_; }
  Experience& experience() { return *experience_; }

 private:
  UpdateStats learn(double learning_rate);
  std::vector<EpisodeRecord> finished_episodes(UpdateReport& report) const;
  void update_normalizer();
  int local_groups() const;

  TrainRun run_;
  PpoOptions now_;  // annealed to where the run is; the learner reads them
  PolicyWeights weights_;
  std::vector<ParamRange> frozen_;  // the actor's weights of inputs that it ignores
  OptimizerState optimizer_;
  std::optional<RewardNormalizer> rewards_;
  std::unique_ptr<Experience> experience_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Teacher> teacher_;  // of distillation
};

}  // namespace rollmill
