// A ReplayMachine on a GPU: launches, what the machine is made of, and its turns as CUDA graphs.
//
// A turn is the same sequence of kernels each time, on arrays that stay where they are: it is captured once and replayed, one graph
// for turns that only gather experience and one for those that learn. Where the world changes, and with it the arguments of the
// environments' kernel, and where a turn has very many launches, they are launched one by one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"
#include "envs/batch_layout.h"
#include "envs/cuda_module.h"
#include "rollout/mlp/policy_cuda.cuh"
#include "trainer/replay/device_off_policy.h"

namespace rollmill {

// launch() of a machine, into the stream that the environments use, too.
struct CudaLaunch {
  template <class... Parameters, class... Arguments>
  void operator()(const char* name, void (*kernel)(Parameters...), std::int64_t blocks, int threads,
                  std::size_t shared_floats, Arguments... arguments) const {
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads),
             shared_floats * sizeof(float), launch_stream>>>(static_cast<Parameters>(arguments)...);
    const cudaError_t code = cudaGetLastError();
    if (code != cudaSuccess)
      internal::cuda_failed(code, ("launch of " + std::string(name)).c_str(), __FILE__, __LINE__);
  }
};

// A base of the machine's owner, so that it is there first and goes last.
struct CudaParts {
  explicit CudaParts(const DeviceOffPolicyConfig& c) : device(c.device) {
    if (!c.weights->layout.actor.conv.empty())
      fail_usage(
          "replay buffers on a GPU are for networks without convolutions; leave "
          "policy.conv_channels out, or use env.device = \"cpu\"");
    batch.reset(rollmill_make_cuda_batch(c.env_id.c_str(), &c.batch, c.device));
    if (!batch) fail_device(c.env_id + " was not compiled for CUDA; use device = \"cpu\"");
    policy.emplace(batch->spec(), c.seed, /*greedy=*/false, /*frame_stack=*/1, c.device);
    policy->set_weights(*c.weights);  // refuses more layers, or wider ones, than kernels take
    const DeviceScope scope(device);
    RM_CUDA(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  }
  // Beyond 48 KB it must be asked for. (As much as there is: the setting is the kernel's, not its user's.)
  template <class Kernel>
  void allow_shared(Kernel* kernel) const {
    const DeviceScope scope(device);
    RM_CUDA(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  }
  std::size_t shared_floats() const {
    return static_cast<std::size_t>(shared_bytes) / sizeof(float);
  }

  int device, shared_bytes = 0;
  std::unique_ptr<EnvBatch> batch;
  std::optional<CudaPolicy> policy;  // for its tables and its tile
};

class TurnGraphs {
 public:
  TurnGraphs(const BatchConfig& batch, std::int64_t launches)
      : capturable_(!varies(batch) && launches <= kMostCaptured) {}

  // The first turn of each kind is launched kernel by kernel, so that all of them are loaded before a capture, and an error has a
  // name: on the default stream, which both graphs' one stream waits for and is waited for by.
  template <class LaunchTurn>
  void run(bool learns, LaunchTurn&& launch_turn) {
    const auto kind = static_cast<std::size_t>(learns);
    if (!capturable_ || turns_[kind]++ == 0) {
      launch_turn();
      return;
    }
    if (!graphs_[kind].recorded()) graphs_[kind].record(launch_turn);
    graphs_[kind].launch(graphs_[0].stream());
  }

 private:
  static constexpr std::int64_t kMostCaptured = 4096;  // launches of a turn
  bool capturable_;
  std::int64_t turns_[2] = {};
  CapturedGraph graphs_[2];  // without updates, with them
};

}  // namespace rollmill
