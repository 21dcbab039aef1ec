// Checked calls of the CUDA runtime, and launches of one thread per element.
//
// Work goes to the default stream of the current device, which is torch's, too, or to a blocking
// stream, which waits for it and is waited for: the order of the program is the order on the device,
// and a copy to the host waits for what came before it.
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <string>

#include "core/base/error.h"

namespace rollmill::internal {

// Out of line, so that a checked call is a compare and a branch.
[[noreturn]] inline void cuda_failed(cudaError_t code, const char* call, const char* file,
                                     int line) {
  cudaGetLastError();  // reported here: a later launch must not report it again
  // The file's name without its folder: the message is for users of a binary built elsewhere.
  const char* slash = std::strrchr(file, '/');
  const std::string hint =
      code == cudaErrorMemoryAllocation ? "; use fewer environments or a shorter horizon" : "";
  fail_device(std::string(call) + " at " + (slash != nullptr ? slash + 1 : file) + ":" +
              std::to_string(line) + " says " + cudaGetErrorName(code) + ": " +
              cudaGetErrorString(code) + hint);
}

}  // namespace rollmill::internal

// The call's text, file and line are part of the error.
#define RM_CUDA(call)                                                             \
  do {                                                                            \
    const cudaError_t rm_cuda_code = (call);                                      \
    if (rm_cuda_code != cudaSuccess) [[unlikely]]                                 \
      ::rollmill::internal::cuda_failed(rm_cuda_code, #call, __FILE__, __LINE__); \
  } while (false)

// After a kernel launch: its configuration was valid. What the kernel itself does wrong shows at
// the next copy.
#define RM_CUDA_LAUNCHED(kernel)                                                                \
  do {                                                                                          \
    const cudaError_t rm_cuda_code = cudaGetLastError();                                        \
    if (rm_cuda_code != cudaSuccess) [[unlikely]]                                               \
      ::rollmill::internal::cuda_failed(rm_cuda_code, "launch of " kernel, __FILE__, __LINE__); \
  } while (false)

namespace rollmill {

// Selects a device for this thread. A process uses one GPU, so it is not put back: since CUDA 12 setting device 0 again
// would make a context there, some hundred MB of every rank on GPU 0.
class DeviceScope {
 public:
  explicit DeviceScope(int device) { RM_CUDA(cudaSetDevice(device)); }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
};

inline constexpr int kThreads = 256;
constexpr unsigned blocks_for(long long n, int threads = kThreads) {
  return static_cast<unsigned>((n + threads - 1) / threads);
}

}  // namespace rollmill
