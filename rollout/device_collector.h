// The collector on a GPU: policy inference, sampling, environments and advantages without leaving
// it. Same results, bit for bit, as HostCollector (rollout/collector.h) on the same batch
// configuration and weights, but with Products::kBf16Tensor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rollout/collector.h"
#include "rollout/mlp/device_policy.h"

namespace rollmill {

struct DeviceCollectorConfig {
  std::string env_id;
  BatchConfig batch;
  int horizon = 128;
  std::uint64_t seed = 0;  // of the policy's sampling
  bool greedy = false;
  int device = 0;
  int frame_stack = 1;
  RolloutMemory memory = {};
  // A whole rollout in one kernel (rollout/fused_rollout.cuh) where environment and policy allow it. The same bits.
  bool fused = true;
  Products products = Products::kFloat32;
};

class DeviceCollector {
 public:
  virtual ~DeviceCollector() = default;
  virtual EnvBatch& batch() = 0;
  // In device memory: what a learner with LearnerContext::cuda reads.
  virtual const RolloutBuffer& buffer() const = 0;

  // Copies weights and normaliser to the GPU: before the first collect() and after each update.
  virtual void set_weights(const PolicyWeights& weights) = 0;
  // As HostCollector's.
  virtual void reset() = 0;
  virtual void collect(const AdvantageOptions& options) = 0;
  virtual void advance() = 0;
  // Wait for the GPU and copy to the host, once for a rollout.
  virtual std::vector<EpisodeRecord> finished_episodes(int groups = 1) const = 0;
  virtual std::vector<Moments> observation_moments(int groups = 1) = 0;
  // All columns into a host buffer of the same shape; and slot 0's observations, the frames before
  // them first, back (restoring a checkpoint).
  virtual void copy_to_host(const RolloutBuffer& host) const = 0;
  virtual void set_first_observations(const float* host) = 0;
  // What the policy remembers now, [memory columns][stride], to the host and back.
  virtual void copy_memory_out(float* host) const = 0;
  virtual void copy_memory_in(const float* host) = 0;
};

// Opens the CUDA module. Throws Error(kDevice) where there is no such GPU, kUsage when a layer is
// too wide for the kernel.
std::unique_ptr<DeviceCollector> make_device_collector(const DeviceCollectorConfig& config);

}  // namespace rollmill

extern "C" rollmill::DeviceCollector* rollmill_make_device_collector(
    const rollmill::DeviceCollectorConfig* config);
