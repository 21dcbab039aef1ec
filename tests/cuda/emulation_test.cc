// What the emulation of a block is for: kernels whose barriers are wrong.
// clang-format off
#include "tests/cuda/emulation.h"
// clang-format on

#include <gtest/gtest.h>

namespace rollmill {
namespace {

#if !defined(__SANITIZE_THREAD__)

// After `barriers` of them thread `writer` writes what `reader` reads without one between: over some blocks, how often it is there
// already.
int reads_in_order(unsigned writer, unsigned reader, int barriers, int blocks) {
  int in_order = 0;
  emulate(static_cast<unsigned>(blocks), 1, 96, 1, [&] {
    for (int k = 0; k < barriers; ++k) __syncthreads();
    if (threadIdx.x == writer) shared_memory()[0] = 1.0f;
    if (threadIdx.x == reader && shared_memory()[0] == 1.0f) ++in_order;
  });
  return in_order;
}

TEST(Emulation, WhoReadsBeforeAMissingBarrierIsTooEarlyInSomeBlocks) {
  for (const int barriers : {0, 1, 2, 5}) {
    for (const unsigned writer : {0u, 1u, 31u, 95u}) {
      for (const unsigned reader : {0u, 2u, 64u, 94u}) {
        if (reader == writer) continue;
        const int in_order = reads_in_order(writer, reader, barriers, 8);
        EXPECT_GT(in_order, 0) << writer << " before " << reader << " after " << barriers;
        EXPECT_LT(in_order, 8) << writer << " before " << reader << " after " << barriers;
      }
    }
  }
}

TEST(Emulation, WritesAreSeenAfterABarrier) {
  int seen = 0;
  emulate(4, 1, 96, 1, [&] {
    if (threadIdx.x == 95) return;  // holds up nobody
    if (threadIdx.x == 7) shared_memory()[0] = 1.0f;
    __syncthreads();
    seen += shared_memory()[0] == 1.0f ? 1 : 0;
  });
  EXPECT_EQ(seen, 4 * 95);
}

TEST(EmulationDeathTest, BarriersInABranchEndTheTest) {
  const auto in_a_branch = [] {
    if (threadIdx.x < 32) __syncthreads();
    __syncthreads();
  };
  EXPECT_DEATH(emulate(1, 1, 64, 0, in_a_branch), "barriers of a block meet: .*emulation_test");
  const auto of_some_of_a_warp = [] {
    if (threadIdx.x < 8) __syncwarp();
    __syncthreads();
  };
  EXPECT_DEATH(emulate(1, 1, 64, 0, of_some_of_a_warp), "reached by only some of the threads");
}

#endif

}  // namespace
}  // namespace rollmill
