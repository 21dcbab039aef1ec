// Soft actor-critic (settings and papers: trainer/algos/sac_options.h) on CPU kernels, readable top to bottom in sac.cc.
// The policy is a squashed Gaussian; saved, it acts by its mean where it is asked to be greedy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "trainer/algos/twin_critic.h"
#include "trainer/algos/twin_setup.h"
#include "trainer/replay/replay_collector.h"
#include "trainer/trainer.h"

namespace rollmill {

class SacTrainer final : public Trainer {
 public:
  SacTrainer(const TrainOptions& options, ProcessGroup& group);
  ~SacTrainer() override;

  UpdateReport step() override;
  TrainRun& run() override { return run_; }
  EnvBatch& batch() override { return collector_.batch(); }
  PolicyWeights& weights() override { return weights_; }
  bool same_on_all_ranks() const override { return true; }
  std::string observation_not_finite() override {
    return collector_.replay().first_not_finite(run_.spec);
  }
  void save(H5Group& root) override;
  std::function<void()> read(const H5Group& root, const std::string& path) override;

  // One gradient update of critics, actor and temperature: what step() does updates_per_step times a turn.
  void learn();
  const ReplayBuffer& replay() const { return collector_.replay(); }
  const TwinCritic& critic() const { return critic_; }
  const OptimizerState& actor_optimizer() const { return optimizer_; }
  const OptimizerState& temperature_optimizer() const { return temperature_optimizer_; }
  float temperature() const;

 private:
  struct Tile;

  void learn_critics();
  void learn_actor();
  void learn_temperature(double logp);
  void critic_tile(Tile& tile, int first, int rows, float* gradient);
  void actor_tile(Tile& tile, int first, int rows, float* gradient);
  void bootstrap(Tile& tile, int first, int rows);
  void sample(Tile& tile, int first, int rows, std::uint32_t draw);
  double rate() const;

  TrainRun run_;
  PolicyWeights weights_;
  TwinCritic critic_;
  ActionScale scale_;
  OptimizerState optimizer_;              // of the actor
  AlignedVector<float> log_temperature_;  // one number
  OptimizerState temperature_optimizer_;
  ReplayCollector collector_;
  BatchGradient actor_gradient_, critic_gradient_;
  TransposedWeights transposed_;
  std::vector<std::unique_ptr<Tile>> tiles_;
  std::vector<ReplayDraw> drawn_;
  std::int64_t env_steps_ = 0;  // within a step(), ahead of the run's count
  TwinSums sums_;
};

}  // namespace rollmill
