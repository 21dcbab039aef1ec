// The collector on a GPU: a batch, a policy and one rollout (rollout/cuda_rollout.cu).
#include "core/device/cuda_module.h"
#include "rollout/cuda_rollout.cuh"
#include "rollout/device_collector.h"

namespace rollmill {
namespace {

class CudaCollector final : public DeviceCollector {
 public:
  explicit CudaCollector(const DeviceCollectorConfig& config)
      : device_(config.device),
        memory_(*rollmill_cuda_memory(config.device)),
        batch_(make_rollout_batch(config)),
        policy_(batch_->spec(), config.seed, config.greedy, config.frame_stack, config.device,
                config.products),
        rollout_(config, *batch_, policy_),
        buffer_(rollout_.buffer()) {}

  EnvBatch& batch() override { return *batch_; }
  const RolloutBuffer& buffer() const override { return buffer_; }
  void set_weights(const PolicyWeights& weights) override { policy_.set_weights(weights); }
  void reset() override { batch_->reset(buffer_.observation_slot(0), buffer_.mask_slot(0)); }

  void collect(const AdvantageOptions& options) override {
    const DeviceScope scope(device_);
    rollout_.make(rollout_.stream(), options);
    // Once a rollout: honest times, and a faulty kernel is named here and not in the learner.
    RM_CUDA(cudaStreamSynchronize(rollout_.stream()));
  }
  void advance() override { rollout_.continue_from(buffer_); }

  std::vector<EpisodeRecord> finished_episodes(int groups) const override {
    return rollout_.finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int groups) override {
    return rollout_.observation_moments(groups);
  }
  void copy_to_host(const RolloutBuffer& host) const override { rollout_.copy_to_host(host); }

  void set_first_observations(const float* host) override {
    memory_.copy_in(
        buffer_.observation_slot(1 - buffer_.frame_stack), host,
        static_cast<std::size_t>(buffer_.frame_stack * buffer_.slot_words()) * sizeof(float));
    if (buffer_.mask_columns > 0)
      batch_->observe(buffer_.observation_slot(0), buffer_.mask_slot(0));
  }

  void copy_memory_out(float* host) const override {
    memory_.copy_out(host, buffer_.current_memory(), memory_bytes());
  }
  void copy_memory_in(const float* host) override {
    memory_.copy_in(buffer_.current_memory(), host, memory_bytes());
  }

 private:
  std::size_t memory_bytes() const {
    return static_cast<std::size_t>(buffer_.memory_columns * buffer_.stride) * sizeof(float);
  }

  int device_;
  Memory& memory_;
  std::unique_ptr<EnvBatch> batch_;
  CudaPolicy policy_;
  CudaRollout rollout_;
  const RolloutBuffer& buffer_;
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::DeviceCollector* rollmill_make_device_collector(
    const rollmill::DeviceCollectorConfig* config) {
  return new rollmill::CudaCollector(*config);
}
