#include "rollout/device_collector.h"

#include "core/device/cuda_module.h"
#include "core/device/device.h"

namespace rollmill {

std::unique_ptr<DeviceCollector> make_device_collector(const DeviceCollectorConfig& config) {
  require_cuda(config.device);
  const auto make = reinterpret_cast<decltype(&rollmill_make_device_collector)>(
      load_cuda_symbol("rollmill_make_device_collector"));
  return std::unique_ptr<DeviceCollector>(make(&config));
}

}  // namespace rollmill
