// The CUDA policy on host threads. After tests/cuda/emulation.h.
#pragma once

#include <algorithm>
#include <vector>

#include "rollout/mlp/acting_weights.h"
#include "rollout/mlp/judge_kernels.cuh"
#include "rollout/mlp/mlp_policy.h"
#include "rollout/mlp/policy_kernels.cuh"
#include "rollout/rollout_sequence.cuh"
#include "rollout/unpack.h"

namespace rollmill::testing {

// Of a block. At least a tile's rows. (Fewer under the thread sanitizer, to which a barrier of 64 threads is minutes of the whole test.)
#if defined(__SANITIZE_THREAD__)
inline constexpr int kActThreads = 32;
#else
inline constexpr int kActThreads = 64;
#endif

inline unsigned blocks_of(std::int64_t n, int per_block = kActThreads) {
  return static_cast<unsigned>((n + per_block - 1) / per_block);
}

// launch() of rollout/rollout_sequence.cuh.
struct EmulatedElements {
  template <class... Parameters, class... Arguments>
  void operator()(const char*, void (*kernel)(Parameters...), std::int64_t n,
                  Arguments... arguments) const {
    emulate(blocks_of(n), 1, kActThreads, 0,
            [&] { kernel(static_cast<Parameters>(arguments)...); });
  }
};

// CudaPolicy (rollout/mlp/policy_cuda.cu) with host pointers.
class EmulatedPolicy {
 public:
  EmulatedPolicy(const EnvSpec& spec, std::uint64_t seed, bool greedy, int tile_rows,
                 Products products = Products::kFloat32)
      : elements_(spec.observed), choices_(spec.choices.begin(), spec.choices.end()) {
    DevicePolicy& p = policy_;
    p.products = products;
    p.unpack = {spec.observed.kind, spec.observed.elements, elements_.column_of.data(),
                elements_.choice_of.data()};
    p.observation_columns = spec.observed.columns;
    p.choices = choices_.data();
    p.choice_columns = static_cast<int>(choices_.size());
    p.mask_columns = spec.mask_columns;
    p.reals = spec.real_actions();
    p.tile_rows = tile_rows;
    p.greedy = greedy;
    p.seed = seed;
    const auto n = static_cast<std::size_t>(p.reals);
    bounds_.resize(4 * n);
    for (std::size_t a = 0; a < n; ++a) {
      const FieldSpec& f = spec.action[choices_.size() + a];
      bounds_[a] = static_cast<float>(0.5 * (f.low + f.high));
      bounds_[n + a] = static_cast<float>(0.5 * (f.high - f.low));
      bounds_[2 * n + a] = static_cast<float>(f.low);
      bounds_[3 * n + a] = static_cast<float>(f.high);
    }
    p.middle = bounds_.data();
    p.half_range = p.middle + n;
    p.low = p.middle + 2 * n;
    p.high = p.middle + 3 * n;
  }
  EmulatedPolicy(const EmulatedPolicy&) = delete;
  EmulatedPolicy& operator=(const EmulatedPolicy&) = delete;

  void set_weights(const PolicyWeights& weights) {
    const PolicyShape& shape = weights.layout.shape;
    ActingWeights acting = acting_weights(weights.layout, weights.params.data(), policy_.products);
    DevicePolicy& p = policy_;
    p.actor = acting.actor;
    p.critic = acting.critic;
    params_ = std::move(acting.values);
    p.params = params_.data();
    p.log_std = weights.layout.has_log_std() ? p.params + acting.log_std : nullptr;
    normalizer_ = weights.normalizer;
    if (normalizer_.enabled()) {
      p.shift = normalizer_.shift();
      p.scale = normalizer_.scale();
      p.clip = normalizer_.clip();
    }
    p.frame_stack = shape.frame_stack;
    p.observations = shape.observations();
    p.activation = shape.activation;
    p.trunk = shape.trunk;
    p.distribution = shape.distribution;
    p.outputs = shape.outputs();
    set_widths(p);
    p.memory_size = shape.memory_size;
  }
  const DevicePolicy& device() const { return policy_; }
  int parameters() const { return static_cast<int>(params_.size()); }
  bool bf16() const { return policy_.products != Products::kFloat32; }
  unsigned tiles(const RolloutBuffer& b) const { return blocks_of(b.num_envs, policy_.tile_rows); }

  void act(const ActRequest& q) const {
    const auto kernel = bf16() ? act_kernel<true> : act_kernel<false>;
    emulate(blocks_of(q.end - q.begin, policy_.tile_rows), 1, kActThreads, shared(),
            [&] { kernel(policy_, q); });
  }
  void value(const RolloutBuffer& b, int t, const std::uint32_t* steps) const {
    const auto kernel = bf16() ? value_kernel<true> : value_kernel<false>;
    emulate(tiles(b), 1, kActThreads, shared(), [&] { kernel(policy_, b, t, false, steps); });
  }
  void final_values(const RolloutBuffer& b, int first, int last) const {
    const auto kernel = bf16() ? value_kernel<true> : value_kernel<false>;
    emulate(tiles(b), static_cast<unsigned>(last - first), kActThreads, shared(),
            [&] { kernel(policy_, b, first, true, nullptr); });
  }
  void judge(const RolloutBuffer& b, float* log_ratios) const {
    const auto kernel = bf16() ? judge_kernel<true> : judge_kernel<false>;
    emulate(tiles(b), static_cast<unsigned>(b.horizon), kActThreads, shared(),
            [&] { kernel(policy_, b, 0, log_ratios); });
  }

 private:
  std::size_t shared() const { return static_cast<std::size_t>(tile_floats(policy_)); }

  ChoiceElements elements_;
  std::vector<std::int32_t> choices_;
  std::vector<float> bounds_;
  decltype(ActingWeights::values) params_;
  ObservationNormalizer normalizer_;
  DevicePolicy policy_{};
};

}  // namespace rollmill::testing
