// Where a trainer's rollouts come from: environments, policy and buffer on one device. The CPU and the CUDA source give
// the same bits; device = "check" steps both.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/device/device.h"
#include "envs/registry.h"
#include "rollout/collector.h"

namespace rollmill {

class Experience {
 public:
  virtual ~Experience() = default;
  virtual EnvBatch& batch() = 0;
  // Host memory, or the GPU's (cuda()).
  virtual const RolloutBuffer& buffer() const = 0;
  virtual bool cuda() const = 0;
  // Brings the policy that acts up to date with the weights: after each update, before collecting.
  virtual void refresh_policy() = 0;
  virtual void reset() = 0;
  virtual void collect(const AdvantageOptions& options) = 0;
  // Part of the last collect() in the environments' steps; NaN where kernels run unwatched on a GPU.
  virtual double environment_share() const = 0;
  virtual void advance() = 0;
  // With overlap: the next rollout is made while the learner works, by the weights that it starts from. collect() then takes it
  // and corrects it. Between begin_next() and finish_next() nobody may touch the batch.
  virtual void begin_next() {}
  virtual void finish_next() {}
  // Of the rollout that collect() gave.
  virtual Staleness staleness() const { return {}; }
  virtual double made_in_seconds() const { return 0; }  // with overlap: how long that took
  virtual std::vector<EpisodeRecord> finished_episodes(int groups) const = 0;
  virtual std::vector<Moments> observation_moments(int groups) const = 0;
  // The observations that the next rollout starts from and the frames before them, oldest first, [frame_stack][D][stride]
  // on the host: for checkpoints. Action masks are not among them: restoring asks the environments for them.
  virtual std::vector<float> first_observations() const = 0;
  virtual void set_first_observations(const std::vector<float>& observations) = 0;
  // What the policy remembers where the next rollout starts, [memory columns][stride]; empty without memory.
  virtual std::vector<float> memory() const = 0;
  virtual void set_memory(const std::vector<float>& memory) = 0;
  // With overlap: the rollout that is waiting, for checkpoints; empty if there is none.
  virtual std::vector<std::uint8_t> waiting() const { return {}; }
  virtual std::size_t waiting_bytes() const { return 0; }  // where there is one
  virtual void set_waiting(const std::vector<std::uint8_t>&) {}
  virtual std::size_t buffer_bytes() const = 0;
};

struct ExperienceConfig {
  const EnvEntry* env = nullptr;
  BatchConfig batch;
  int horizon = 128;
  std::uint64_t seed = 0;  // of the policy's sampling
  int frame_stack = 1;
  int sequence_length = 0, burn_in = 0;  // of a policy with memory
  bool overlap = false;                  // without memory
  int threads = 1;                       // of the learner's pool
  bool bf16 = false;                     // MlpPolicy's, and with `exact` its bits on a GPU
  bool exact = false;                    // trainer.reduction
  DeviceChoice device;
  int local_rank = 0;
};

// weights and pool outlive the result.
std::unique_ptr<Experience> make_experience(const ExperienceConfig& config,
                                            const PolicyWeights& weights, ThreadPool& pool);

}  // namespace rollmill
