// Compiler and target macros. Everything that both g++ and nvcc must compile goes through RM_HD.
#pragma once

#if defined(__CUDACC__)
#define RM_HD __host__ __device__ __forceinline__
#else
#define RM_HD inline __attribute__((always_inline))
#endif

// A plain host/device function that need not be inlined (large bodies).
#if defined(__CUDACC__)
#define RM_HD_NOINLINE inline __host__ __device__
#else
#define RM_HD_NOINLINE inline
#endif

#define RM_RESTRICT __restrict__

namespace rollmill {

// Column storage is aligned and padded to this many bytes: one cache line, one AVX-512 register.
inline constexpr int kColumnAlignment = 64;

}  // namespace rollmill
