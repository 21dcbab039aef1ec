#include "rollout/device_rollout_pair.h"

#include "core/device/cuda_module.h"
#include "core/device/device.h"

namespace rollmill {

std::unique_ptr<RolloutPair> make_device_rollout_pair(const DeviceCollectorConfig& config) {
  require_cuda(config.device);
  const auto make = reinterpret_cast<decltype(&rollmill_make_device_rollout_pair)>(
      load_cuda_symbol("rollmill_make_device_rollout_pair"));
  return std::unique_ptr<RolloutPair>(make(&config));
}

}  // namespace rollmill
