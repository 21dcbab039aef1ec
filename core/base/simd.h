// Vector helpers: sixteen float32 lanes, or eight, with exact fused multiply-add, for the policy kernels only (environment code is plain
// scalar text). fma(a, b, c) rounds once on every target, so the bits do not depend on the instruction set:
// without FMA hardware it falls back to the C library's fmaf, which is slow and right.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/base/macros.h"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#endif

namespace rollmill {

#if defined(__AVX512F__)
struct F16 {
  __m512 v;
};
inline F16 load16(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store16(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
inline F16 broadcast16(float a) { return {_mm512_set1_ps(a)}; }
inline F16 fma16(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F16 operator*(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F16 operator/(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
// x held in [low, high]; a NaN stays a NaN, as these instructions give their second operand where one is.
inline F16 clamp16(F16 x, float low, float high) {
  constexpr __mmask16 kAll = 0xFFFF;
  const __m512 bounded = _mm512_maskz_max_ps(kAll, _mm512_set1_ps(low), x.v);
  return {_mm512_maskz_min_ps(kAll, _mm512_set1_ps(high), bounded)};
}
// Rows and feature vectors that one register block of the kernels holds (24 accumulators of 32 registers).
inline constexpr int kBlockRows = 6;
inline constexpr int kBlockVectors = 4;
// Whether half a vector costs half as much: a head of few outputs is then computed as F8.
inline constexpr bool kHalfVectors = false;
#elif defined(__AVX2__) && defined(__FMA__)
struct F16 {
  __m256 a, b;
};
inline F16 load16(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store16(float* p, F16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline F16 broadcast16(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
inline F16 fma16(F16 a, F16 b, F16 c) {
  return {_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)};
}
inline F16 operator*(F16 x, F16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F16 operator/(F16 x, F16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F16 clamp16(F16 x, float low, float high) {
  const __m256 least = _mm256_set1_ps(low), most = _mm256_set1_ps(high);
  return {_mm256_min_ps(most, _mm256_max_ps(least, x.a)),
          _mm256_min_ps(most, _mm256_max_ps(least, x.b))};
}
inline constexpr int kBlockRows = 6;
inline constexpr int kBlockVectors = 1;
inline constexpr bool kHalfVectors = true;
#else
struct F16 {
  float v[16];
};
inline F16 load16(const float* p) {
  F16 r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
inline void store16(float* p, F16 a) { std::memcpy(p, a.v, sizeof a.v); }
inline F16 broadcast16(float a) {
  F16 r;
  for (float& x : r.v) x = a;
  return r;
}
inline F16 fma16(F16 a, F16 b, F16 c) {
  for (int i = 0; i < 16; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return c;
}
inline F16 operator*(F16 a, F16 b) {
  for (int i = 0; i < 16; ++i) a.v[i] *= b.v[i];
  return a;
}
inline F16 operator/(F16 a, F16 b) {
  for (int i = 0; i < 16; ++i) a.v[i] /= b.v[i];
  return a;
}
inline F16 clamp16(F16 x, float low, float high) {
  for (float& v : x.v) v = v < low ? low : v > high ? high : v;
  return x;
}
inline constexpr int kBlockRows = 4;
inline constexpr int kBlockVectors = 1;
inline constexpr bool kHalfVectors = true;
#endif

#if defined(__AVX2__) && defined(__FMA__)
struct F8 {
  __m256 v;
};
inline F8 load8(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store8(float* p, F8 x) { _mm256_storeu_ps(p, x.v); }
inline F8 broadcast8(float a) { return {_mm256_set1_ps(a)}; }
inline F8 fma8(F8 a, F8 b, F8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
#else
struct F8 {
  float v[8];
};
inline F8 load8(const float* p) {
  F8 r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
inline void store8(float* p, F8 a) { std::memcpy(p, a.v, sizeof a.v); }
inline F8 broadcast8(float a) {
  F8 r;
  for (float& x : r.v) x = a;
  return r;
}
inline F8 fma8(F8 a, F8 b, F8 c) {
  for (int i = 0; i < 8; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return c;
}
#endif

// Either by its type, for kernels that are written once.
template <class V>
struct Vector;
template <>
struct Vector<F16> {
  static constexpr int kLanes = 16;
  static F16 load(const float* p) { return load16(p); }
  static F16 broadcast(float a) { return broadcast16(a); }
};
template <>
struct Vector<F8> {
  static constexpr int kLanes = 8;
  static F8 load(const float* p) { return load8(p); }
  static F8 broadcast(float a) { return broadcast8(a); }
};
inline void store(float* p, F16 a) { store16(p, a); }
inline void store(float* p, F8 a) { store8(p, a); }
inline F16 fma(F16 a, F16 b, F16 c) { return fma16(a, b, c); }
inline F8 fma(F8 a, F8 b, F8 c) { return fma8(a, b, c); }

// Whether transpose16 costs little beside the multiply-adds that it saves.
#if defined(__AVX512F__)
inline constexpr bool kTransposes = true;
// to[c * to_row + r] = from[r * from_row + c], sixteen each way. (Forms with a zero mask: GCC 12 warns of the others.)
inline void transpose16(const float* from, std::int64_t from_row, float* to, int to_row) {
  constexpr __mmask16 kAll = 0xFFFF;
  const auto pairs = [](__m512 a, __m512 b, bool high) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_castpd_ps(high ? _mm512_maskz_unpackhi_pd(0xFF, x, y)
                                 : _mm512_maskz_unpacklo_pd(0xFF, x, y));
  };
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) a[r] = _mm512_loadu_ps(from + r * from_row);
    // In each quarter of four columns: two rows, four rows; then the quarters.
#pragma GCC unroll 16
  for (int r = 0; r < 16; r += 2) {
    b[r] = _mm512_maskz_unpacklo_ps(kAll, a[r], a[r + 1]);
    b[r + 1] = _mm512_maskz_unpackhi_ps(kAll, a[r], a[r + 1]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < 16; r += 4) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      a[r + 2 * h] = pairs(b[r + h], b[r + h + 2], false);
      a[r + 2 * h + 1] = pairs(b[r + h], b[r + h + 2], true);
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 low02 = _mm512_maskz_shuffle_f32x4(kAll, a[c], a[c + 4], 0x88);
    const __m512 low13 = _mm512_maskz_shuffle_f32x4(kAll, a[c], a[c + 4], 0xDD);
    const __m512 high02 = _mm512_maskz_shuffle_f32x4(kAll, a[c + 8], a[c + 12], 0x88);
    const __m512 high13 = _mm512_maskz_shuffle_f32x4(kAll, a[c + 8], a[c + 12], 0xDD);
    float* column = to + c * to_row;
    _mm512_storeu_ps(column, _mm512_maskz_shuffle_f32x4(kAll, low02, high02, 0x88));
    _mm512_storeu_ps(column + 4 * to_row, _mm512_maskz_shuffle_f32x4(kAll, low13, high13, 0x88));
    _mm512_storeu_ps(column + 8 * to_row, _mm512_maskz_shuffle_f32x4(kAll, low02, high02, 0xDD));
    _mm512_storeu_ps(column + 12 * to_row, _mm512_maskz_shuffle_f32x4(kAll, low13, high13, 0xDD));
  }
}
#else
inline constexpr bool kTransposes = false;
inline void transpose16(const float*, std::int64_t, float*, int) {}
#endif

// to[c * to_row + r] = from[r * from_row + c], eight each way.
inline void transpose8(const float* RM_RESTRICT from, std::int64_t from_row, float* RM_RESTRICT to,
                       std::int64_t to_row) {
#if defined(__AVX2__) && defined(__FMA__)
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) a[r] = _mm256_loadu_ps(from + r * from_row);
    // In each half of four columns: two rows, four rows; then the halves.
#pragma GCC unroll 4
  for (int r = 0; r < 8; r += 2) {
    b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
    b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
  }
#pragma GCC unroll 2
  for (int r = 0; r < 8; r += 4) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      a[r + 2 * h] = _mm256_shuffle_ps(b[r + h], b[r + h + 2], 0x44);
      a[r + 2 * h + 1] = _mm256_shuffle_ps(b[r + h], b[r + h + 2], 0xEE);
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * to_row, _mm256_permute2f128_ps(a[c], a[c + 4], 0x20));
    _mm256_storeu_ps(to + (c + 4) * to_row, _mm256_permute2f128_ps(a[c], a[c + 4], 0x31));
  }
#else
  for (int c = 0; c < 8; ++c) {
    for (int r = 0; r < 8; ++r) to[c * to_row + r] = from[r * from_row + c];
  }
#endif
}

// list[0..return) = the j in [0, n) whose code is not zero, ascending. list has room for n + 16 entries, codes for n
// rounded up to 16 (what lies beyond n is not looked at).
inline int compact_nonzero(const std::uint32_t* codes, int n, std::int32_t* list) {
  int count = 0;
#if defined(__AVX512F__)
  __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int j = 0; j < n; j += 16) {
    const __m512i code = _mm512_loadu_si512(codes + j);
    const auto valid = static_cast<__mmask16>(n - j >= 16 ? 0xFFFF : (1u << (n - j)) - 1u);
    const __mmask16 found = _mm512_mask_test_epi32_mask(valid, code, code);
    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(found, index));
    count += __builtin_popcount(found);
    index = _mm512_add_epi32(index, _mm512_set1_epi32(16));
  }
#else
  for (int j = 0; j < n; ++j) {
    list[count] = j;
    count += codes[j] != 0 ? 1 : 0;
  }
#endif
  return count;
}

}  // namespace rollmill
