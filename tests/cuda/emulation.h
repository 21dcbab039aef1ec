// Runs the text of CUDA kernels on host threads: one thread for each of a block's, blocks one after
// the other, barriers as barriers. It shows that indexing, synchronisation and arithmetic are right
// (and, under the thread sanitizer, free of races inside a block); what nvcc makes of the text is
// checked in its PTX (tools/check_ptx.py).
#pragma once

#include <atomic>
#include <barrier>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#define RM_EMULATED_KERNELS
#define __device__
#define RM_KERNEL static
#define RM_LAUNCH_BOUNDS(threads)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

struct EmulatedIndex {
  unsigned x = 0, y = 0, z = 0;
};
inline thread_local EmulatedIndex threadIdx;
inline EmulatedIndex blockIdx, blockDim;

namespace rollmill {

struct EmulatedBlock {
  EmulatedBlock(int threads, std::size_t shared_floats)
      : meet(threads), shared(shared_floats, kPoison) {}
  static constexpr float kPoison =
      __builtin_nanf("");  // shared memory holds nothing useful at the start
  std::barrier<> meet;
  std::vector<float> shared;
  std::atomic<int> any{0};
};
inline EmulatedBlock* emulated_block = nullptr;

inline float* shared_memory() { return emulated_block->shared.data(); }

// Launches kernel(arguments...) over blocks_x * blocks_y blocks. The threads of a launch go through
// its blocks together: to start a thread costs more than a block, under the thread sanitizer a
// hundred times more.
template <class Kernel>
void emulate(unsigned blocks_x, unsigned blocks_y, int threads, std::size_t shared_floats,
             Kernel&& kernel) {
  blockDim = {static_cast<unsigned>(threads), 1, 1};
  const unsigned blocks = blocks_x * blocks_y;
  unsigned next = 0;
  std::unique_ptr<EmulatedBlock> block;
  const auto begin_block = [&]() noexcept {
    if (next == blocks) return;
    block = std::make_unique<EmulatedBlock>(threads, shared_floats);
    emulated_block = block.get();
    blockIdx = {next % blocks_x, next / blocks_x, 0};
    ++next;
  };
  std::barrier between_blocks(threads, begin_block);
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      threadIdx = {static_cast<unsigned>(t), 0, 0};
      for (unsigned b = 0; b < blocks; ++b) {
        between_blocks.arrive_and_wait();
        kernel();
        block->meet.arrive_and_drop();  // a thread that returned early holds up nobody
      }
    });
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
