// Runs the text of CUDA kernels on the host: a fiber for each of a block's threads (tests/cuda/fibers.h), blocks one after the other,
// barriers as barriers. It shows that indexing, synchronisation and arithmetic are right; under the thread sanitizer, where
// each thread is one, that they are free of races inside a block. What nvcc makes of the text is checked in its PTX
// (tools/check_ptx.py).
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <source_location>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#include <barrier>
#include <thread>
#else
#include "tests/cuda/fibers.h"
#endif
#include "rollout/mlp/bf16_format.h"

#define RM_EMULATED_KERNELS
#define __device__
#define RM_KERNEL static
#define RM_LAUNCH_BOUNDS(threads)
#define RM_ONE_BLOCK(threads)
#define RM_GRID_CONSTANT const
#define RM_COMPILE_ONCE

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  std::uint32_t x, y;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};

struct EmulatedIndex {
  unsigned x = 0, y = 0, z = 0;
};
inline thread_local EmulatedIndex threadIdx;
inline EmulatedIndex blockIdx, blockDim;

namespace rollmill {

#if defined(__SANITIZE_THREAD__)
struct EmulatedBarrier : std::barrier<> {
  explicit EmulatedBarrier(int count, bool = false) : std::barrier<>(count) {}
  void arrive_and_wait(std::source_location = {}) { std::barrier<>::arrive_and_wait(); }
};
#else
using EmulatedBarrier = FiberBarrier;
#endif

// What the lanes of a warp show each other. Twice: a lane that is ahead by one meeting writes where nobody reads any more.
struct EmulatedWarp {
  struct Registers {
    std::uint32_t a[4], b[2];
  };
  explicit EmulatedWarp(int lanes) : meet(lanes) {}
  EmulatedBarrier meet;
  Registers shown[2][32];
  unsigned meetings[32] = {};  // of each lane
};

struct EmulatedBlock {
  EmulatedBlock(int threads, std::size_t shared_floats)
      : meet(threads, /*of_block=*/true), shared(shared_floats, kPoison) {
    for (int first = 0; first < threads; first += 32)
      warps.push_back(std::make_unique<EmulatedWarp>(std::min(threads - first, 32)));
  }
  static constexpr float kPoison =
      __builtin_nanf("");  // shared memory holds nothing useful at the start
  EmulatedBarrier meet;
  std::vector<float> shared;
  std::vector<std::unique_ptr<EmulatedWarp>> warps;
  std::atomic<int> any{0};
};
inline EmulatedBlock* emulated_block = nullptr;

inline float* shared_memory() { return emulated_block->shared.data(); }

// Launches kernel(arguments...) over blocks_x * blocks_y blocks.
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
  const auto become = [](int thread) { threadIdx = {static_cast<unsigned>(thread), 0, 0}; };
  const auto run = [&] {
    kernel();
    block->meet.arrive_and_drop();  // a thread that returned early holds up nobody
  };
#if defined(__SANITIZE_THREAD__)
  // The threads go through the blocks together: to start one costs more than a block, a hundred times more here.
  std::barrier between_blocks(threads, begin_block);
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      become(t);
      for (unsigned b = 0; b < blocks; ++b) {
        between_blocks.arrive_and_wait();
        run();
      }
    });
  }
#else
  for (unsigned b = 0; b < blocks; ++b) {
    begin_block();
    Fibers::mine().run(threads, become, run);
  }
#endif
}

}  // namespace rollmill

inline void __syncthreads(std::source_location at = std::source_location::current()) {
  rollmill::emulated_block->meet.arrive_and_wait(at);
}
inline int __syncthreads_or(int predicate,
                            std::source_location at = std::source_location::current()) {
  auto& block = *rollmill::emulated_block;
  if (predicate != 0) block.any = 1;
  block.meet.arrive_and_wait(at);
  const int any = block.any;
  block.meet.arrive_and_wait(at);
  block.any = 0;
  block.meet.arrive_and_wait(at);
  return any;
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline void __syncwarp() {
  rollmill::emulated_block->warps[threadIdx.x / 32]->meet.arrive_and_wait();
}

// core/device/instructions.cuh.
namespace rollmill {

inline float flush_tiny(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
inline float fma_flushed(float a, float b, float c) {
  return flush_tiny(std::fma(flush_tiny(a), flush_tiny(b), flush_tiny(c)));
}
inline std::uint32_t round_pair(float low, float high) { return bf16_pair(low, high); }

// From what each lane has in its registers, by the places that the PTX ISA gives them; products are added in ascending order.
inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  EmulatedWarp& warp = *emulated_block->warps[threadIdx.x / 32];
  const unsigned lane = threadIdx.x % 32;
  auto& shown = warp.shown[warp.meetings[lane]++ % 2];
  shown[lane] = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  warp.meet.arrive_and_wait();
  const auto half = [](std::uint32_t word, unsigned k) {
    return k % 2 == 0 ? low_bf16(word) : high_bf16(word);
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    float sum = 0.0f;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned of_row = row % 8 * 4 + k % 8 / 2, of_column = column * 4 + k % 8 / 2;
      sum += half(shown[of_row].a[row / 8 + k / 8 * 2], k) * half(shown[of_column].b[k / 8], k);
    }
    d[i] += sum;
  }
}

}  // namespace rollmill
