// Rollouts on a GPU: one kernel for all steps where environment and policy allow it, else per step one of the policy and one of
// the environments; then values and advantages. Nothing is copied to the host until finished_episodes().
#include <vector>

#include "core/base/assert.h"
#include "core/device/buffer.h"
#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"
#include "envs/batch_layout.h"
#include "envs/cuda_module.h"
#include "rollout/collector_kernels.cuh"
#include "rollout/device_collector.h"
#include "rollout/fused_rollout.h"
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
        policy_(batch_->spec(), config.seed, config.greedy, config.frame_stack, config.device,
                config.products) {
    set_rollout_shape(buffer_, batch_->spec(), config.horizon, batch_->num_envs(), batch_->stride(),
                      config.frame_stack);
    set_memory_shape(buffer_, config.memory);
    // Registered first, then allocated once; each column starts on 256 bytes.
    std::size_t bytes = 0;
    visit_rollout_fields(buffer_, [&](auto*& field, std::int64_t n) { bytes += padded(field, n); });
    storage_ = Buffer(memory_, bytes);
    auto* next = storage_.as<std::byte>();
    visit_rollout_fields(buffer_, [&](auto*& field, std::int64_t n) {
      field = reinterpret_cast<std::remove_reference_t<decltype(field)>>(next);
      next += padded(field, n);
    });
    recordable_ = !varies(config.batch) && config.horizon <= kMostSteps;
    if (config.fused && config.frame_stack == 1 && config.memory.columns == 0)
      fused_ = find_fused_rollout(config.env_id);
  }

  EnvBatch& batch() override { return *batch_; }
  const RolloutBuffer& buffer() const override { return buffer_; }
  void set_weights(const PolicyWeights& weights) override { policy_.set_weights(weights); }
  void reset() override { batch_->reset(buffer_.observation_slot(0), buffer_.mask_slot(0)); }

  void collect(const AdvantageOptions& options) override {
    const DeviceScope scope(config_.device);
    // The first rollout is launched kernel by kernel, so that all of them are loaded before they are recorded.
    if (!recordable_ || rollouts_++ == 0) {
      launch_rollout(options);
      // Once a rollout: honest times, and a faulty kernel is named here and not in the learner.
      RM_CUDA(cudaStreamSynchronize(nullptr));
      return;
    }
    if (!graph_.recorded() || !same(options)) {
      graph_.record([&] { launch_rollout(options); });
      recorded_policy_ = policy_.device();
      recorded_options_ = options;
    }
    graph_.launch();
    graph_.wait();
  }

  void advance() override {
    const DeviceScope scope(config_.device);
    const auto copy = [](void* to, const void* from, std::int64_t words) {
      RM_CUDA(cudaMemcpyAsync(to, from, static_cast<std::size_t>(words) * sizeof(Word),
                              cudaMemcpyDeviceToDevice, nullptr));
    };
    // Slot by slot, oldest first: with a short horizon the frames' old and new places overlap.
    for (int t = 1 - buffer_.frame_stack; t <= 0; ++t) {
      copy(buffer_.observation_slot(t), buffer_.observation_slot(buffer_.horizon + t),
           buffer_.slot_words());
    }
    if (buffer_.mask_columns > 0) {
      copy(buffer_.mask_slot(0), buffer_.mask_slot(buffer_.horizon),
           buffer_.mask_columns * buffer_.stride);
    }
  }

  std::vector<EpisodeRecord> finished_episodes(int groups) const override {
    RM_ASSERT(buffer_.num_envs % groups == 0);
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
    const int envs = buffer_.num_envs / groups;
    for (int g = 0; g < groups; ++g) {
      for (int t = 0; t < buffer_.horizon; ++t) {
        for (int i = g * envs; i < (g + 1) * envs; ++i) {
          const auto at = static_cast<std::size_t>(t * buffer_.stride + i);
          if (ends[at] != kRunning)
            records.push_back({returns[at], lengths[at], outcomes[at], levels[at], 0.0f});
        }
      }
    }
    return records;
  }

  std::vector<Moments> observation_moments(int groups) override {
    RM_ASSERT(batch_->spec().observed.kind == ObservationKind::kReal);
    RM_ASSERT(buffer_.num_envs % groups == 0);
    const auto size = static_cast<std::size_t>(buffer_.observation_columns),
               all = static_cast<std::size_t>(groups),
               of_group = static_cast<std::size_t>(buffer_.horizon) * size;
    std::vector<Moments> parts(all * of_group), total(all * size);
    if (parts_.bytes() < parts.size() * sizeof(Moments))
      parts_ = Buffer(memory_, parts.size() * sizeof(Moments));
    {
      const DeviceScope scope(config_.device);
      moments_kernel<<<blocks_for(static_cast<long long>(parts.size()), 32), 32>>>(
          buffer_, groups, parts_.as<Moments>());
      RM_CUDA_LAUNCHED("moments_kernel");
    }
    parts_.copy_out(parts.data(), parts.size() * sizeof(Moments));
    for (std::size_t p = 0; p < parts.size(); ++p)
      total[p / of_group * size + p % size].merge(parts[p]);
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
  void launch_rollout(const AdvantageOptions& options) {
    const bool fused = fused_ != nullptr && fused_(*batch_, policy_.device(), buffer_,
                                                   policy_.parameters(), config_.device);
    if (!fused) launch_steps();
    count_frames_at(buffer_.horizon);
    policy_.value(buffer_, buffer_.horizon, batch_->episodes().step);
    if (buffer_.memory_columns == 0) policy_.final_values(buffer_, 0, buffer_.horizon);
    gae_kernel<<<blocks_for(buffer_.num_envs), kThreads, 0, launch_stream>>>(buffer_, options);
    RM_CUDA_LAUNCHED("gae_kernel");
  }
  void launch_steps() {
    for (int t = 0; t < buffer_.horizon; ++t) {
      count_frames_at(t);
      keep_memory_at(t);
      ActRequest q = request_for_slot(buffer_, t);
      q.keys = batch_->episodes();
      q.end = buffer_.num_envs;
      policy_.act(q);
      batch_->step(buffer_.step_buffers(t));
      // What an episode remembered is gone with the next step.
      if (buffer_.memory_columns > 0) policy_.final_values(buffer_, t, t + 1);
    }
  }
  // Whether a recorded rollout is still the one that is wanted. (Weights and normaliser are read where they lie.)
  bool same(const AdvantageOptions& o) const {
    const DevicePolicy &p = policy_.device(), &was = recorded_policy_;
    const AdvantageOptions& then = recorded_options_;
    return p.params == was.params && p.shift == was.shift && p.scale == was.scale &&
           p.clip == was.clip && p.tile_rows == was.tile_rows && o.gamma == then.gamma &&
           o.lambda == then.lambda && o.reward_scale == then.reward_scale &&
           o.reward_clip == then.reward_clip;
  }
  template <class T>
  static std::size_t padded(T*, std::int64_t n) {
    return (static_cast<std::size_t>(n) * sizeof(T) + 255) / 256 * 256;
  }
  void count_frames_at(int t) {
    if (buffer_.frame_stack == 1) return;
    const DeviceScope scope(config_.device);
    frames_kernel<<<blocks_for(buffer_.num_envs), kThreads, 0, launch_stream>>>(
        buffer_, t, batch_->episodes().step);
    RM_CUDA_LAUNCHED("frames_kernel");
  }
  void keep_memory_at(int t) {
    for (int k = 0; k < buffer_.sequences(); ++k) {
      if (buffer_.sequence_start(k) != t) continue;
      const DeviceScope scope(config_.device);
      const std::int64_t n = std::int64_t{buffer_.memory_columns} * buffer_.num_envs;
      keep_memory_kernel<<<blocks_for(n), kThreads, 0, launch_stream>>>(buffer_, k,
                                                                        batch_->episodes().step);
      RM_CUDA_LAUNCHED("keep_memory_kernel");
    }
  }
  std::size_t memory_bytes() const {
    return static_cast<std::size_t>(buffer_.memory_columns * buffer_.stride) * sizeof(float);
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
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::DeviceCollector* rollmill_make_device_collector(
    const rollmill::DeviceCollectorConfig* config) {
  return new rollmill::CudaCollector(*config);
}
