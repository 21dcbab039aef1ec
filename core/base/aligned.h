// Host memory for columns: aligned to a cache line, zero-initialised once, never resized inside a loop.
#pragma once

#include <cstdint>
#include <new>
#include <vector>

#include "core/base/macros.h"

namespace rollmill {

template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{kColumnAlignment}));
  }
  void deallocate(T* p, std::size_t) { ::operator delete (p, std::align_val_t{kColumnAlignment}); }
  bool operator==(const AlignedAllocator&) const { return true; }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

// Elements of a column of n 4-byte values, rounded up to an odd number of whole cache lines. Odd, so that neighbouring columns
// never start a power of two apart: they would share a few sets of the first-level cache and evict one another (a state of 50
// columns in 65,536 environments stepped five times slower).
constexpr std::int64_t padded_columns(std::int64_t n) {
  constexpr std::int64_t lanes = kColumnAlignment / 4;
  return ((n + lanes - 1) / lanes | 1) * lanes;
}

}  // namespace rollmill
