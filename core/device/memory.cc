#include "core/device/memory.h"

#include <cstring>
#include <new>

#include "core/base/error.h"
#include "core/base/macros.h"

namespace rollmill {
namespace {

class HostMemory final : public Memory {
 public:
  bool on_device() const override { return false; }
  void* allocate(std::size_t bytes) override {
    void* memory = ::operator new (bytes, std::align_val_t{kColumnAlignment}, std::nothrow);
    if (memory == nullptr)
      fail_device("out of host memory for " + std::to_string(bytes) +
                  " bytes; use fewer environments");
    std::memset(memory, 0, bytes);
    return memory;
  }
  void release(void* memory) noexcept override {
    ::operator delete (memory, std::align_val_t{kColumnAlignment});
  }
  void copy_in(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy_out(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
};

}  // namespace

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

}  // namespace rollmill
