// Memory of the GPUs and the module's entry points of core/device/cuda_module.h.
#include <map>
#include <memory>
#include <mutex>

#include "core/device/cuda_check.cuh"
#include "core/device/cuda_module.h"

namespace rollmill {
namespace {

class CudaMemory final : public Memory {
 public:
  explicit CudaMemory(int device) : device_(device) { const DeviceScope scope(device_); }

  bool on_device() const override { return true; }
  void* allocate(std::size_t bytes) override {
    const DeviceScope scope(device_);
    void* memory = nullptr;
    RM_CUDA(cudaMalloc(&memory, bytes == 0 ? 1 : bytes));
    const cudaError_t code = cudaMemset(memory, 0, bytes);
    if (code != cudaSuccess) {
      cudaFree(memory);
      internal::cuda_failed(code, "cudaMemset(memory, 0, bytes)", __FILE__, __LINE__);
    }
    return memory;
  }
  void release(void* memory) noexcept override {
    // Waits for the work that uses it. An error here has no one to go to, and must not look like a later launch's.
    if (cudaSetDevice(device_) != cudaSuccess || cudaFree(memory) != cudaSuccess) cudaGetLastError();
  }
  void copy_in(void* to, const void* from, std::size_t bytes) override {
    const DeviceScope scope(device_);
    RM_CUDA(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    // From pageable memory the call may return before the last part has arrived.
    RM_CUDA(cudaStreamSynchronize(nullptr));
  }
  void copy_out(void* to, const void* from, std::size_t bytes) override {
    const DeviceScope scope(device_);
    RM_CUDA(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
  }

 private:
  int device_;
};

}  // namespace
}  // namespace rollmill

extern "C" int rollmill_cuda_module_version() { return rollmill::kCudaModuleVersion; }

extern "C" int rollmill_cuda_device_count(const char** reason) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) {
    *reason = cudaGetErrorString(code);
    cudaGetLastError();  // forget it: not ours to report again at the next call
    return 0;
  }
  if (count == 0) *reason = "0 devices";
  return count;
}

extern "C" rollmill::Memory* rollmill_cuda_memory(int index) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<rollmill::CudaMemory>> memories;
  const std::lock_guard lock(mutex);
  auto& memory = memories[index];
  if (!memory) memory = std::make_unique<rollmill::CudaMemory>(index);
  return memory.get();
}
