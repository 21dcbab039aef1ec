// A batch on the device that the user asked for.
#pragma once

#include <memory>

#include "core/device/device.h"
#include "envs/registry.h"

namespace rollmill {

// On GPU `device`; opens the CUDA module. Throws Error(kDevice) where there is none, or when the
// module lacks the environment.
std::unique_ptr<EnvBatch> make_cuda_batch(const EnvEntry& entry, const BatchConfig& config,
                                          int device);

// "cpu": the CPU runtime; "cuda": the CUDA one; "check": both in lock step (envs/check_batch.h).
// `pool` as in EnvEntry::make_cpu; local_rank picks the GPU when the choice does not name one.
std::unique_ptr<EnvBatch> make_batch(const EnvEntry& entry, const BatchConfig& config,
                                     ThreadPool* pool, const DeviceChoice& device, int local_rank);

}  // namespace rollmill
