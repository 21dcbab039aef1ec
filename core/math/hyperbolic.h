// tanh of float32. Convention and compile flags: core/math/basic.h.
#pragma once

#include <cstdint>

#include "core/math/basic.h"

namespace rollmill::math {

// Hyperbolic tangent; also the activation of the policy networks, so made cheap: no select between
// ranges, one division. Largest error: 1.97 ulp over all x. |tanh| <= 1, and is 1 from 9.02 on.
// tanh(-0) = -0.
//
// With t = e^(2|x|) - 1, tanh|x| = t / (t + 2). Splitting |x| = n ln(2)/2 + r gives
// t = 2^n (e^(2r) - 1) + (2^n - 1), which loses nothing near 0 because n is 0 there.
RM_HD float tanh(float x) {
  constexpr float kTwoLog2E = 2.8853900432586669921875f;
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  constexpr float kHalfLn2High = 0.34657382965087890625f;  // 19 bits: n * kHalfLn2High is exact
  constexpr float kHalfLn2Low = -2.39370905319447047077119350433349609375e-7f;
  constexpr float kT2 = 1.99999988079071044921875f;
  constexpr float kT3 = 1.33332335948944091796875f;
  constexpr float kT4 = 0.666679918766021728515625f;
  constexpr float kT5 = 0.2677352130413055419921875f;
  constexpr float kT6 = 8.8739104568958282470703125e-2f;
  const float size = min(abs(x), 10.0f);
  // Below ln(2)/4 the mirror image: t < 0 brings t + 2 below 2, where floats are twice as dense.
  // The sign comes from an integer subtraction: of `size < 0.1732f ? -size : size` g++ 12 makes two
  // copies of all that follows, at half the speed.
  const std::uint32_t mirrored = (to_bits(size) - to_bits(0.1732f)) & 0x80000000u;
  const float a = from_bits(to_bits(size) ^ mirrored);
  const float shifted = a * kTwoLog2E + kShift;
  const float n = shifted - kShift;
  const float scale = from_bits((to_bits(shifted) << 23) + 0x3f800000u);
  const float head = a - n * kHalfLn2High;  // exact
  const float low = n * kHalfLn2Low;
  const float r = head - low;
  const float p = (((kT6 * r + kT5) * r + kT4) * r + kT3) * r + kT2;
  const float tail = r * r * p - (low + low);
  const float t = scale * tail + (scale * (head + head) + (scale - 1.0f));
  return copy_sign(t / (t + 2.0f), x);
}

}  // namespace rollmill::math
