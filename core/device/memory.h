// Where arrays live: host memory or one GPU's. Code above this folder allocates and copies through
// it, and so runs, and is tested, with host memory where there is no GPU.
#pragma once

#include <cstddef>

namespace rollmill {

class Memory {
 public:
  virtual ~Memory() = default;
  virtual bool on_device() const = 0;
  // Zeroed, aligned to at least 64 bytes; throws Error(kDevice) when there is not enough.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  // Both wait until the bytes have arrived.
  virtual void copy_in(void* to, const void* from_host, std::size_t bytes) = 0;
  virtual void copy_out(void* to_host, const void* from, std::size_t bytes) = 0;
};

Memory& host_memory();
// Memory of GPU `index`; opens the CUDA module. Throws Error(kDevice) where there is no such GPU.
Memory& cuda_memory(int index);

}  // namespace rollmill
