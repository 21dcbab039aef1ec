// One allocation in some Memory, with one move-only owner.
#pragma once

#include <cstddef>
#include <utility>

#include "core/device/memory.h"

namespace rollmill {

class Buffer {
 public:
  Buffer() = default;
  Buffer(Memory& memory, std::size_t bytes)
      : memory_(&memory), data_(memory.allocate(bytes)), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr) memory_->release(data_);
  }

  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }
  Memory& memory() const { return *memory_; }
  void copy_in(const void* from_host, std::size_t bytes, std::size_t offset = 0) {
    memory_->copy_in(as<std::byte>() + offset, from_host, bytes);
  }
  void copy_out(void* to_host, std::size_t bytes, std::size_t offset = 0) const {
    memory_->copy_out(to_host, as<std::byte>() + offset, bytes);
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  Memory* memory_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace rollmill
