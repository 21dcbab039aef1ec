// Deep Q-learning (settings and papers: trainer/algos/dqn_options.h) on CPU kernels, readable top to bottom in dqn.cc.
//
// The policy that is saved is the learner's own network: its logits are the actions' values (their advantages when
// duelling), so the greedy policy is the learnt one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "trainer/algos/dqn_setup.h"
#include "trainer/fused/batch_gradient.h"
#include "trainer/fused/mlp_backward.h"
#include "trainer/replay/replay_collector.h"
#include "trainer/trainer.h"

namespace rollmill {

class DqnTrainer final : public Trainer {
 public:
  DqnTrainer(const TrainOptions& options, ProcessGroup& group);
  ~DqnTrainer() override;

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

  // One gradient update: what step() does updates_per_step times a turn.
  void learn();
  const ReplayBuffer& replay() const { return collector_.replay(); }
  const AlignedVector<float>& target() const { return target_; }
  const OptimizerState& optimizer() const { return optimizer_; }

 private:
  struct Tile;
  double epsilon() const;
  float beta() const;
  void tile_gradient(Tile& tile, int first, int rows, float* gradient);
  void bootstrap(Tile& tile, int first, int rows);
  void gather(Tile& tile, const float* observations, int rows);
  void values(const float* params, Tile& tile, int rows, float* q);
  void loss_rows(Tile& tile, int first, int rows);
  void backward(Tile& tile, int rows, float* gradient);

  TrainRun run_;
  PolicyWeights weights_;
  AlignedVector<float> target_;  // parameters of the target network
  OptimizerState optimizer_;
  ReplayCollector collector_;
  BatchGradient gradient_;
  TransposedWeights actor_transposed_, critic_transposed_;
  std::vector<std::unique_ptr<Tile>> tiles_;
  std::vector<ReplayDraw> drawn_;
  std::vector<float> errors_;
  std::int64_t env_steps_ = 0;  // within a step(), ahead of the run's count
  DqnSums sums_;
};

}  // namespace rollmill
