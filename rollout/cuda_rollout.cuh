// One rollout in a GPU's memory: its columns, the launches that fill them, and what the host reads of them.
#pragma once

#include <vector>

#include "core/device/buffer.h"
#include "core/device/cuda_check.cuh"
#include "rollout/device_collector.h"
#include "rollout/fused_rollout.h"
#include "rollout/mlp/policy_cuda.cuh"

namespace rollmill {

class CudaRollout {
 public:
  // The batch and the policy outlive it.
  CudaRollout(const DeviceCollectorConfig& config, EnvBatch& batch, const CudaPolicy& policy);

  const RolloutBuffer& buffer() const { return buffer_; }
  std::size_t bytes() const { return storage_.bytes(); }
  cudaStream_t stream() { return graph_.stream(); }  // of its own, a blocking one

  // Enqueues all steps, values and advantages: kernel by kernel, or as a graph of the launches of an earlier call. from: where another
  // rollout ended; all that was in this one is cleared. Null: what slot 0 holds.
  void make(cudaStream_t stream, const AdvantageOptions& options,
            const RolloutBuffer* from = nullptr);
  // What comes next goes to launch_stream. Moves slot T of `from`, which may be this rollout, to slot 0.
  void continue_from(const RolloutBuffer& from) const;
  void correct(const AdvantageOptions& options, float* log_ratios, RatioSums* parts) const;

  // As DeviceCollector's.
  std::vector<EpisodeRecord> finished_episodes(int groups) const;
  std::vector<Moments> observation_moments(int groups);
  void copy_to_host(const RolloutBuffer& host) const;

 private:
  void launch(const AdvantageOptions& options, const RolloutBuffer* from) const;
  bool same(const AdvantageOptions& options) const;

  int device_;
  Memory& memory_;
  EnvBatch& batch_;
  const CudaPolicy& policy_;
  FusedRollout fused_ = nullptr;  // null: kernel by kernel
  RolloutBuffer buffer_;
  Buffer storage_, parts_;
  // A rollout as one CUDA graph. Not where the world changes between rollouts: a graph keeps pointers into the one it was recorded
  // with. Nor for horizons that make it very large.
  static constexpr int kMostSteps = 4096;
  bool recordable_;
  std::int64_t rollouts_ = 0;
  CapturedGraph graph_;
  DevicePolicy recorded_policy_{};
  AdvantageOptions recorded_options_;
  const RolloutBuffer* recorded_from_ = nullptr;
};

// Throws Error(kDevice) where the module was built without the environment.
std::unique_ptr<EnvBatch> make_rollout_batch(const DeviceCollectorConfig& config);

}  // namespace rollmill
