// Distance of a float from an exact value, in units in the last place of float32.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/math/math.h"

namespace rollmill::test {

// |got - exact| over the spacing of floats at `exact` (2^-149 among subnormals). From half an ulp
// above the largest float on, exact counts as infinite. A NaN or a wrong infinity is an error of
// 1e9.
inline double ulp_error(float got, long double exact) {
  constexpr long double kRoundsToInfinity = 3.40282356779733661637539395458142568448e38L;
  if (std::fabs(exact) >= kRoundsToInfinity) {
    return std::isinf(got) && (got > 0) == (exact > 0) ? 0.0 : 1e9;
  }
  if (!std::isfinite(got)) return 1e9;
  const int exponent = exact == 0.0L ? -126 : std::max(std::ilogb(exact), -126);
  return static_cast<double>(std::fabs(got - exact) / std::ldexp(1.0L, exponent - 23));
}

struct Worst {
  double error = 0.0;
  float x = 0.0f, y = 0.0f;
  long count = 0;

  void add(double error_here, float x_here, float y_here = 0.0f) {
    ++count;
    if (error_here <= error) return;
    error = error_here;
    x = x_here;
    y = y_here;
  }
};

// Well-spread numbers, the same in every run: splitmix64 (Steele, Lea and Flood 2014).
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : state_(seed) {}
  std::uint32_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::uint32_t>((z ^ (z >> 31)) >> 32);
  }
  float any() { return math::from_bits(bits()); }
  float uniform(float low, float high) {
    return low + (high - low) * (static_cast<float>(bits() >> 8) * 0x1p-24f);
  }

 private:
  std::uint64_t state_;
};

}  // namespace rollmill::test
