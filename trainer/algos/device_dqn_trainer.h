// trainer.algorithm = "dqn" with env.device = "cuda": a DeviceDqn does the work. Its checkpoints are the bytes that the CPU's trainer
// (trainer/algos/dqn.h) writes, and either reads the other's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "trainer/algos/device_dqn.h"
#include "trainer/trainer.h"

namespace rollmill {

class DeviceDqnTrainer final : public Trainer {
 public:
  using Make = std::function<std::unique_ptr<DeviceDqn>(const DeviceDqnConfig&)>;
  // device: the GPU's number. make: tests have one of host threads.
  DeviceDqnTrainer(const TrainOptions& options, ProcessGroup& group, int device,
                   const Make& make = make_device_dqn);

  UpdateReport step() override;
  TrainRun& run() override { return run_; }
  EnvBatch& batch() override { return device_->batch(); }
  PolicyWeights& weights() override { return weights_; }
  std::string observation_not_finite() override;
  void save(H5Group& root) override;
  std::function<void()> read(const H5Group& root, const std::string& path) override;

 private:
  TrainRun run_;
  PolicyWeights weights_;  // as they were after the last report
  std::unique_ptr<DeviceDqn> device_;
};

}  // namespace rollmill
