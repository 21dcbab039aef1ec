// Behaviour cloning (Pomerleau 1988): the policy learns a dataset's actions by maximum likelihood, its value function their
// discounted returns. No environment is stepped until the evaluation.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "trainer/imitation/imitation.h"
#include "trainer/trainer.h"

namespace rollmill {

class BcTrainer final : public Trainer {
 public:
  BcTrainer(const TrainOptions& options, ProcessGroup& group);

  UpdateReport step() override;  // one window of the dataset
  TrainRun& run() override { return run_; }
  EnvBatch& batch() override { return *batch_; }
  PolicyWeights& weights() override { return weights_; }
  void save(H5Group& root) override;
  std::function<void()> read(const H5Group& root, const std::string& path) override;

 private:
  TrainRun run_;
  PpoOptions now_;                   // annealed
  std::unique_ptr<EnvBatch> batch_;  // stands at its first states
  PolicyWeights weights_;
  OptimizerState optimizer_;
  std::unique_ptr<Imitation> imitation_;
};

}  // namespace rollmill
