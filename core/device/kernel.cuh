// What a kernel's text needs beside CUDA's own words. Kernels live in *_kernels.cuh, apart from
// their launches, so that tests can run the very text on host threads (tests/cuda/emulation.h)
// where there is no GPU.
#pragma once

#if defined(__CUDACC__)

// Internal linkage: a kernel is launched from the file that includes it, and from nowhere else.
#define RM_KERNEL static __global__
// At most so many threads a block: the compiler then keeps to the registers that so many can have.
// Two blocks a multiprocessor, or ptxas may spill registers for the sake of a third.
#define RM_LAUNCH_BOUNDS(threads) __launch_bounds__(threads, 2)
// One block a multiprocessor, whose shared memory has no room for two: more registers a thread.
#define RM_ONE_BLOCK(threads) __launch_bounds__(threads, 1)
// A kernel's parameter that it only reads: references to it need no copy in each thread's local memory.
#define RM_GRID_CONSTANT const __grid_constant__
// Before a loop whose body is large: it is compiled once, whatever is known of how often it runs.
#define RM_COMPILE_ONCE _Pragma("unroll 1")

namespace rollmill {

// The block's dynamic shared memory.
__device__ inline float* shared_memory() {
  extern __shared__ __align__(16) float memory[];
  return memory;
}

}  // namespace rollmill

#elif !defined(RM_EMULATED_KERNELS)
#error "kernels are for nvcc, or for tests/cuda/emulation.h"
#endif
