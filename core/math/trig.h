// sin, cos, tan, atan, atan2 of float32. Convention and compile flags: core/math/basic.h.
//
// The argument is reduced as x = n pi/2 + (hi + lo), |hi| <= pi/4, with pi/2 cut into pieces of
// nine bits (Cody and Waite 1980): n has at most 15 bits for |x| <= 2^15, so n * piece is exact
// without FMA, and two-sums keep what the subtractions would round away. Polynomials: minimax with
// float32 coefficients (Remez, then lattice reduction).
#pragma once

#include <cstdint>

#include "core/math/basic.h"

namespace rollmill::math {

struct SinCos {
  float sin;
  float cos;
};

namespace detail {

// Of both kernels: sin r = r + r^3 (kSin3 + kSin5 r^2 + ...), cos r = 1 - r^2 / 2 + r^4 (kCos4 + ...).
inline constexpr float kSin3 = -0.1666665375232696533203125f;
inline constexpr float kSin5 = 8.332113735377788543701171875e-3f;
inline constexpr float kSin7 = -1.95094165974296629428863525390625e-4f;
inline constexpr float kCos4 = 4.16666455566883087158203125e-2f;
inline constexpr float kCos6 = -1.38873071409761905670166015625e-3f;
inline constexpr float kCos8 = 2.4431801648461259901523590087890625e-5f;

struct Quadrant {
  float hi, lo;            // what is left of |x|, unevaluated sum
  std::uint32_t quadrant;  // n; only its two lowest bits mean something
};

// `a` is |x|. Above 2^22, where floats are 0.5 apart, the angle is taken as 0 (infinity: NaN).
RM_HD Quadrant reduce_quadrant(float a) {
  constexpr float kTwoOverPi = 0.636619746685028076f;
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  constexpr float kPiece1 = 1.5703125f;
  constexpr float kPiece2 = 4.8351287841796875e-4f;
  constexpr float kPiece3 = 3.13855707645416259765625e-7f;
  constexpr float kPiece4 = 6.0708771343342959880828857421875e-11f;
  constexpr float kPiece5 = 6.2233721718966e-14f;
  const float x = a > 4194304.0f ? a - a : a;
  const float shifted = x * kTwoOverPi + kShift;
  const float n = shifted - kShift;
  const float head = (x - n * kPiece1) - n * kPiece2;  // exact
  const float part3 = n * kPiece3;
  const float sum3 = head - part3;
  const float error3 = (head - sum3) - part3;
  const float part4 = n * kPiece4;
  const float hi = sum3 - part4;
  const float error4 = (sum3 - hi) - part4;
  return {hi, error4 + (error3 - n * kPiece5), to_bits(shifted)};
}

// sin and cos of hi + lo, |hi| <= pi/4 (sound, though not to the last bit, up to 1.5).
RM_HD SinCos sin_cos_kernel(float hi, float lo) {
  const float z = hi * hi;
  const float sin_tail = (kSin7 * z + kSin5) * z + kSin3;
  const float cos_tail = (kCos8 * z + kCos6) * z + kCos4;
  const float half_z = 0.5f * z;
  const float cos_head = 1.0f - half_z;
  const float cos_error = (1.0f - cos_head) - half_z;
  return {hi + (hi * z * sin_tail + lo), cos_head + (cos_error + (z * z * cos_tail - hi * lo))};
}

}  // namespace detail

// Both at once, for little more than one costs. The errors stated in core/math were found by a run
// over every float of the domain against double precision, unless they say sampled.
// Largest error: 0.993 ulp (sin), 0.993 ulp (cos) for |x| <= 32768, near the zeros too.
// Up to |x| <= 2^22 the error is below |x| * 2^-22 absolute, and the result in [-1, 1].
// Beyond that a finite x counts as 0. sin(-0) = -0; infinity and NaN give NaN.
RM_HD SinCos sincos(float x) {
  const detail::Quadrant r = detail::reduce_quadrant(abs(x));
  const SinCos k = detail::sin_cos_kernel(r.hi, r.lo);
  const bool swapped = (r.quadrant & 1u) != 0u;
  const float s = swapped ? k.cos : k.sin;
  const float c = swapped ? k.sin : k.cos;
  const std::uint32_t sin_sign = ((r.quadrant << 30) ^ to_bits(x)) & 0x80000000u;
  const std::uint32_t cos_sign = ((r.quadrant + 1u) << 30) & 0x80000000u;
  return {from_bits(to_bits(s) ^ sin_sign), from_bits(to_bits(c) ^ cos_sign)};
}

// For |x| <= pi/4 the bits of sincos_near (there n is 0), in half its operations; beyond 1.5 no sine and cosine at all.
RM_HD SinCos sincos_small(float r) {
  const float z = r * r;
  return {r + r * z * ((detail::kSin7 * z + detail::kSin5) * z + detail::kSin3),
          (1.0f - 0.5f * z) + z * z * ((detail::kCos8 * z + detail::kCos6) * z + detail::kCos4)};
}

// For angles of a few turns, in half the operations: pi/2 in two pieces, the first of 15 bits, so that n times it is exact
// for |x| <= 512, and one rounding of what is left (no low part).
// Largest error for |x| <= 512: 2^-23 absolute. Beyond, up to 8192, it grows to 2^-11; from there a finite x counts as some
// multiple of pi/2. Not to the last bit near the zeros; dynamics round their angles more than that. Infinity and NaN give NaN.
RM_HD SinCos sincos_near(float x) {
  constexpr float kTwoOverPi = 0.636619746685028076f;
  constexpr float kShift = 12582912.0f;
  constexpr float kHead = 1.57073974609375f;
  constexpr float kRest = 5.65807011465579736e-5f;
  const float shifted = x * kTwoOverPi + kShift;
  const float n = shifted - kShift;
  const float reduced = (x - n * kHead) - n * kRest;
  const float r = abs(x) > 8192.0f ? x - x : reduced;  // last: beside the reduction, not before it
  // Number of the quadrant in the two highest bits, and the same of the next one.
  const std::uint32_t quadrant = to_bits(shifted) << 30, next = quadrant + 0x40000000u;
  const auto [sine, cosine] = sincos_small(r);
  // Swapped in odd quadrants, by bits: g++ tests a condition once for each of two selects.
  const std::uint32_t odd = 0u - (to_bits(shifted) & 1u);
  const std::uint32_t swap = (to_bits(sine) ^ to_bits(cosine)) & odd;
  return {from_bits((to_bits(sine) ^ (quadrant & 0x80000000u)) ^ swap),
          from_bits((to_bits(cosine) ^ (next & 0x80000000u)) ^ swap)};
}

// The same bits as sincos gives.
RM_HD float sin(float x) { return sincos(x).sin; }
RM_HD float cos(float x) { return sincos(x).cos; }

// Largest error: 2.52 ulp for |x| <= 32768; beyond, the quotient of what sincos has before it
// selects. tan(-0) = -0.
RM_HD float tan(float x) {
  const detail::Quadrant r = detail::reduce_quadrant(abs(x));
  const SinCos k = detail::sin_cos_kernel(r.hi, r.lo);
  const bool swapped = (r.quadrant & 1u) != 0u;
  const float t = (swapped ? k.cos : k.sin) / (swapped ? k.sin : k.cos);
  return from_bits(to_bits(t) ^ (((r.quadrant << 31) ^ to_bits(x)) & 0x80000000u));
}

// Angle of the point (x, y) in [-pi, pi]. Largest error: 1.8 ulp (sampled).
// Zeros, signed zeros and infinities as C's atan2f.
RM_HD float atan2(float y, float x) {
  constexpr float kA3 = -0.333331525325775146484375f;
  constexpr float kA5 = 0.19993768632411956787109375f;
  constexpr float kA7 = -0.14211022853851318359375f;
  constexpr float kA9 = 0.10665880143642425537109375f;
  constexpr float kA11 = -7.551951706409454345703125e-2f;
  constexpr float kA13 = 4.32087592780590057373046875e-2f;
  constexpr float kA15 = -1.636600308120250701904296875e-2f;
  constexpr float kA17 = 2.9202033765614032745361328125e-3f;
  constexpr float kHalfPiLow = -4.371138828673792886547744274e-8f;
  const float ax = abs(x);
  const float ay = abs(y);
  const bool steep = ay > ax;
  const bool left = sign_bit(x);
  const float small = steep ? ax : ay;
  const float large = steep ? ay : ax;
  const float quotient = small / (large == 0.0f ? 1.0f : large);
  const float q = small == kInfinity ? 1.0f : quotient;
  const float z = q * q;
  float p = ((kA17 * z + kA15) * z + kA13) * z + kA11;
  p = (((p * z + kA9) * z + kA7) * z + kA5) * z + kA3;
  const float angle = q + q * (z * p);
  const float beside = left ? kPi : 0.0f;
  const float beside_low = left ? 2.0f * kHalfPiLow : 0.0f;
  const float base = steep ? kHalfPi : beside;
  const float base_low = steep ? kHalfPiLow : beside_low;
  const float turned = steep != left ? -angle : angle;
  const float result = copy_sign(base + (turned + base_low), y);
  return is_nan(x) || is_nan(y) ? kNan : result;
}

// Largest error: 1.71 ulp. atan(-0) = -0, atan(+-infinity) = +-pi/2 rounded.
RM_HD float atan(float x) { return atan2(x, 1.0f); }

}  // namespace rollmill::math
