// Uploads of weights and launches of rollout/mlp/policy_kernels.cuh and judge_kernels.cuh.
#include "rollout/mlp/policy_cuda.cuh"

#include <algorithm>

#include "core/base/assert.h"
#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"
#include "rollout/mlp/acting_weights.h"
#include "rollout/mlp/judge_kernels.cuh"
#include "rollout/mlp/policy_kernels.cuh"

namespace rollmill {
namespace {

constexpr std::size_t kSharedBytes =
    48 * 1024;  // every GPU gives a block this much without being asked

}  // namespace

CudaPolicy::CudaPolicy(const EnvSpec& spec, std::uint64_t seed, bool greedy, int frame_stack,
                       int device, Products products)
    : device_(device) {
  policy_.products = products;
  policy_.seed = seed;
  policy_.greedy = greedy;
  policy_.frame_stack = frame_stack;
  policy_.observation_columns = spec.observed.columns;
  policy_.observations = frame_stack * spec.observed.elements;
  policy_.choice_columns = static_cast<int>(spec.choices.size());
  policy_.mask_columns = spec.mask_columns;
  policy_.reals = spec.real_actions();
  if (spec.mask_columns > kMaxDeviceMaskWords) {
    fail_usage(spec.id + " has more choices than the CUDA kernels mask (" +
               std::to_string(32 * kMaxDeviceMaskWords) + "); use device = \"cpu\"");
  }
  upload_tables(spec.observed, spec.choices);
  if (policy_.reals == 0) return;
  // middle, half range, low, high: rounded to float32 as MlpPolicy does.
  const auto n = static_cast<std::size_t>(policy_.reals);
  std::vector<float> bounds(4 * n);
  for (std::size_t a = 0; a < n; ++a) {
    const FieldSpec& f = spec.action[spec.choices.size() + a];
    bounds[a] = static_cast<float>(0.5 * (f.low + f.high));
    bounds[n + a] = static_cast<float>(0.5 * (f.high - f.low));
    bounds[2 * n + a] = static_cast<float>(f.low);
    bounds[3 * n + a] = static_cast<float>(f.high);
  }
  bounds_ = Buffer(*rollmill_cuda_memory(device), bounds.size() * sizeof(float));
  bounds_.copy_in(bounds.data(), bounds_.bytes());
  policy_.middle = bounds_.as<float>();
  policy_.half_range = policy_.middle + n;
  policy_.low = policy_.middle + 2 * n;
  policy_.high = policy_.middle + 3 * n;
}

CudaPolicy::CudaPolicy(const PolicyShape& shape, int device) : device_(device) {
  policy_.frame_stack = shape.frame_stack;
  policy_.observation_columns = shape.observed.columns;
  policy_.observations = shape.observations();
  policy_.choice_columns = static_cast<int>(shape.choices.size());
  policy_.reals = shape.reals;
  upload_tables(shape.observed, shape.choices);
}

// Sizes of the discrete actions, then which choice each element of a one-hot observation stands for.
void CudaPolicy::upload_tables(const ObservationSpec& o, const std::vector<int>& choices) {
  std::vector<std::int32_t> table(choices.begin(), choices.end());
  const ChoiceElements elements(o);
  table.insert(table.end(), elements.column_of.begin(), elements.column_of.end());
  table.insert(table.end(), elements.choice_of.begin(), elements.choice_of.end());
  policy_.unpack = {o.kind, o.elements, nullptr, nullptr};
  if (table.empty()) return;
  tables_ = Buffer(*rollmill_cuda_memory(device_), table.size() * sizeof(std::int32_t));
  tables_.copy_in(table.data(), tables_.bytes());
  policy_.choices = tables_.as<std::int32_t>();
  policy_.unpack.column_of = policy_.choices + choices.size();
  policy_.unpack.choice_of = policy_.unpack.column_of + elements.column_of.size();
}

// What follows from the layout alone.
void CudaPolicy::set_networks(const PolicyWeights& weights) {
  const MlpLayout& layout = weights.layout;
  RM_ASSERT(layout.shape.observations() == policy_.observations &&
            layout.shape.reals == policy_.reals);
  policy_.actor = device_net(layout.actor);
  policy_.critic = device_net(layout.critic);
  set_widths(policy_);
  policy_.memory_size = layout.shape.memory_size;
  policy_.activation = layout.shape.activation;
  policy_.trunk = layout.shape.trunk;
  policy_.distribution = layout.shape.distribution;
  policy_.outputs = layout.shape.outputs();
}

void CudaPolicy::set_weights(const PolicyWeights& weights) {
  Memory& memory = *rollmill_cuda_memory(device_);
  const MlpLayout& layout = weights.layout;
  set_networks(weights);
  const ActingWeights acting = acting_weights(layout, weights.params.data(), policy_.products);
  policy_.actor = acting.actor;
  policy_.critic = acting.critic;
  choose_tile();
  const std::size_t bytes = acting.values.size() * sizeof(float);
  if (params_.bytes() != bytes) params_ = Buffer(memory, bytes);
  params_.copy_in(acting.values.data(), bytes);
  policy_.params = params_.as<float>();
  policy_.log_std = layout.has_log_std() ? policy_.params + acting.log_std : nullptr;
  set_normalizer(weights);
}

// As many rows as fit, or, where the smallest tile does not, as much more shared memory as the GPU has.
void CudaPolicy::choose_tile() {
  const bool tensor = policy_.products == Products::kBf16Tensor;
  const bool remembers = policy_.memory_size > 0;
  const int least = tensor ? kTensorRows : kRowsPerThread;
  policy_.tile_rows = 32;
  while (policy_.tile_rows > least && shared_bytes() > kSharedBytes) policy_.tile_rows /= 2;
  if (shared_bytes() <= kSharedBytes) return;
  const DeviceScope scope(device_);
  int most = 0;
  RM_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device_));
  if (shared_bytes() > static_cast<std::size_t>(most)) {
    fail_usage("the policy is too wide for the CUDA kernels (it reads " +
               std::to_string(policy_.observations) + " numbers, its layers write up to " +
               std::to_string(std::max(policy_.a_width, policy_.b_width)) +
               "); use narrower layers, " + (remembers ? "a smaller memory, " : "") +
               (tensor ? "trainer.precision = \"float32\", " : "") +
               "fewer channels or frames, or device = \"cpu\"");
  }
  RM_CUDA(cudaFuncSetAttribute(bf16() ? act_kernel<true> : act_kernel<false>,
                               cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  RM_CUDA(cudaFuncSetAttribute(bf16() ? value_kernel<true> : value_kernel<false>,
                               cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  RM_CUDA(cudaFuncSetAttribute(bf16() ? judge_kernel<true> : judge_kernel<false>,
                               cudaFuncAttributeMaxDynamicSharedMemorySize, most));
}

void CudaPolicy::set_normalizer(const PolicyWeights& weights) {
  Memory& memory = *rollmill_cuda_memory(device_);
  policy_.shift = policy_.scale = nullptr;
  if (!weights.normalizer.enabled()) return;
  const std::size_t row = static_cast<std::size_t>(policy_.unpack.elements) * sizeof(float);
  if (normalizer_.bytes() != 2 * row) normalizer_ = Buffer(memory, 2 * row);
  normalizer_.copy_in(weights.normalizer.shift(), row);
  normalizer_.copy_in(weights.normalizer.scale(), row, row);
  policy_.shift = normalizer_.as<float>();
  policy_.scale = policy_.shift + policy_.unpack.elements;
  policy_.clip = weights.normalizer.clip();
}

std::size_t CudaPolicy::shared_bytes() const {
  return static_cast<std::size_t>(tile_floats(policy_)) * sizeof(float);
}

void CudaPolicy::act(const ActRequest& q) const {
  RM_ASSERT(policy_.params != nullptr);
  if (q.begin >= q.end) return;
  const DeviceScope scope(device_);
  const auto kernel = bf16() ? act_kernel<true> : act_kernel<false>;
  kernel<<<blocks_for(q.end - q.begin, policy_.tile_rows), kThreads, shared_bytes(),
           launch_stream>>>(policy_, q);
  RM_CUDA_LAUNCHED("act_kernel");
}

void CudaPolicy::value(const RolloutBuffer& b, int t, const std::uint32_t* steps) const {
  RM_ASSERT(policy_.params != nullptr);
  const DeviceScope scope(device_);
  const auto kernel = bf16() ? value_kernel<true> : value_kernel<false>;
  kernel<<<blocks_for(b.num_envs, policy_.tile_rows), kThreads, shared_bytes(), launch_stream>>>(
      policy_, b, t, false, steps);
  RM_CUDA_LAUNCHED("value_kernel");
}

template <class Launch>
void CudaPolicy::for_slots(const RolloutBuffer& b, int first, int last, Launch&& launch) const {
  constexpr int kMaxSlots = 65535;  // of a grid's second dimension
  RM_ASSERT(policy_.params != nullptr);
  const DeviceScope scope(device_);
  for (int t = first; t < last; t += kMaxSlots) {
    launch(t, dim3(blocks_for(b.num_envs, policy_.tile_rows),
                   static_cast<unsigned>(std::min(last - t, kMaxSlots))));
  }
}

void CudaPolicy::final_values(const RolloutBuffer& b, int first, int last) const {
  const auto kernel = bf16() ? value_kernel<true> : value_kernel<false>;
  for_slots(b, first, last, [&](int t, const dim3& grid) {
    kernel<<<grid, kThreads, shared_bytes(), launch_stream>>>(policy_, b, t, true, nullptr);
    RM_CUDA_LAUNCHED("value_kernel");
  });
}

void CudaPolicy::judge(const RolloutBuffer& b, float* log_ratios) const {
  RM_ASSERT(policy_.memory_size == 0);
  const auto kernel = bf16() ? judge_kernel<true> : judge_kernel<false>;
  for_slots(b, 0, b.horizon, [&](int t, const dim3& grid) {
    kernel<<<grid, kThreads, shared_bytes(), launch_stream>>>(policy_, b, t, log_ratios);
    RM_CUDA_LAUNCHED("judge_kernel");
  });
}

}  // namespace rollmill
