// SAC and TD3 that stay on a GPU: environments, acting, replay buffer and learner (trainer/algos/twin_machine.cuh). The same bits as
// trainer/algos/sac.cc and td3.cc. One rank; dense networks in float32.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rollout/collector.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/algos/twin_setup.h"
#include "trainer/optimizer_state.h"
#include "trainer/replay/device_off_policy.h"

namespace rollmill {

// What is learnt from starts with DeviceTwin::load.
struct DeviceTwinConfig : DeviceOffPolicyConfig {
  bool soft = false;  // SAC
  SacOptions sac;
  Td3Options td3;
  const MlpLayout* critic = nullptr;  // of one critic
  const OffPolicyOptions& options() const { return soft ? sac.replay : td3.replay; }
};

// All that changes but the environments and the policy.
struct TwinContent {
  OptimizerState actor, critic, temperature;
  AlignedVector<float> actor_target;             // TD3's
  AlignedVector<float> critics, critic_targets;  // both critics, one after the other
  AlignedVector<float> log_temperature;          // one number
  ReplayBuffer::Content replay;
};

// What a report's turns did.
struct TwinReport {
  TwinSums sums;
  float log_temperature = 0;
  // Of the optimisers of critics, actor and temperature. longest_skipped: most steps that were skipped in a row.
  std::int64_t step[3] = {}, longest_skipped[3] = {};
  std::vector<EpisodeRecord> finished;  // in (time, environment) order
};

class DeviceTwin {
 public:
  virtual ~DeviceTwin() = default;
  virtual EnvBatch& batch() = 0;
  // Every environment's first episode, into an empty buffer.
  virtual void reset() = 0;
  // report_every steps of every environment, and the updates between them.
  virtual TwinReport play() = 0;
  virtual void copy_policy_out(float* params) const = 0;
  virtual TwinContent content() const = 0;
  // params: the policy's. The batch must be as it was with that content.
  virtual void load(const float* params, const TwinContent& content) = 0;
};

// As make_device_dqn.
std::unique_ptr<DeviceTwin> make_device_twin(const DeviceTwinConfig& config);

}  // namespace rollmill

extern "C" rollmill::DeviceTwin* rollmill_make_device_twin(
    const rollmill::DeviceTwinConfig* config);
