#include "envs/device_batch.h"

#include "core/base/error.h"
#include "core/device/cuda_module.h"
#include "envs/check_batch.h"
#include "envs/cuda_module.h"

namespace rollmill {

std::unique_ptr<EnvBatch> make_cuda_batch(const EnvEntry& entry, const BatchConfig& config,
                                          int device) {
  require_cuda(device);
  const auto make = reinterpret_cast<decltype(&rollmill_make_cuda_batch)>(
      load_cuda_symbol("rollmill_make_cuda_batch"));
  std::unique_ptr<EnvBatch> batch(make(entry.id, &config, device));
  if (!batch)
    fail_device(std::string(entry.id) + " was not compiled for CUDA; use device = \"cpu\"");
  return batch;
}

std::unique_ptr<EnvBatch> make_batch(const EnvEntry& entry, const BatchConfig& config,
                                     ThreadPool* pool, const DeviceChoice& device, int local_rank) {
  using Kind = DeviceChoice::Kind;
  if (device.kind == Kind::kCpu) return entry.make_cpu(config, pool);
  const int gpu = device.gpu(local_rank);
  std::unique_ptr<EnvBatch> cuda = make_cuda_batch(entry, config, gpu);
  if (device.kind == Kind::kCuda) return cuda;
  return std::make_unique<CheckBatch>(entry.make_cpu(config, pool), std::move(cuda),
                                      cuda_memory(gpu));
}

}  // namespace rollmill
