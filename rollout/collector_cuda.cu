// Rollouts on a GPU: per step one kernel of the policy and one of the environments, then values and
// advantages. Nothing is copied to the host until finished_episodes().
#include <vector>

#include "core/base/assert.h"
#include "core/device/buffer.h"
#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"
#include "envs/cuda_module.h"
#include "rollout/collector_kernels.cuh"
#include "rollout/device_collector.h"
#include "rollout/mlp/policy_cuda.cuh"
#include "rollout/rollout_fields.h"

namespace rollmill {
namespace {

class CudaCollector final : public DeviceCollector {
 public:
  explicit CudaCollector(const DeviceCollectorConfig& config)
      : config_(config),
        memory_(*rollmill_cuda_memory(config.device)),
        batch_(make_batch(config)),
        policy_(batch_->spec(), config.seed, config.greedy, config.device) {
    set_rollout_shape(buffer_, batch_->spec(), config.horizon, batch_->num_envs(),
                      batch_->stride());
    // Registered first, then allocated once; each column starts on 256 bytes.
    std::size_t bytes = 0;
    visit_rollout_fields(buffer_, [&](auto*& field, std::int64_t n) { bytes += padded(field, n); });
    storage_ = Buffer(memory_, bytes);
    auto* next = storage_.as<std::byte>();
    visit_rollout_fields(buffer_, [&](auto*& field, std::int64_t n) {
      field = reinterpret_cast<std::remove_reference_t<decltype(field)>>(next);
      next += padded(field, n);
    });
    parts_ = Buffer(memory_, static_cast<std::size_t>(buffer_.horizon) *
                                 buffer_.observation_columns * sizeof(Moments));
  }

  EnvBatch& batch() override { return *batch_; }
  const RolloutBuffer& buffer() const override { return buffer_; }
  void set_weights(const PolicyWeights& weights) override { policy_.set_weights(weights); }
  void reset() override { batch_->reset(buffer_.observation_slot(0)); }

  void collect(const AdvantageOptions& options) override {
    ActRequest q;
    q.stride = buffer_.stride;
    q.keys = batch_->episodes();
    q.begin = 0;
    q.end = buffer_.num_envs;
    for (int t = 0; t < buffer_.horizon; ++t) {
      q.observations = buffer_.observation_slot(t);
      q.actions = buffer_.action_slot(t);
      q.raw_actions = buffer_.raw_action_slot(t);
      q.logprobs = buffer_.logprobs + t * buffer_.stride;
      q.values = buffer_.values + t * buffer_.stride;
      policy_.act(q);
      batch_->step(buffer_.step_buffers(t));
    }
    policy_.value(buffer_.observation_slot(buffer_.horizon), buffer_.stride, buffer_.num_envs, 1,
                  nullptr, buffer_.values + buffer_.horizon * buffer_.stride);
    policy_.value(buffer_.final_observations, buffer_.stride, buffer_.num_envs, buffer_.horizon,
                  buffer_.ends, buffer_.final_values);
    const DeviceScope scope(config_.device);
    gae_kernel<<<blocks_for(buffer_.num_envs), kThreads>>>(buffer_, options);
    RM_CUDA_LAUNCHED("gae_kernel");
    // Once a rollout: honest times, and a faulty kernel is named here and not in the learner.
    RM_CUDA(cudaStreamSynchronize(nullptr));
  }

  void advance() override {
    const DeviceScope scope(config_.device);
    RM_CUDA(cudaMemcpyAsync(buffer_.observation_slot(0), buffer_.observation_slot(buffer_.horizon),
                            slot_bytes(), cudaMemcpyDeviceToDevice, nullptr));
  }

  std::vector<EpisodeRecord> finished_episodes() const override {
    const auto n = static_cast<std::size_t>(buffer_.horizon * buffer_.stride);
    std::vector<std::uint8_t> ends(n), outcomes(n);
    std::vector<float> returns(n);
    std::vector<std::int32_t> lengths(n);
    std::vector<std::uint32_t> levels(n);
    memory_.copy_out(ends.data(), buffer_.ends, n);
    memory_.copy_out(outcomes.data(), buffer_.outcomes, n);
    memory_.copy_out(returns.data(), buffer_.episode_returns, n * sizeof(float));
    memory_.copy_out(lengths.data(), buffer_.episode_lengths, n * sizeof(std::int32_t));
    memory_.copy_out(levels.data(), buffer_.episode_levels, n * sizeof(std::uint32_t));
    std::vector<EpisodeRecord> records;
    for (int t = 0; t < buffer_.horizon; ++t) {
      for (int i = 0; i < buffer_.num_envs; ++i) {
        const auto at = static_cast<std::size_t>(t * buffer_.stride + i);
        if (ends[at] != kRunning)
          records.push_back({returns[at], lengths[at], outcomes[at], levels[at], 0.0f});
      }
    }
    return records;
  }

  std::vector<Moments> observation_moments() const override {
    const auto size = static_cast<std::size_t>(buffer_.observation_columns);
    std::vector<Moments> parts(static_cast<std::size_t>(buffer_.horizon) * size), total(size);
    {
      const DeviceScope scope(config_.device);
      moments_kernel<<<blocks_for(static_cast<long long>(parts.size()), 32), 32>>>(
          buffer_, parts_.as<Moments>());
      RM_CUDA_LAUNCHED("moments_kernel");
    }
    parts_.copy_out(parts.data(), parts.size() * sizeof(Moments));
    for (std::size_t p = 0; p < parts.size(); ++p) total[p % size].merge(parts[p]);
    return total;
  }

  void copy_to_host(const RolloutBuffer& host) const override {
    RM_ASSERT(host.horizon == buffer_.horizon && host.num_envs == buffer_.num_envs &&
              host.stride == buffer_.stride);
    RM_ASSERT(host.observation_columns == buffer_.observation_columns &&
              host.action_size() == buffer_.action_size());
    std::vector<void*> to;
    RolloutBuffer target = host, source = buffer_;
    visit_rollout_fields(target, [&](auto*& field, std::int64_t) { to.push_back(field); });
    std::size_t f = 0;
    visit_rollout_fields(source, [&](auto*& field, std::int64_t n) {
      memory_.copy_out(to[f++], field, static_cast<std::size_t>(n) * sizeof(*field));
    });
  }

  void set_first_observations(const float* host) override {
    memory_.copy_in(buffer_.observation_slot(0), host, slot_bytes());
  }

 private:
  template <class T>
  static std::size_t padded(T*, std::int64_t n) {
    return (static_cast<std::size_t>(n) * sizeof(T) + 255) / 256 * 256;
  }
  std::size_t slot_bytes() const {
    return static_cast<std::size_t>(buffer_.observation_columns * buffer_.stride) * sizeof(float);
  }
  static std::unique_ptr<EnvBatch> make_batch(const DeviceCollectorConfig& config) {
    std::unique_ptr<EnvBatch> batch(
        rollmill_make_cuda_batch(config.env_id.c_str(), &config.batch, config.device));
    if (!batch) fail_device(config.env_id + " was not compiled for CUDA; use device = \"cpu\"");
    return batch;
  }

  DeviceCollectorConfig config_;
  Memory& memory_;
  std::unique_ptr<EnvBatch> batch_;
  CudaPolicy policy_;
  RolloutBuffer buffer_;
  Buffer storage_, parts_;
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::DeviceCollector* rollmill_make_device_collector(
    const rollmill::DeviceCollectorConfig* config) {
  return new rollmill::CudaCollector(*config);
}
