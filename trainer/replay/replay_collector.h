// Fills a replay buffer: the environments of an off-policy trainer, one step of all of them at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device/device.h"
#include "envs/registry.h"
#include "rollout/collector.h"
#include "rollout/policy.h"
#include "trainer/replay/replay_buffer.h"

namespace rollmill {

class ReplayCollector {
 public:
  // device: the CPU, or "check". pool outlives the collector.
  ReplayCollector(const EnvEntry& env, const BatchConfig& config, const DeviceChoice& device,
                  const ReplayConfig& replay, ThreadPool& pool);

  EnvBatch& batch() { return *batch_; }
  ReplayBuffer& replay() { return replay_; }
  const ReplayBuffer& replay() const { return replay_; }

  void reset();
  // `policy` acts in every environment; episodes that end are appended to `finished`.
  void step(const Policy& policy, std::vector<EpisodeRecord>& finished);

  void save(H5Group& root) const { replay_.save(root); }
  // As Trainer::read. The batch must have been restored when the result is called.
  std::function<void()> read(const H5Group& root, const std::string& path);

 private:
  std::unique_ptr<EnvBatch> batch_;
  HostRollout rollout_;  // horizon 1
  ReplayBuffer replay_;
  ThreadPool& pool_;
  int block_;
};

}  // namespace rollmill
