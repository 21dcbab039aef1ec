// Which device a job asks for: device = "cpu" | "cuda" | "cuda:N" | "check".
#pragma once

#include <string>

namespace rollmill {

struct DeviceChoice {
  enum class Kind { kCpu, kCuda, kCheck };
  Kind kind = Kind::kCpu;
  int index = -1;  // of the GPU; -1: not said, the process's local rank (cuda, check) or none (cpu)

  // The GPU to use on a process of this local rank.
  int gpu(int local_rank) const { return index >= 0 ? index : local_rank; }
  std::string text() const;
};

// Throws a usage error that names `where` (for example "config.toml:3: env.device") and what is
// allowed.
DeviceChoice parse_device(const std::string& text, const std::string& where);

// Number of GPUs of this machine. Throws Error(kDevice) with the driver's reason and the way out
// when CUDA cannot be used.
int cuda_device_count();

// Throws Error(kDevice) unless GPU `index` can be used.
void require_cuda(int index);

}  // namespace rollmill
