// The CPU runtime of any environment of the contract.
//
// A step goes over blocks of kBlock environments, small enough for the first-level cache:
//   1. step    every environment of the block, branch-free: the compiler turns the author's scalar code into
//              one AVX-512 (or AVX2, SSE2) lane per environment; codes of ends go to a scratch row
//   2. compact the few environments whose episode ended, and record them
//   3. reset   those, gathered into neighbouring lanes: initial states are drawn sixteen at a time too
// Blocks run on a persistent pool. A block touches only its own columns, so threads share no cache line.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/assert.h"
#include "core/base/simd.h"
#include "core/base/thread_pool.h"
#include "envs/describe.h"
#include "envs/step_kernel.h"

namespace rollmill {

template <class Env>
class CpuBatch final : public EnvBatch {
 public:
  using State = typename Env::State;
  static constexpr int kStateWords = kWords<State>;
  static constexpr int kBlock = 512;
  static constexpr int kResetLanes = 64;

  CpuBatch(const BatchConfig& config, ThreadPool* pool)
      : spec_(describe<Env>()),
        params_(make_params<Env>(config.params)),
        config_(config),
        pool_(pool) {
    RM_ASSERT(config.num_envs >= 1);
    stride_ = padded_columns(config.num_envs);
    // One allocation; the state columns, then the runtime's own.
    words_.resize(static_cast<std::size_t>(stride_) * (kStateWords + 4));
    columns_.stride = stride_;
    columns_.state = words_.data();
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
  bool on_device() const override { return false; }
  EpisodeColumns episodes() const override {
    return {columns_.environment, columns_.episode, columns_.step};
  }

  void reset(float* observations) override {
    for_each_block([&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto u = static_cast<std::uint32_t>(i);
        columns_.environment[i] = config_.first_environment + u * config_.environment_stride;
        columns_.episode[i] = config_.first_episode + u * config_.episode_offset;
        reset_environment<Env>(columns_, constants_, params_, observations, i);
      }
    });
  }

  void step(const StepBuffers& buffers) override {
    for_each_block([&](std::int64_t begin, std::int64_t end) { step_block(buffers, begin, end); });
  }

  void step_range(const StepBuffers& buffers, int begin, int end) override {
    for (std::int64_t i = begin; i < end; i += kBlock) {
      step_block(buffers, i, std::min<std::int64_t>(i + kBlock, end));
    }
  }

  void observe(float* observations) override {
    for_each_block([&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const State state = load_columns<State>(columns_.state, stride_, i);
        Env::observe(state, params_, Strided<float>{observations + i, stride_});
      }
    });
  }

  std::size_t snapshot_bytes() const override { return words_.size() * sizeof(std::uint32_t); }
  void save(std::byte* out) const override { std::memcpy(out, words_.data(), snapshot_bytes()); }
  void load(const std::byte* in) override { std::memcpy(words_.data(), in, snapshot_bytes()); }

  std::vector<std::uint32_t> state_words(int env) const override {
    std::vector<std::uint32_t> words;
    for (int k = 0; k < kStateWords; ++k) words.push_back(columns_.state[k * stride_ + env]);
    return words;
  }
  void set_state_words(int env, const std::vector<std::uint32_t>& words) override {
    RM_ASSERT(static_cast<int>(words.size()) == kStateWords);
    for (int k = 0; k < kStateWords; ++k) columns_.state[k * stride_ + env] = words[k];
  }

  std::int64_t bytes_per_environment() const override {
    return static_cast<std::int64_t>(snapshot_bytes()) / config_.num_envs;
  }

 private:
  template <class Body>
  void for_each_block(Body&& body) {
    const int blocks = (config_.num_envs + kBlock - 1) / kBlock;
    const auto run_block = [&](int block) {
      const std::int64_t begin = static_cast<std::int64_t>(block) * kBlock;
      body(begin, std::min<std::int64_t>(begin + kBlock, config_.num_envs));
    };
    if (pool_ != nullptr) {
      pool_->run(blocks, run_block);
    } else {
      for (int block = 0; block < blocks; ++block) run_block(block);
    }
  }

  void step_block(const StepBuffers& buffers, std::int64_t begin, std::int64_t end) {
    alignas(kColumnAlignment) std::uint32_t codes[kBlock];
    alignas(kColumnAlignment) std::int32_t ended[kBlock + 16];
    const int count = static_cast<int>(end - begin);
    step_lanes(columns_, constants_, params_, buffers, begin, count, codes);
    std::uint8_t* RM_RESTRICT ends = buffers.ends + begin;
    std::uint32_t any = 0;
    for (int j = 0; j < count; ++j) {
      ends[j] = static_cast<std::uint8_t>(codes[j]);
      any |= codes[j];
    }
    if (any == 0) return;
    const int found = compact_nonzero(codes, count, ended);
    for (int k = 0; k < found; ++k) {
      record_episode<Env>(columns_, buffers, codes[ended[k]], begin + ended[k]);
    }
    for (int k = 0; k < found; k += kResetLanes) {
      reset_some(buffers, begin, ended + k, std::min(kResetLanes, found - k));
    }
  }

  // Next episodes of the listed environments: gathered into neighbouring lanes, so that resets vectorise too, and back.
  void reset_some(const StepBuffers& buffers, std::int64_t begin, const std::int32_t* list,
                  int count) {
    constexpr int kSize = Env::Observation::kSize;
    alignas(kColumnAlignment) std::uint32_t words[(kStateWords + 3) * kResetLanes];
    alignas(kColumnAlignment) float returns[kResetLanes], observations[kSize * kResetLanes];
    const BatchColumns lanes{words,
                             words + kStateWords * kResetLanes,
                             words + (kStateWords + 1) * kResetLanes,
                             words + (kStateWords + 2) * kResetLanes,
                             returns,
                             kResetLanes};
    for (int k = 0; k < count; ++k) {
      const std::int64_t i = begin + list[k];
      columns_.episode[i] += constants_.episode_stride;
      lanes.environment[k] = columns_.environment[i];
      lanes.episode[k] = columns_.episode[i];
    }
    reset_lanes(lanes, constants_, params_, observations, count);
    for (int k = 0; k < count; ++k) {
      const std::int64_t i = begin + list[k];
      for (int w = 0; w < kStateWords; ++w)
        columns_.state[w * stride_ + i] = words[w * kResetLanes + k];
      for (int w = 0; w < kSize; ++w)
        buffers.observations[w * stride_ + i] = observations[w * kResetLanes + k];
      columns_.step[i] = 0;
      columns_.episode_return[i] = 0.0f;
    }
  }

  static void reset_lanes(const BatchColumns columns, const BatchConstants constants,
                          const typename Env::Params params, float* observations, int count) {
#pragma GCC ivdep
    for (int k = 0; k < count; ++k)
      reset_environment<Env>(columns, constants, params, observations, k);
  }

  // Kept apart and free of member access, so that the compiler sees loop-invariant pointers and vectorises it.
  static void step_lanes(const BatchColumns columns, const BatchConstants constants,
                         const typename Env::Params params, const StepBuffers buffers,
                         std::int64_t begin, int count, std::uint32_t* RM_RESTRICT codes) {
#pragma GCC ivdep
    for (int j = 0; j < count; ++j) {
      codes[j] = step_environment<Env>(columns, constants, params, buffers, begin + j);
    }
  }

  EnvSpec spec_;
  typename Env::Params params_;
  BatchConfig config_;
  ThreadPool* pool_;
  std::int64_t stride_ = 0;
  AlignedVector<std::uint32_t> words_;
  BatchColumns columns_{};
  BatchConstants constants_{};
};

}  // namespace rollmill
