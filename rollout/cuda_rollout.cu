// Rollouts on a GPU: one kernel for all steps where environment and policy allow it, else per step one of the policy and one of
// the environments; then values and advantages. Nothing is copied to the host until it asks.
#include "rollout/cuda_rollout.cuh"

#include "core/base/assert.h"
#include "core/device/cuda_module.h"
#include "envs/batch_layout.h"
#include "envs/cuda_module.h"
#include "rollout/rollout_fields.h"
#include "rollout/rollout_sequence.cuh"

namespace rollmill {
namespace {

// launch() of rollout/rollout_sequence.cuh.
struct ElementLaunch {
  template <class... Parameters, class... Arguments>
  void operator()(const char* name, void (*kernel)(Parameters...), std::int64_t n,
                  Arguments... arguments) const {
    kernel<<<blocks_for(n), kThreads, 0, launch_stream>>>(static_cast<Parameters>(arguments)...);
    const cudaError_t code = cudaGetLastError();
    if (code != cudaSuccess)
      internal::cuda_failed(code, ("launch of " + std::string(name)).c_str(), __FILE__, __LINE__);
  }
};

template <class T>
std::size_t padded(T*, std::int64_t n) {
  return (static_cast<std::size_t>(n) * sizeof(T) + 255) / 256 * 256;
}

}  // namespace

std::unique_ptr<EnvBatch> make_rollout_batch(const DeviceCollectorConfig& config) {
  std::unique_ptr<EnvBatch> batch(
      rollmill_make_cuda_batch(config.env_id.c_str(), &config.batch, config.device));
  if (!batch) fail_device(config.env_id + " was not compiled for CUDA; use device = \"cpu\"");
  return batch;
}

CudaRollout::CudaRollout(const DeviceCollectorConfig& config, EnvBatch& batch,
                         const CudaPolicy& policy)
    : device_(config.device),
      memory_(*rollmill_cuda_memory(config.device)),
      batch_(batch),
      policy_(policy),
      recordable_(!varies(config.batch) && config.horizon <= kMostSteps) {
  set_rollout_shape(buffer_, batch.spec(), config.horizon, batch.num_envs(), batch.stride(),
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
  if (config.fused && config.frame_stack == 1 && config.memory.columns == 0)
    fused_ = find_fused_rollout(config.env_id);
}

void CudaRollout::make(cudaStream_t stream, const AdvantageOptions& options,
                       const RolloutBuffer* from) {
  const DeviceScope scope(device_);
  // The first rollout is launched kernel by kernel, so that all of them are loaded before they are recorded.
  if (!recordable_ || rollouts_++ == 0) {
    const StreamScope into(stream);
    launch(options, from);
    return;
  }
  if (!graph_.recorded() || from != recorded_from_ || !same(options)) {
    graph_.record([&] { launch(options, from); });
    recorded_policy_ = policy_.device();
    recorded_options_ = options;
    recorded_from_ = from;
  }
  graph_.launch(stream);
}

void CudaRollout::launch(const AdvantageOptions& options, const RolloutBuffer* from) const {
  if (from != nullptr) {
    // What a rollout leaves alone (final observations of steps that end nothing) is not to be what an older one left there: the bytes go
    // into checkpoints.
    RM_CUDA(cudaMemsetAsync(storage_.as<std::byte>(), 0, storage_.bytes(), launch_stream));
    continue_from(*from);
  }
  const bool fused =
      fused_ != nullptr && fused_(batch_, policy_.device(), buffer_, policy_.parameters(), device_);
  if (!fused) launch_steps(policy_, ElementLaunch{}, batch_, buffer_);
  launch_estimates(policy_, ElementLaunch{}, batch_.episodes().step, buffer_, options);
}

// Whether a recorded rollout is still the one that is wanted. (Weights and normaliser are read where they lie.)
bool CudaRollout::same(const AdvantageOptions& o) const {
  const DevicePolicy &p = policy_.device(), &was = recorded_policy_;
  const AdvantageOptions& then = recorded_options_;
  return p.params == was.params && p.shift == was.shift && p.scale == was.scale &&
         p.clip == was.clip && p.tile_rows == was.tile_rows && o.gamma == then.gamma &&
         o.lambda == then.lambda && o.reward_scale == then.reward_scale &&
         o.reward_clip == then.reward_clip;
}

void CudaRollout::continue_from(const RolloutBuffer& from) const {
  const DeviceScope scope(device_);
  const auto copy = [](void* to, const void* what, std::int64_t words) {
    RM_CUDA(cudaMemcpyAsync(to, what, static_cast<std::size_t>(words) * sizeof(Word),
                            cudaMemcpyDeviceToDevice, launch_stream));
  };
  // Slot by slot, oldest first: with a short horizon the frames' old and new places in one buffer overlap.
  for (int t = 1 - from.frame_stack; t <= 0; ++t)
    copy(buffer_.observation_slot(t), from.observation_slot(from.horizon + t), from.slot_words());
  if (from.mask_columns > 0)
    copy(buffer_.mask_slot(0), from.mask_slot(from.horizon), from.mask_columns * from.stride);
}

void CudaRollout::correct(const AdvantageOptions& options, float* log_ratios,
                          RatioSums* parts) const {
  const DeviceScope scope(device_);
  launch_correction(policy_, ElementLaunch{}, buffer_, options, log_ratios, parts);
}

std::vector<EpisodeRecord> CudaRollout::finished_episodes(int groups) const {
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

std::vector<Moments> CudaRollout::observation_moments(int groups) {
  RM_ASSERT(batch_.spec().observed.kind == ObservationKind::kReal);
  RM_ASSERT(buffer_.num_envs % groups == 0);
  const auto size = static_cast<std::size_t>(buffer_.observation_columns),
             all = static_cast<std::size_t>(groups),
             of_group = static_cast<std::size_t>(buffer_.horizon) * size;
  std::vector<Moments> parts(all * of_group), total(all * size);
  if (parts_.bytes() < parts.size() * sizeof(Moments))
    parts_ = Buffer(memory_, parts.size() * sizeof(Moments));
  {
    const DeviceScope scope(device_);
    moments_kernel<<<blocks_for(static_cast<long long>(parts.size()), 32), 32>>>(
        buffer_, groups, parts_.as<Moments>());
    RM_CUDA_LAUNCHED("moments_kernel");
  }
  parts_.copy_out(parts.data(), parts.size() * sizeof(Moments));
  for (std::size_t p = 0; p < parts.size(); ++p)
    total[p / of_group * size + p % size].merge(parts[p]);
  return total;
}

void CudaRollout::copy_to_host(const RolloutBuffer& host) const {
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

}  // namespace rollmill
