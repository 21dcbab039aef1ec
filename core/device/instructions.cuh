// Instructions of a GPU (sm_80 and later) that C++ has no words for. Their names in C++ for host threads: tests/cuda/emulation.h.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)

namespace rollmill {

// a * b + c, rounded once. What is below the smallest normal number is 0 with its sign, going in and coming out.
__device__ inline float fma_flushed(float a, float b, float c) {
  float d;
  asm("fma.rn.ftz.f32 %0, %1, %2, %3;" : "=f"(d) : "f"(a), "f"(b), "f"(c));
  return d;
}

// bf16_pair of rollout/mlp/bf16_format.h in three instructions: the conversion would keep what is below the smallest normal number,
// which a product with one does not.
__device__ inline std::uint32_t round_pair(float low, float high) {
  std::uint32_t pair;
  asm("{\n\t"
      ".reg .f32 low, high;\n\t"
      "mul.rn.ftz.f32 low, %1, 0f3F800000;\n\t"
      "mul.rn.ftz.f32 high, %2, 0f3F800000;\n\t"
      "cvt.rn.bf16x2.f32 %0, high, low;\n\t"
      "}"
      : "=r"(pair)
      : "f"(low), "f"(high));
  return pair;
}

// d [16][8] += a [16][16] b [16][8] by a warp, a and b of bfloat16 pairs, d float32. Lane 4 g + t has (PTX ISA, "Matrix fragments for
// mma.m16n8k16 with floating point type"):
//   a   rows g, g + 8, g, g + 8; numbers 2 t and 2 t + 1 of the row, in the last two registers those 8 further on
//   b   column g; numbers 2 t and 2 t + 1 of the column, then those 8 further on
//   d   row g columns 2 t and 2 t + 1, then row g + 8
// All lanes must be there. The order in which the 16 products are added is the hardware's.
__device__ inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace rollmill

#endif
