// Angles brought back to one turn.
#pragma once

#include "core/math/math.h"

namespace rollmill {

// x minus the nearest multiple of 2 pi: in [-pi, pi], up to one rounding of x at the two ends, for |x| < 1000. Far beyond, what is
// left grows with the roundings of x and is bounded by nothing: take its sine by a function that guards its range.
// Branch-free, unlike the loops and remainders of float64 references. 2 pi is cut into two floats
// (as in core/math/trig.h), so the error stays below 2^-23 * max(|x|, pi) for |x| < 1000.
RM_HD float wrap_angle(float x) {
  constexpr float kTurnsPerRadian = 0.15915494f;
  constexpr float kTwoPiHigh = 6.28125f;             // 8 bits: turns * kTwoPiHigh is exact
  constexpr float kTwoPiLow = 1.93530717958647e-3f;  // 2 pi - kTwoPiHigh
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number, below 2^22 turns
  const float turns = (x * kTurnsPerRadian + kShift) - kShift;
  return (x - turns * kTwoPiHigh) - turns * kTwoPiLow;
}

}  // namespace rollmill
