// Bits, rounding, selection and square root of float32, the same on every target.
//
// Convention of core/math: each function is branch-free (both sides are computed, then selected),
// so a loop that calls it becomes SIMD code; it uses only + - * / sqrt, comparisons and integer
// operations, which IEEE 754 rounds in one way. Compile with -ffp-contract=off (nvcc:
// --fmad=false), and with -fno-math-errno -fno-trapping-math for speed; none of the latter two
// changes a bit. Which NaN comes out (sign, payload) is the one thing that is not the same
// everywhere. Subnormals are kept; the modes that flush them (FTZ, DAZ, -ftz=true) must stay off.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill::math {

inline constexpr float kPi = 3.14159274101257324f;
inline constexpr float kTwoPi = 6.28318548202514648f;
inline constexpr float kHalfPi = 1.57079637050628662f;
inline constexpr float kInfinity = __builtin_huge_valf();
inline constexpr float kNan = __builtin_nanf("");

RM_HD std::uint32_t to_bits(float x) { return __builtin_bit_cast(std::uint32_t, x); }
RM_HD float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

RM_HD bool is_nan(float x) { return x != x; }
RM_HD bool is_finite(float x) { return (to_bits(x) & 0x7fffffffu) < 0x7f800000u; }
RM_HD bool sign_bit(float x) { return (to_bits(x) >> 31) != 0u; }

RM_HD float abs(float x) { return from_bits(to_bits(x) & 0x7fffffffu); }

// The size of `magnitude` with the sign bit of `sign`.
RM_HD float copy_sign(float magnitude, float sign) {
  return from_bits((to_bits(magnitude) & 0x7fffffffu) | (to_bits(sign) & 0x80000000u));
}

// Equal arguments (so also -0 and +0) and a NaN on either side give `a`.
RM_HD float min(float a, float b) { return b < a ? b : a; }
RM_HD float max(float a, float b) { return b > a ? b : a; }

// x held in [low, high]; a NaN stays a NaN.
RM_HD float clamp(float x, float low, float high) { return min(max(x, low), high); }

RM_HD std::int32_t min(std::int32_t a, std::int32_t b) { return b < a ? b : a; }
RM_HD std::int32_t max(std::int32_t a, std::int32_t b) { return b > a ? b : a; }
RM_HD std::int32_t clamp(std::int32_t x, std::int32_t low, std::int32_t high) {
  return min(max(x, low), high);
}

// Correctly rounded; sqrt(-0) = -0, NaN below zero.
RM_HD float sqrt(float x) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(x);
#else
  return __builtin_sqrtf(x);
#endif
}

// Nearest whole number, ties to even, keeping the sign of zero (C's nearbyintf). Exact.
RM_HD float round_to_even(float x) {
  constexpr float kNoFraction = 8388608.0f;  // 2^23: from here on every float is whole
  const float a = abs(x);
  const float rounded = copy_sign((a + kNoFraction) - kNoFraction, x);
  return a < kNoFraction ? rounded : x;
}

// As C's floorf, ceilf, truncf. Exact.
RM_HD float floor(float x) {
  const float nearest = round_to_even(x);
  return nearest - (nearest > x ? 1.0f : 0.0f);
}
RM_HD float ceil(float x) {
  const float nearest = round_to_even(x);
  return copy_sign(nearest + (nearest < x ? 1.0f : 0.0f), x);
}
RM_HD float trunc(float x) { return copy_sign(floor(abs(x)), x); }

// Whole numbers as int32: saturating at both ends, NaN gives 0 (what CUDA's conversion does).
RM_HD std::int32_t trunc_to_int(float x) {
  constexpr float kLow = -2147483648.0f;
  constexpr float kHigh = 2147483520.0f;  // the largest float below 2^31
  const float safe = is_nan(x) ? 0.0f : clamp(x, kLow, kHigh);
  const auto whole = static_cast<std::int32_t>(safe);
  return x > kHigh ? 2147483647 : whole;
}
RM_HD std::int32_t floor_to_int(float x) { return trunc_to_int(floor(x)); }
RM_HD std::int32_t round_to_int(float x) { return trunc_to_int(round_to_even(x)); }

}  // namespace rollmill::math
