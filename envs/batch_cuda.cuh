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
#include "envs/batch_layout.h"
#include "envs/describe.h"

namespace rollmill {

template <class Env>
class CudaBatch final : public EnvBatch {
 public:
  using State = typename Env::State;
  using Params = typename Env::Params;
  static constexpr int kStateWords = kWords<State>;

  CudaBatch(const BatchConfig& config, int device)
      : spec_(describe<Env>()),
        params_(make_params<Env>(config.params)),
        config_(config),
        device_(device),
        varied_(varies(config)) {
    RM_ASSERT(config.num_envs >= 1 && config.autoreset);
    stride_ = padded_columns(config.num_envs);
    words_ = Buffer(
        *rollmill_cuda_memory(device),
        static_cast<std::size_t>(stride_) * batch_words<Env>(varied_) * sizeof(std::uint32_t));
    columns_ = layout_columns(words_.as<std::uint32_t>(), stride_, kStateWords, varied_);
    constants_ = batch_constants(config, spec_.time_limit);
    set_world(config.world);
  }

  const EnvSpec& spec() const override { return spec_; }
  int num_envs() const override { return config_.num_envs; }
  std::int64_t stride() const override { return stride_; }
  bool on_device() const override { return true; }
  EpisodeColumns episodes() const override {
    return {columns_.environment, columns_.episode, columns_.step};
  }

  void reset(float* observations, Word* masks = nullptr) override {
    RM_ASSERT(mask_columns<Env>() == 0 || masks != nullptr);
    const DeviceScope scope(device_);
    const FirstEpisodes first = {config_.first_environment, config_.environment_stride,
                                 config_.first_episode, config_.episode_offset};
    const int blocks = blocks_for(config_.num_envs);
    if (varied_) {
      reset_kernel<Env, true><<<blocks, kThreads, 0, launch_stream>>>(
          columns_, constants_, params_, first, config_.num_envs, observations, masks);
    } else {
      reset_kernel<Env, false><<<blocks, kThreads, 0, launch_stream>>>(
          columns_, constants_, params_, first, config_.num_envs, observations, masks);
    }
    RM_CUDA_LAUNCHED("reset_kernel");
  }

  void step(const StepBuffers& buffers) override { step_range(buffers, 0, config_.num_envs); }

  void step_range(const StepBuffers& buffers, int begin, int end) override {
    if (begin >= end) return;
    const DeviceScope scope(device_);
    const int blocks = blocks_for(end - begin);
    if (varied_) {
      step_kernel<Env, true><<<blocks, kThreads, 0, launch_stream>>>(columns_, constants_, params_,
                                                                     begin, end, buffers);
    } else {
      step_kernel<Env, false><<<blocks, kThreads, 0, launch_stream>>>(columns_, constants_, params_,
                                                                      begin, end, buffers);
    }
    RM_CUDA_LAUNCHED("step_kernel");
  }

  void observe(float* observations, Word* masks = nullptr) override {
    RM_ASSERT(mask_columns<Env>() == 0 || masks != nullptr);
    const DeviceScope scope(device_);
    const int blocks = blocks_for(config_.num_envs);
    if (varied_) {
      observe_kernel<Env, true><<<blocks, kThreads, 0, launch_stream>>>(
          columns_, params_, config_.num_envs, observations, masks);
    } else {
      observe_kernel<Env, false><<<blocks, kThreads, 0, launch_stream>>>(
          columns_, params_, config_.num_envs, observations, masks);
    }
    RM_CUDA_LAUNCHED("observe_kernel");
  }

  void act_expert(const float*, int, int, void*) const override {
    fail_usage(spec_.id + ": the scripted expert acts on the CPU only; use device = \"cpu\"");
  }

  void set_world(const World& world) override {
    RM_ASSERT(varied_ || (world.draws.empty() && world.levels.count == 0));
    if (!varied_) return;
    const HostWorld host(world);
    const std::size_t draws = world.draws.size() * sizeof(ParamDraw);
    const std::size_t sums = host.cumulative.size() * sizeof(float);
    // The copy waits for running kernels, so that none reads the buffer that is replaced.
    Buffer memory(*rollmill_cuda_memory(device_), draws + sums + sizeof(float));
    if (draws > 0) memory.copy_in(world.draws.data(), draws);
    if (sums > 0) memory.copy_in(host.cumulative.data(), sums, draws);
    constants_.world = host.view();
    constants_.world.draws = memory.as<ParamDraw>();
    if (sums > 0)
      constants_.world.cumulative = reinterpret_cast<float*>(memory.as<std::byte>() + draws);
    world_memory_ = std::move(memory);
  }
  std::vector<double> params_of(int env) const override {
    if (!varied_) return param_values(params_);
    constexpr int kParams = count_param_words<Params>();
    const auto words = column_words(env, kStateWords + kRuntimeWords + 1, kParams);
    return param_values(load_params<Params>(words.data(), 1, 0));
  }
  std::uint32_t level_of(int env) const override {
    return varied_ ? column_words(env, kStateWords + kRuntimeWords, 1)[0] : 0u;
  }

  std::size_t snapshot_bytes() const override { return words_.bytes(); }
  void save(std::byte* out) const override { words_.copy_out(out, words_.bytes()); }
  void load(const std::byte* in) override { words_.copy_in(in, words_.bytes()); }

  std::vector<std::uint32_t> save_environment(int env) const override {
    return column_words(env, 0, batch_words<Env>(varied_));
  }
  void load_environment(int env, const std::vector<std::uint32_t>& words) override {
    RM_ASSERT(static_cast<int>(words.size()) == batch_words<Env>(varied_));
    write_words(env, words);
  }
  std::vector<std::uint32_t> state_words(int env) const override {
    return column_words(env, 0, kStateWords);
  }
  void set_state_words(int env, const std::vector<std::uint32_t>& words) override {
    RM_ASSERT(static_cast<int>(words.size()) == kStateWords);
    write_words(env, words);
  }

  Faults take_faults() override { return {}; }

  // For kernels that step this batch beside doing something else.
  const BatchColumns& columns() const { return columns_; }
  const BatchConstants& constants() const { return constants_; }
  const Params& params() const { return params_; }
  bool varied() const { return varied_; }

  std::int64_t bytes_per_environment() const override {
    return static_cast<std::int64_t>(snapshot_bytes()) / config_.num_envs;
  }

 private:
  std::size_t word_offset(int k, int env) const {
    return static_cast<std::size_t>(k * stride_ + env) * sizeof(std::uint32_t);
  }
  std::vector<std::uint32_t> column_words(int env, int first, int count) const {
    std::vector<std::uint32_t> words(static_cast<std::size_t>(count));
    for (int k = 0; k < count; ++k)
      words_.copy_out(&words[static_cast<std::size_t>(k)], sizeof words[0],
                      word_offset(first + k, env));
    return words;
  }
  void write_words(int env, const std::vector<std::uint32_t>& words) {
    for (std::size_t k = 0; k < words.size(); ++k)
      words_.copy_in(&words[k], sizeof words[k], word_offset(static_cast<int>(k), env));
  }

  EnvSpec spec_;
  typename Env::Params params_;
  BatchConfig config_;
  int device_;
  bool varied_;
  std::int64_t stride_ = 0;
  Buffer words_;
  Buffer world_memory_;  // draws, then sums of level weights
  BatchColumns columns_{};
  BatchConstants constants_{};
};

}  // namespace rollmill
