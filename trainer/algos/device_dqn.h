// Deep Q-learning that stays on a GPU: environments, acting, replay buffer and learner (trainer/algos/dqn_machine.cuh). The same bits
// as trainer/algos/dqn.cc. One rank; dense networks in float32.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rollout/collector.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/algos/dqn_options.h"
#include "trainer/algos/dqn_setup.h"
#include "trainer/optimizer_state.h"
#include "trainer/replay/device_off_policy.h"
#include "trainer/replay/replay_buffer.h"

namespace rollmill {

// What is learnt from starts with DeviceDqn::load.
struct DeviceDqnConfig : DeviceOffPolicyConfig {
  DqnOptions options;
};

// All that changes but the environments and the network.
struct DqnContent {
  AlignedVector<float> target;
  OptimizerState optimizer;
  ReplayBuffer::Content replay;
};

// What a report's turns did. longest_skipped: most updates that were skipped in a row.
struct DqnReport {
  DqnSums sums;
  std::int64_t step = 0, longest_skipped = 0;  // of the optimiser
  std::vector<EpisodeRecord> finished;         // in (time, environment) order
};

class DeviceDqn {
 public:
  virtual ~DeviceDqn() = default;
  virtual EnvBatch& batch() = 0;
  // Every environment's first episode, into an empty buffer.
  virtual void reset() = 0;
  // report_every steps of every environment, and the updates between them.
  virtual DqnReport play() = 0;
  virtual void copy_network_out(float* params) const = 0;
  virtual DqnContent content() const = 0;
  // params: the network's. The batch must be as it was with that content.
  virtual void load(const float* params, const DqnContent& content) = 0;
};

// Opens the CUDA module. Throws Error(kDevice) where there is no such GPU or not enough of its memory, kUsage where the network is not
// one for the kernels.
std::unique_ptr<DeviceDqn> make_device_dqn(const DeviceDqnConfig& config);

}  // namespace rollmill

extern "C" rollmill::DeviceDqn* rollmill_make_device_dqn(const rollmill::DeviceDqnConfig* config);
