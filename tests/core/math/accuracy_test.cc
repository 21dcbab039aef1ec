// The errors that the headers of core/math state, against two oracles: the C library's long double
// functions (64-bit significand: 2^-40 float ulp) on a dense sweep, MPFR on random points.
// Tolerances are the stated bounds; an exhaustive run over all floats found the values they round
// up.
#include <mpfr.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "core/math/math.h"
#include "tests/core/math/ulp.h"

namespace rollmill {
namespace {

using test::Draws;
using test::ulp_error;
using test::Worst;

// What the header comments state.
constexpr double kSinBound = 0.993, kCosBound = 0.993, kTanBound = 2.52;
constexpr double kExpBound = 0.90, kLogBound = 0.88, kTanhBound = 1.97;
constexpr double kAtanBound = 1.71, kAtan2Bound = 1.8, kPowBound = 0.51;

using Exact1 = long double (*)(long double);
using Mpfr1 = int (*)(mpfr_t, const mpfr_t, mpfr_rnd_t);

long double mpfr_value(Mpfr1 f, float x) {
  static mpfr_t in, out;
  static const bool ready = (mpfr_init2(in, 24), mpfr_init2(out, 64), true);
  static_cast<void>(ready);
  mpfr_set_flt(in, x, MPFR_RNDN);
  f(out, in, MPFR_RNDN);
  return mpfr_get_ld(out, MPFR_RNDN);
}

// Every stride-th float of both signs with |x| in [low, high]; the stride is odd, so that the low
// bits of the significand take all values.
template <class F>
void check(const char* name, F f, Exact1 exact, Mpfr1 oracle, float low, float high, double bound,
           bool negative = true) {
  constexpr std::uint32_t kStride = 613;
  Worst worst;
  for (std::uint32_t u = math::to_bits(low); u <= math::to_bits(high); u += kStride) {
    const float x = math::from_bits(u);
    worst.add(ulp_error(f(x), exact(x)), x);
    if (negative) worst.add(ulp_error(f(-x), exact(-x)), -x);
  }
  EXPECT_GT(worst.count, 1000) << name;
  EXPECT_LE(worst.error, bound) << name << " at " << worst.x;
  Draws draws(math::to_bits(high));
  const std::uint32_t span = math::to_bits(high) - math::to_bits(low);
  Worst random;
  for (int i = 0; i < 12000; ++i) {
    float x = math::from_bits(math::to_bits(low) + draws.bits() % (span + 1));
    if (negative && (i & 1) != 0) x = -x;
    random.add(ulp_error(f(x), mpfr_value(oracle, x)), x);
  }
  EXPECT_LE(random.error, bound) << name << " (MPFR) at " << random.x;
}

#define RM_CHECK(function, low, high, bound, negative)                                             \
  check(                                                                                           \
      #function, [](float x) { return math::function(x); },                                        \
      [](long double x) { return std::function(x); },                                              \
      [](mpfr_t out, const mpfr_t in, mpfr_rnd_t mode) { return mpfr_##function(out, in, mode); }, \
      low, high, bound, negative)

constexpr float kTiniest = 1.4e-45f;
constexpr float kHuge = 3.40282347e38f;

TEST(MathAccuracy, Sin) { RM_CHECK(sin, kTiniest, 32768.0f, kSinBound, true); }
TEST(MathAccuracy, Cos) { RM_CHECK(cos, kTiniest, 32768.0f, kCosBound, true); }
TEST(MathAccuracy, Tan) { RM_CHECK(tan, kTiniest, 32768.0f, kTanBound, true); }
TEST(MathAccuracy, Exp) { RM_CHECK(exp, kTiniest, 120.0f, kExpBound, true); }
TEST(MathAccuracy, Log) { RM_CHECK(log, kTiniest, kHuge, kLogBound, false); }
TEST(MathAccuracy, Tanh) { RM_CHECK(tanh, kTiniest, 100.0f, kTanhBound, true); }
TEST(MathAccuracy, Atan) { RM_CHECK(atan, kTiniest, kHuge, kAtanBound, true); }
TEST(MathAccuracy, Sqrt) { RM_CHECK(sqrt, kTiniest, kHuge, 0.5, false); }

// The floats closest to a multiple of pi/2, where a short reduction loses everything: for each
// multiple the two floats around it.
TEST(MathAccuracy, SinCosTanNextToTheirZeros) {
  Worst worst_sin, worst_cos, worst_tan;
  for (int n = 1; n <= 20860; ++n) {
    float x = static_cast<float>(n * 1.57079632679489661923L);
    for (int side = 0; side < 3; ++side) {
      x = std::nextafter(x, side == 0 ? 0.0f : 1e9f);
      if (x > 32768.0f) continue;
      worst_sin.add(ulp_error(math::sin(x), mpfr_value(mpfr_sin, x)), x);
      worst_cos.add(ulp_error(math::cos(x), mpfr_value(mpfr_cos, x)), x);
      worst_tan.add(ulp_error(math::tan(x), mpfr_value(mpfr_tan, x)), x);
    }
  }
  EXPECT_LE(worst_sin.error, kSinBound) << worst_sin.x;
  EXPECT_LE(worst_cos.error, kCosBound) << worst_cos.x;
  EXPECT_LE(worst_tan.error, kTanBound) << worst_tan.x;
}

TEST(MathAccuracy, SinCosStaySoundForLargeAngles) {
  for (std::uint32_t u = math::to_bits(32768.0f); u <= math::to_bits(4194304.0f); u += 97) {
    const float x = math::from_bits(u);
    const math::SinCos r = math::sincos(x);
    ASSERT_LE(std::fabs(r.sin), 1.0f) << x;
    ASSERT_LE(std::fabs(r.cos), 1.0f) << x;
    ASSERT_LE(std::fabs(r.sin - std::sin(static_cast<double>(x))), x * 0x1p-22) << x;
    ASSERT_LE(std::fabs(r.cos - std::cos(static_cast<double>(x))), x * 0x1p-22) << x;
  }
}

template <class F, class Exact, class Oracle, class Next>
void check2(F f, Exact exact, Oracle oracle, Next next, double bound) {
  Draws draws(2);
  Worst worst, random;
  mpfr_t a, b, out;
  mpfr_inits2(64, a, b, out, nullptr);
  for (int i = 0; i < 600000; ++i) {
    float x = 0.0f, y = 0.0f;
    next(draws, i, &x, &y);
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    worst.add(ulp_error(f(x, y), exact(x, y)), x, y);
    if (i % 30 != 0) continue;
    mpfr_set_flt(a, x, MPFR_RNDN);
    mpfr_set_flt(b, y, MPFR_RNDN);
    oracle(out, a, b, MPFR_RNDN);
    random.add(ulp_error(f(x, y), mpfr_get_ld(out, MPFR_RNDN)), x, y);
  }
  EXPECT_GT(random.count, 10000);
  EXPECT_LE(worst.error, bound) << worst.x << ", " << worst.y;
  EXPECT_LE(random.error, bound) << "(MPFR) " << random.x << ", " << random.y;
  mpfr_clears(a, b, out, nullptr);
}

TEST(MathAccuracy, Atan2) {
  check2([](float y, float x) { return math::atan2(y, x); },
         [](long double y, long double x) { return std::atan2(y, x); }, mpfr_atan2,
         [](Draws& draws, int i, float* y, float* x) {
           *y = i % 3 != 0 ? draws.uniform(-2.0f, 2.0f) : draws.any();
           *x = i % 3 != 0 ? draws.uniform(-2.0f, 2.0f) : draws.any();
         },
         kAtan2Bound);
}

TEST(MathAccuracy, Pow) {
  check2([](float x, float y) { return math::pow(x, y); },
         [](long double x, long double y) { return std::pow(x, y); }, mpfr_pow,
         [](Draws& draws, int i, float* x, float* y) {
           *x = math::abs(draws.any());
           if (i % 4 == 1) *x = draws.uniform(0.5f, 2.0f);
           if (i % 4 == 2) *x = draws.uniform(0.999f, 1.001f);
           // Exponents that reach from underflow to overflow, and a little beyond.
           *y = static_cast<float>(draws.uniform(-155.0f, 135.0f) /
                                   std::log2(static_cast<double>(*x)));
           if (i % 4 == 3) {
             *x = draws.uniform(-9.0f, 9.0f);
             *y = math::floor(draws.uniform(-60.0f, 60.0f));
           }
         },
         kPowBound);
}

// sincos_near states absolute errors: against the C library's long double functions.
TEST(Accuracy, SinCosOfNearAngles) {
  for (const auto& [low, high, bound] :
       {std::tuple{0.0f, 512.0f, 0x1p-23}, {512.0f, 8192.0f, 0x1p-11}}) {
    double worst = 0;
    float largest = 0;
    for (std::uint32_t u = math::to_bits(low); u <= math::to_bits(high); u += 613) {
      for (const float x : {math::from_bits(u), -math::from_bits(u)}) {
        const math::SinCos r = math::sincos_near(x);
        const auto exact = static_cast<long double>(x);
        worst = std::max({worst, std::abs(static_cast<double>(r.sin - std::sin(exact))),
                          std::abs(static_cast<double>(r.cos - std::cos(exact)))});
        largest = std::max({largest, std::abs(r.sin), std::abs(r.cos)});
      }
    }
    EXPECT_LE(worst, bound) << low << " to " << high;
    EXPECT_LE(largest, 1.0f);
  }
  for (const float far : {8193.0f, 1e10f, 1e30f, -1e30f}) {  // some multiple of pi/2
    const math::SinCos r = math::sincos_near(far);
    EXPECT_EQ(std::abs(r.sin) + std::abs(r.cos), 1.0f) << far;
    EXPECT_EQ(r.sin * r.cos, 0.0f) << far;
  }
  EXPECT_TRUE(math::is_nan(math::sincos_near(math::kInfinity).sin));
  EXPECT_TRUE(math::is_nan(math::sincos_near(math::kNan).cos));
}

// The domain of sincos_small: the same bits as sincos_near's; every float of the last 0.03 before pi/4, where n might be 1.
TEST(Accuracy, SinCosOfSmallAngles) {
  const auto differ = [](float low, float high, std::uint32_t stride) {
    std::uint32_t different = 0;
    for (std::uint32_t u = math::to_bits(low); u <= math::to_bits(high); u += stride) {
      for (const std::uint32_t sign : {0u, 0x80000000u}) {
        const float x = math::from_bits(u | sign);
        const math::SinCos near = math::sincos_near(x), small = math::sincos_small(x);
        different |= math::to_bits(near.sin) ^ math::to_bits(small.sin);
        different |= math::to_bits(near.cos) ^ math::to_bits(small.cos);
      }
    }
    return different != 0;
  };
  EXPECT_FALSE(differ(0.0f, 0.75f, 61));
  EXPECT_FALSE(differ(0.75f, 0.78539816f, 1));
  EXPECT_TRUE(differ(0.79f, 0.8f, 1));
}

}  // namespace
}  // namespace rollmill
