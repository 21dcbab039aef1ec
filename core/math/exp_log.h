// exp, log, pow of float32. Convention and compile flags: core/math/basic.h.
// Polynomials: minimax with coefficients of the working precision (Remez, then lattice reduction).
#pragma once

#include <cstdint>

#include "core/math/basic.h"

namespace rollmill::math {

// e^x. Largest error: 0.90 ulp over all x, subnormal results included.
// Overflow gives infinity (x > 88.7228), underflow 0 (x < -103.97). exp(0) = 1.
RM_HD float exp(float x) {
  constexpr float kLog2E = 1.44269502162933349609375f;
  constexpr float kShift = 12582912.0f;           // 1.5 * 2^23: adding it rounds to a whole number
  constexpr float kLn2High = 0.693145751953125f;  // 16 bits: n * kLn2High is exact
  constexpr float kLn2Low = 1.428606765330187045037746429443359375e-6f;
  constexpr float kE2 = 0.4999999105930328369140625f;
  constexpr float kE3 = 0.16666519641876220703125f;
  constexpr float kE4 = 4.16689552366733551025390625e-2f;
  constexpr float kE5 = 8.36885161697864532470703125e-3f;
  constexpr float kE6 = 1.37835857458412647247314453125e-3f;
  const float bounded = clamp(x, -104.0f, 89.0f);
  const float shifted = bounded * kLog2E + kShift;
  const float n = shifted - kShift;
  const float head = bounded - n * kLn2High;
  const float low = n * kLn2Low;
  const float r = head - low;
  const float r_error = (head - r) - low;
  const float p = (((kE6 * r + kE5) * r + kE4) * r + kE3) * r + kE2;
  const float y = 1.0f + (r + (r * r * p + r_error));
  // 2^n in two steps, so that n from -150 to 128 works and a subnormal result is rounded once.
  const auto whole = static_cast<std::int32_t>(to_bits(shifted) - to_bits(kShift));
  const std::int32_t half = whole >> 1;
  const float scale1 = from_bits(static_cast<std::uint32_t>(half + 127) << 23);
  const float scale2 = from_bits(static_cast<std::uint32_t>(whole - half + 127) << 23);
  return y * scale1 * scale2;
}

// Natural logarithm. Largest error: 0.88 ulp over all x > 0, subnormals included.
// log(+-0) = -infinity, log(infinity) = infinity, NaN below zero. log(1) = +0.
RM_HD float log(float x) {
  constexpr float kSmallestNormal = 1.17549435e-38f;
  constexpr float kLn2High = 0.693145751953125f;  // 16 bits: exponent * kLn2High is exact
  constexpr float kLn2Low = 1.428606765330187045037746429443359375e-6f;
  constexpr float kL3 = 0.3333321511745452880859375f;
  constexpr float kL4 = -0.24999797344207763671875f;
  constexpr float kL5 = 0.20010446012020111083984375f;
  constexpr float kL6 = -0.1668050587177276611328125f;
  constexpr float kL7 = 0.1400530636310577392578125f;
  constexpr float kL8 = -0.121839724481105804443359375f;
  constexpr float kL9 = 0.1398689746856689453125f;
  constexpr float kL10 = -0.12893031537532806396484375f;
  const bool subnormal = x < kSmallestNormal;
  const std::uint32_t bits = to_bits(subnormal ? x * 8388608.0f : x);
  // x = 2^exponent * (1 + f) with 1 + f in [2/3, 4/3).
  const auto exponent = static_cast<std::int32_t>(bits - 0x3f2aaaabu) >> 23;
  const float f = from_bits(bits - (static_cast<std::uint32_t>(exponent) << 23)) - 1.0f;
  const float e = static_cast<float>(exponent) - (subnormal ? 23.0f : 0.0f);
  float p = ((kL10 * f + kL9) * f + kL8) * f + kL7;
  p = (((p * f + kL6) * f + kL5) * f + kL4) * f + kL3;
  const float f2 = f * f;
  const float e_high = e * kLn2High;
  const float sum = e_high + f;
  const float sum_error = f - (sum - e_high);  // exact: e is 0 or |e_high| > |f|
  const float y = sum + (sum_error + ((f * f2 * p - 0.5f * f2) + e * kLn2Low));
  const float at_zero = x == 0.0f ? -kInfinity : kNan;
  const float positive = x == kInfinity ? kInfinity : y;
  return x > 0.0f ? positive : at_zero;
}

namespace detail {

// log2 of a float a >= 0 held in a double, to 2^-37 relative; infinite where it should be.
RM_HD double log2_double(double a) {
  constexpr double kC1 = 2.885390081790171645792497656657360494136810302734375;
  constexpr double kC3 = 0.96179667322576622989771522043156437575817108154296875;
  constexpr double kC5 = 0.577083608581879570209594021434895694255828857421875;
  constexpr double kC7 = 0.411671223220657633845576128805987536907196044921875;
  constexpr double kC9 = 0.3407591111687795493168096072622574865818023681640625;
  constexpr std::uint64_t kOne = 0x3ff0000000000000u;
  constexpr std::uint64_t kRootHalf = 0x3fe6a09e667f3bcdu;
  const auto bits = __builtin_bit_cast(std::uint64_t, a);
  // a = 2^exponent * m with m in [sqrt(1/2), sqrt(2)); a biased exponent needs no signed shift, and
  // a double of 2^52 + exponent needs no 64-bit conversion: AVX2 has neither.
  const std::uint64_t biased = (bits + (kOne - kRootHalf)) >> 52;
  const double exponent =
      __builtin_bit_cast(double, biased | 0x4330000000000000u) - 4503599627371519.0;
  const double m = __builtin_bit_cast(double, bits - (biased << 52) + kOne);
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  const double y = exponent + s * ((((kC9 * z + kC7) * z + kC5) * z + kC3) * z + kC1);
  const double infinity = __builtin_huge_val();
  const double nonzero = a == infinity ? infinity : y;
  return a == 0.0 ? -infinity : nonzero;
}

// 2^t as a float, rounded once from a double with a relative error of 2^-34.
RM_HD float exp2_double(double t) {
  constexpr double kC1 = 0.69314718070476255551426447709673084318637847900390625;
  constexpr double kC2 = 0.240226510670026816018918225381639786064624786376953125;
  constexpr double kC3 = 5.5504103653939880491652303362570819444954395294189453125e-2;
  constexpr double kC4 = 9.6180380596630025979987266482478231005370616912841796875e-3;
  constexpr double kC5 = 1.33339353549682460876868450583287994959391653537750244140625e-3;
  constexpr double kC6 = 1.546678151498295415103984007387794008536729961633682250976562e-4;
  constexpr double kC7 = 1.519613432433861547091961258226788800129725132137537002563477e-5;
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52
  const double below = t > 130.0 ? 130.0 : t;
  const double bounded = below < -152.0 ? -152.0 : below;
  const double shifted = bounded + kShift;
  const double r = bounded - (shifted - kShift);
  const double p = ((((kC7 * r + kC6) * r + kC5) * r + kC4) * r + kC3) * r + kC2;
  const double y = 1.0 + r * (p * r + kC1);
  const std::uint64_t n = __builtin_bit_cast(std::uint64_t, shifted);
  const double scale = __builtin_bit_cast(double, (n << 52) + 0x3ff0000000000000u);
  return static_cast<float>(y * scale);
}

}  // namespace detail

// x^y. Largest error: 0.51 ulp (2^-31 relative before the one rounding), subnormals included.
// Special cases as C's powf: x^0 = 1^y = 1 even for NaN, NaN for x < 0 with y not whole, signs of
// zeros and infinities. Works in double: y log2(x) needs 7 + 24 bits, and pairs of floats would
// cost more than half the width does.
RM_HD float pow(float x, float y) {
  const double log2_x = detail::log2_double(static_cast<double>(abs(x)));
  const float size = detail::exp2_double(static_cast<double>(y) * log2_x);
  const bool whole = floor(y) == y;
  const float half_y = 0.5f * y;  // y = 1 is odd, so is 16777215; from 2^24 on all floats are even
  const bool odd = whole && floor(half_y) != half_y;
  const float signed_size = odd && sign_bit(x) ? -size : size;
  const bool invalid = (x < 0.0f && x > -kInfinity && !whole) || is_nan(x) || is_nan(y);
  const bool one = y == 0.0f || x == 1.0f || (x == -1.0f && abs(y) == kInfinity);
  const float defined = invalid ? kNan : signed_size;
  return one ? 1.0f : defined;
}

}  // namespace rollmill::math
