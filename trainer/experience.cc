#include "trainer/experience.h"

#include <algorithm>
#include <limits>

#include "core/base/assert.h"
#include "envs/device_batch.h"
#include "rollout/device_collector.h"
#include "rollout/device_rollout_pair.h"
#include "trainer/host_rollouts.h"
#include "trainer/overlapped_experience.h"

namespace rollmill {
namespace {

class HostExperience final : public Experience {
 public:
  HostExperience(const ExperienceConfig& c, const PolicyWeights& weights, ThreadPool& pool)
      : batch_(make_batch(*c.env, c.batch, &pool, c.device, c.local_rank)),
        policy_(batch_->spec(), weights, c.seed, /*greedy=*/false, "mlp", c.bf16),
        rollout_(batch_->spec(), c.horizon, c.batch.num_envs, c.frame_stack,
                 {policy_.memory_columns(), c.sequence_length, c.burn_in}),
        collector_(*batch_, policy_, rollout_.buffer(), pool) {}

  EnvBatch& batch() override { return *batch_; }
  const RolloutBuffer& buffer() const override { return rollout_.buffer(); }
  bool cuda() const override { return false; }
  void refresh_policy() override { policy_.refresh(); }
  void reset() override { collector_.reset(); }
  void collect(const AdvantageOptions& options) override { collector_.collect(options); }
  double environment_share() const override { return collector_.environment_share(); }
  void advance() override { collector_.advance(); }
  std::vector<EpisodeRecord> finished_episodes(int groups) const override {
    return collector_.finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int groups) const override {
    return collector_.observation_moments(groups);
  }
  std::vector<float> first_observations() const override {
    const RolloutBuffer& b = rollout_.buffer();
    return {b.observation_slot(1 - b.frame_stack), b.observation_slot(1)};
  }
  void set_first_observations(const std::vector<float>& observations) override {
    const RolloutBuffer& b = rollout_.buffer();
    std::copy(observations.begin(), observations.end(), b.observation_slot(1 - b.frame_stack));
    if (b.mask_columns > 0) batch_->observe(b.observation_slot(0), b.mask_slot(0));
  }
  std::vector<float> memory() const override {
    const RolloutBuffer& b = rollout_.buffer();
    if (b.memory_columns == 0) return {};
    return {b.current_memory(), b.current_memory() + b.memory_columns * b.stride};
  }
  void set_memory(const std::vector<float>& memory) override {
    std::copy(memory.begin(), memory.end(), rollout_.buffer().current_memory());
  }
  std::size_t buffer_bytes() const override { return rollout_.bytes(); }

 private:
  std::unique_ptr<EnvBatch> batch_;
  MlpPolicy policy_;
  HostRollout rollout_;
  HostCollector collector_;
};

RolloutMemory memory_of(const ExperienceConfig& c, const PolicyWeights& weights) {
  return {weights.layout.shape.memory_columns(), c.sequence_length, c.burn_in};
}

DeviceCollectorConfig device_config(const ExperienceConfig& c, const PolicyWeights& weights) {
  return {c.env->id,        c.batch,
          c.horizon,        c.seed,
          /*greedy=*/false, c.device.gpu(c.local_rank),
          c.frame_stack,    memory_of(c, weights),
          /*fused=*/true,   device_products(c.bf16, c.exact)};
}

class CudaExperience final : public Experience {
 public:
  CudaExperience(const ExperienceConfig& c, const PolicyWeights& weights)
      : weights_(weights),
        shape_(c.env->spec(), c.horizon, c.batch.num_envs, c.frame_stack, memory_of(c, weights)),
        collector_(make_device_collector(device_config(c, weights))) {}

  EnvBatch& batch() override { return collector_->batch(); }
  const RolloutBuffer& buffer() const override { return collector_->buffer(); }
  bool cuda() const override { return true; }
  void refresh_policy() override { collector_->set_weights(weights_); }
  void reset() override { collector_->reset(); }
  void collect(const AdvantageOptions& options) override { collector_->collect(options); }
  double environment_share() const override { return std::numeric_limits<double>::quiet_NaN(); }
  void advance() override { collector_->advance(); }
  std::vector<EpisodeRecord> finished_episodes(int groups) const override {
    return collector_->finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int groups) const override {
    return collector_->observation_moments(groups);
  }
  std::vector<float> first_observations() const override {
    collector_->copy_to_host(shape_.buffer());
    const RolloutBuffer& b = shape_.buffer();
    return {b.observation_slot(1 - b.frame_stack), b.observation_slot(1)};
  }
  void set_first_observations(const std::vector<float>& observations) override {
    collector_->set_first_observations(observations.data());
  }
  std::vector<float> memory() const override {
    const RolloutBuffer& b = shape_.buffer();
    std::vector<float> now(static_cast<std::size_t>(b.memory_columns * b.stride));
    if (!now.empty()) collector_->copy_memory_out(now.data());
    return now;
  }
  void set_memory(const std::vector<float>& memory) override {
    if (!memory.empty()) collector_->copy_memory_in(memory.data());
  }
  std::size_t buffer_bytes() const override { return shape_.bytes(); }

 private:
  const PolicyWeights& weights_;
  HostRollout shape_;  // the host's copy
  std::unique_ptr<DeviceCollector> collector_;
};

}  // namespace

std::unique_ptr<Experience> make_experience(const ExperienceConfig& config,
                                            const PolicyWeights& weights, ThreadPool& pool) {
  const bool cuda = config.device.kind == DeviceChoice::Kind::kCuda;
  if (config.overlap) {
    return make_overlapped_experience(cuda
                                          ? make_device_rollout_pair(device_config(config, weights))
                                          : make_host_rollouts(config, weights, pool),
                                      weights);
  }
  if (cuda) return std::make_unique<CudaExperience>(config, weights);
  return std::make_unique<HostExperience>(config, weights, pool);
}

}  // namespace rollmill
