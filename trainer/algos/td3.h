// TD3 (settings and paper: trainer/algos/td3_options.h) on CPU kernels, readable top to bottom in td3.cc. The policy is
// deterministic: the tanh of a network's output.
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

class Td3Trainer final : public Trainer {
 public:
  Td3Trainer(const TrainOptions& options, ProcessGroup& group);
  ~Td3Trainer() override;

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

  // One gradient update of the critics, and at each policy_every-th of the actor: what step() does updates_per_step times
  // a turn.
  void learn();
  const ReplayBuffer& replay() const { return collector_.replay(); }
  const TwinCritic& critic() const { return critic_; }
  const AlignedVector<float>& target() const { return target_; }
  const OptimizerState& actor_optimizer() const { return optimizer_; }

 private:
  struct Tile;

  void critic_tile(Tile& tile, int first, int rows, float* gradient);
  void actor_tile(Tile& tile, int rows, float* gradient);
  void bootstrap(Tile& tile, int first, int rows);
  void act(const AlignedVector<float>& params, Tile& tile, int rows);
  double rate() const;

  TrainRun run_;
  PolicyWeights weights_;
  AlignedVector<float> target_;  // parameters of the target policy
  TwinCritic critic_;
  ActionScale scale_;
  OptimizerState optimizer_;  // of the actor
  ReplayCollector collector_;
  BatchGradient actor_gradient_, critic_gradient_;
  TransposedWeights transposed_;
  std::vector<std::unique_ptr<Tile>> tiles_;
  std::vector<ReplayDraw> drawn_;
  std::int64_t env_steps_ = 0;  // within a step(), ahead of the run's count
  TwinSums sums_;
};

}  // namespace rollmill
