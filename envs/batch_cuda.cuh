// The CUDA runtime of any environment of the contract: one kernel per step, one thread per
// environment, over the same columns and the same text (envs/step_kernel.h) as the CPU runtime.
// Snapshots are the CPU runtime's bytes.
//
// Calls return when the kernel is queued on the default stream; a copy to the host waits for it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/assert.h"
#include "core/device/buffer.h"
#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"
#include "envs/batch_kernels.cuh"
#include "envs/describe.h"

namespace rollmill {

template <class Env>
class CudaBatch final : public EnvBatch {
 public:
  using State = typename Env::State;
  static constexpr int kStateWords = kWords<State>;

  CudaBatch(const BatchConfig& config, int device)
      : spec_(describe<Env>()),
        params_(make_params<Env>(config.params)),
        config_(config),
        device_(device) {
    RM_ASSERT(config.num_envs >= 1);
    stride_ = padded_columns(config.num_envs);
    words_ = Buffer(*rollmill_cuda_memory(device),
                    static_cast<std::size_t>(stride_) * (kStateWords + 4) * sizeof(std::uint32_t));
    columns_.stride = stride_;
    columns_.state = words_.as<std::uint32_t>();
    columns_.environment = columns_.state + kStateWords * stride_;
    columns_.episode = columns_.environment + stride_;
    columns_.step = columns_.episode + stride_;
    columns_.episode_return = reinterpret_cast<float*>(columns_.step + stride_);
    constants_.seed = config.seed;
    constants_.episode_stride = config.episode_stride;
    const int limit = config.time_limit < 0 ? spec_.time_limit : config.time_limit;
    constants_.time_limit = limit == 0 ? 0xFFFFFFFFu : static_cast<std::uint32_t>(limit);
  }

  const EnvSpec& spec() const override { return spec_; }
  int num_envs() const override { return config_.num_envs; }
  std::int64_t stride() const override { return stride_; }
  bool on_device() const override { return true; }
  EpisodeColumns episodes() const override {
    return {columns_.environment, columns_.episode, columns_.step};
  }

  void reset(float* observations) override {
    const DeviceScope scope(device_);
    const FirstEpisodes first = {config_.first_environment, config_.environment_stride,
                                 config_.first_episode, config_.episode_offset};
    reset_kernel<Env><<<blocks_for(config_.num_envs), kThreads>>>(
        columns_, constants_, params_, first, config_.num_envs, observations);
    RM_CUDA_LAUNCHED("reset_kernel");
  }

  void step(const StepBuffers& buffers) override { step_range(buffers, 0, config_.num_envs); }

  void step_range(const StepBuffers& buffers, int begin, int end) override {
    if (begin >= end) return;
    const DeviceScope scope(device_);
    step_kernel<Env>
        <<<blocks_for(end - begin), kThreads>>>(columns_, constants_, params_, begin, end, buffers);
    RM_CUDA_LAUNCHED("step_kernel");
  }

  void observe(float* observations) override {
    const DeviceScope scope(device_);
    observe_kernel<Env><<<blocks_for(config_.num_envs), kThreads>>>(columns_, params_,
                                                                    config_.num_envs, observations);
    RM_CUDA_LAUNCHED("observe_kernel");
  }

  std::size_t snapshot_bytes() const override { return words_.bytes(); }
  void save(std::byte* out) const override { words_.copy_out(out, words_.bytes()); }
  void load(const std::byte* in) override { words_.copy_in(in, words_.bytes()); }

  std::vector<std::uint32_t> state_words(int env) const override {
    std::vector<std::uint32_t> words(kStateWords);
    for (int k = 0; k < kStateWords; ++k)
      words_.copy_out(&words[k], sizeof words[k], word_offset(k, env));
    return words;
  }
  void set_state_words(int env, const std::vector<std::uint32_t>& words) override {
    RM_ASSERT(static_cast<int>(words.size()) == kStateWords);
    for (int k = 0; k < kStateWords; ++k)
      words_.copy_in(&words[k], sizeof words[k], word_offset(k, env));
  }

  std::int64_t bytes_per_environment() const override {
    return static_cast<std::int64_t>(snapshot_bytes()) / config_.num_envs;
  }

 private:
  std::size_t word_offset(int k, int env) const {
    return static_cast<std::size_t>(k * stride_ + env) * sizeof(std::uint32_t);
  }

  EnvSpec spec_;
  typename Env::Params params_;
  BatchConfig config_;
  int device_;
  std::int64_t stride_ = 0;
  Buffer words_;
  BatchColumns columns_{};
  BatchConstants constants_{};
};

}  // namespace rollmill
