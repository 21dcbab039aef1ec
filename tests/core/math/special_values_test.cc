// NaN, infinities, zeros, subnormals, overflow, underflow: what the C library's functions give
// (exactly rounded cases bit for bit), for every pair of a list of awkward numbers where there are
// two arguments.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/math/math.h"
#include "tests/core/math/ulp.h"

namespace rollmill {
namespace {

const float kInf = std::numeric_limits<float>::infinity();

const std::vector<float>& awkward() {
  static const std::vector<float> values = [] {
    std::vector<float> v = {
        0.0f,   1.4e-45f,      1e-40f,     1.17549435e-38f, 1e-20f,     1e-5f, 0.25f,
        0.5f,   0.999999f,     1.0f,       1.0000001f,      1.5f,       2.0f,  2.5f,
        3.0f,   4.0f,          7.5f,       9.02f,           88.0f,      89.0f, 104.0f,
        127.0f, 150.0f,        8388607.5f, 8388609.0f,      16777215.f, 1e9f,  2147483648.0f,
        1e30f,  3.4028235e38f, kInf};
    const std::size_t n = v.size();
    for (std::size_t i = 0; i < n; ++i) v.push_back(-v[i]);
    v.push_back(std::numeric_limits<float>::quiet_NaN());
    return v;
  }();
  return values;
}

// The same class and sign as the C library's float result, and within `ulps` of the exact value.
void expect_like(float got, float library, long double exact, double ulps,
                 const std::string& where) {
  if (std::isnan(library)) {
    EXPECT_TRUE(std::isnan(got)) << where;
    return;
  }
  ASSERT_FALSE(std::isnan(got)) << where;
  EXPECT_EQ(std::signbit(got), std::signbit(library)) << where;
  if (library == 0.0f || std::isinf(library)) {
    EXPECT_EQ(got, library) << where;
    return;
  }
  EXPECT_LE(test::ulp_error(got, exact), ulps) << where << " " << got;
}

using Float1 = float (*)(float);
using Exact1 = long double (*)(long double);

void check(const char* name, Float1 f, Float1 library, Exact1 exact, double ulps, float limit) {
  for (const float x : awkward()) {
    if (std::isfinite(x) && std::fabs(x) > limit) continue;
    expect_like(f(x), library(x), exact(x), ulps, name + (" " + std::to_string(x)));
  }
}

#define RM_CHECK(function, ulps, limit)                                    \
  check(                                                                   \
      #function, [](float x) { return math::function(x); }, std::function, \
      [](long double x) { return std::function(x); }, ulps, limit)

TEST(MathSpecialValues, OneArgumentAsTheCLibrary) {
  RM_CHECK(sin, 1.0, 32768.0f);
  RM_CHECK(cos, 1.0, 32768.0f);
  RM_CHECK(tan, 2.52, 32768.0f);
  RM_CHECK(exp, 0.9, kInf);
  RM_CHECK(log, 0.88, kInf);
  RM_CHECK(tanh, 1.97, kInf);
  RM_CHECK(atan, 1.71, kInf);
  RM_CHECK(sqrt, 0.5, kInf);
}

TEST(MathSpecialValues, TwoArgumentsAsTheCLibrary) {
  for (const float x : awkward()) {
    for (const float y : awkward()) {
      const std::string where = std::to_string(x) + ", " + std::to_string(y);
      expect_like(math::atan2(x, y), std::atan2(x, y), std::atan2((long double)x, (long double)y),
                  1.8, "atan2 " + where);
      expect_like(math::pow(x, y), std::pow(x, y), std::pow((long double)x, (long double)y), 0.51,
                  "pow " + where);
    }
  }
}

TEST(MathSpecialValues, ExactResults) {
  EXPECT_EQ(math::exp(0.0f), 1.0f);
  EXPECT_EQ(math::exp(-0.0f), 1.0f);
  EXPECT_EQ(math::to_bits(math::log(1.0f)), 0u);
  EXPECT_EQ(math::cos(0.0f), 1.0f);
  EXPECT_EQ(math::tanh(9.02f), 1.0f);
  EXPECT_EQ(math::tanh(-kInf), -1.0f);
  EXPECT_EQ(math::pow(3.0f, 4.0f), 81.0f);
  EXPECT_EQ(math::pow(-2.0f, 31.0f), -2147483648.0f);
  EXPECT_EQ(math::pow(2.0f, -149.0f), 1.4e-45f);
  EXPECT_EQ(math::atan2(1.0f, 1.0f), 0.785398185253143311f);
  EXPECT_EQ(math::atan2(0.0f, -1.0f), math::kPi);
  EXPECT_EQ(math::atan2(-0.0f, -1.0f), -math::kPi);
}

TEST(MathSpecialValues, AnglesThatAreTooLargeCountAsZero) {
  for (const float x : {4194305.0f, 1e9f, 3.4028235e38f}) {
    EXPECT_EQ(math::sin(x), 0.0f);
    EXPECT_EQ(math::cos(-x), 1.0f);
    EXPECT_EQ(math::tan(x), 0.0f);
  }
}

}  // namespace
}  // namespace rollmill
