// The host's side of rollout/fused_rollout.cuh.
#pragma once

#include "core/device/cuda_check.cuh"
#include "envs/batch_cuda.cuh"
#include "rollout/fused_rollout.cuh"
#include "rollout/fused_rollout.h"

namespace rollmill {

template <class Env, bool kVaried, bool kBf16>
bool launch_fused(CudaBatch<Env>& batch, const DevicePolicy& p, const RolloutBuffer& b,
                  std::int64_t parameters, int device) {
  const DeviceScope scope(device);
  const auto bytes_of = [](std::int64_t floats) {
    return static_cast<std::size_t>(floats) * sizeof(float);
  };
  int most = 0;
  RM_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  constexpr std::size_t kReserved = 1024;  // of each block, by CUDA
  const auto limit = static_cast<std::size_t>(most);
  if (bytes_of(rollout_floats(p, 0)) > limit) return false;
  // Two blocks a multiprocessor: while one steps with a warp, the other multiplies with all of its own.
  const bool kept = bytes_of(rollout_floats(p, 0) + parameters) <= (limit - kReserved) / 2;
  const int shared_params = kept ? static_cast<int>(parameters) : 0;
  const auto kernel = rollout_kernel<Env, kVaried, kBf16>;
  RM_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  kernel<<<blocks_for(b.num_envs, p.tile_rows), kRolloutThreads,
           bytes_of(rollout_floats(p, shared_params)), launch_stream>>>(
      p, b, batch.columns(), batch.constants(), batch.params(), shared_params);
  RM_CUDA_LAUNCHED("rollout_kernel");
  return true;
}

template <class Env>
bool fused_rollout(EnvBatch& any, const DevicePolicy& p, const RolloutBuffer& b,
                   std::int64_t parameters, int device) {
  auto& batch = static_cast<CudaBatch<Env>&>(any);
  const bool bf16 = p.products != Products::kFloat32;
  const auto launch = batch.varied()
                          ? (bf16 ? launch_fused<Env, true, true> : launch_fused<Env, true, false>)
                      : bf16 ? launch_fused<Env, false, true>
                             : launch_fused<Env, false, false>;
  return launch(batch, p, b, parameters, device);
}

}  // namespace rollmill
