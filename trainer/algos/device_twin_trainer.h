// trainer.algorithm = "sac" or "td3" with env.device = "cuda": a DeviceTwin does the work. Its checkpoints are the bytes that the CPU's
// trainers (trainer/algos/sac.h, td3.h) write, and either reads the other's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "trainer/algos/device_twin.h"
#include "trainer/algos/twin_critic.h"
#include "trainer/trainer.h"

namespace rollmill {

class DeviceTwinTrainer final : public Trainer {
 public:
  using Make = std::function<std::unique_ptr<DeviceTwin>(const DeviceTwinConfig&)>;
  // device: the GPU's number. make: tests have one of host threads.
  DeviceTwinTrainer(const TrainOptions& options, ProcessGroup& group, int device,
                    const Make& make = make_device_twin);

  UpdateReport step() override;
  TrainRun& run() override { return run_; }
  EnvBatch& batch() override { return device_->batch(); }
  PolicyWeights& weights() override { return weights_; }
  std::string observation_not_finite() override;
  void save(H5Group& root) override;
  std::function<void()> read(const H5Group& root, const std::string& path) override;

 private:
  const OffPolicyOptions& replay_options() const {
    return soft_ ? run_.options.sac.replay : run_.options.td3.replay;
  }
  ReplayBuffer empty_buffer() const {
    return {run_.spec, replay_config(run_.options, replay_options())};
  }

  TrainRun run_;
  bool soft_;              // SAC
  PolicyWeights weights_;  // as they were after the last report
  TwinCritic critic_;      // as they were initialised: their layout
  std::unique_ptr<DeviceTwin> device_;
};

}  // namespace rollmill
