// Runs the text of CUDA kernels on host threads: one thread for each of a block's, blocks one after
// the other, barriers as barriers. It shows that indexing, synchronisation and arithmetic are right
// (and, under the thread sanitizer, free of races inside a block); what nvcc makes of the text is
// checked in its PTX (tools/check_ptx.py).
#pragma once

#include <atomic>
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>

#define RM_EMULATED_KERNELS
#define __device__
#define RM_KERNEL static

struct EmulatedIndex {
  unsigned x = 0, y = 0, z = 0;
};
inline thread_local EmulatedIndex threadIdx;
inline EmulatedIndex blockIdx, blockDim;

namespace rollmill {

struct EmulatedBlock {
  explicit EmulatedBlock(int threads, std::size_t shared_floats)
      : meet(threads), shared(shared_floats, kPoison) {}
  static constexpr float kPoison =
      __builtin_nanf("");  // shared memory holds nothing useful at the start
  std::barrier<> meet;
  std::vector<float> shared;
  std::atomic<int> any{0};
};
inline EmulatedBlock* emulated_block = nullptr;

inline float* shared_memory() { return emulated_block->shared.data(); }

// Launches kernel(arguments...) over blocks_x * blocks_y blocks.
template <class Kernel>
void emulate(unsigned blocks_x, unsigned blocks_y, int threads, std::size_t shared_floats,
             Kernel&& kernel) {
  blockDim = {static_cast<unsigned>(threads), 1, 1};
  for (unsigned y = 0; y < blocks_y; ++y) {
    for (unsigned x = 0; x < blocks_x; ++x) {
      EmulatedBlock block(threads, shared_floats);
      emulated_block = &block;
      blockIdx = {x, y, 0};
      std::vector<std::thread> workers;
      for (int t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
          threadIdx = {static_cast<unsigned>(t), 0, 0};
          kernel();
          block.meet.arrive_and_drop();  // a thread that returned early holds up nobody
        });
      }
      for (std::thread& w : workers) w.join();
    }
  }
}

}  // namespace rollmill

inline void __syncthreads() { rollmill::emulated_block->meet.arrive_and_wait(); }
inline int __syncthreads_or(int predicate) {
  auto& block = *rollmill::emulated_block;
  if (predicate != 0) block.any = 1;
  block.meet.arrive_and_wait();
  const int any = block.any;
  block.meet.arrive_and_wait();
  block.any = 0;
  block.meet.arrive_and_wait();
  return any;
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
