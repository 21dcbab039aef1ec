// Adam against torch.optim.Adam in float64 (tests/oracle/make_adam.py).
#include "trainer/fused/adam.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "tests/oracle/fixtures/fixture.h"

namespace rollmill {
namespace {

// Tolerance after t steps: each step rounds the parameter (2^-24 of it) and its own size (a handful of roundings of at most
// the rate): t * (2^-24 |p| + 16 * 2^-24 * rate). Moments: t roundings of their largest part so far, with a decay.
TEST(Adam, EqualsTorchOverFiftySteps) {
  const testing::Fixture f("adam.txt");
  const auto settings = f.floats("settings"), gradients = f.floats("gradients");
  auto params = f.floats("start");
  const std::size_t n = params.size();
  std::vector<float> first(n), second(n), largest(n);
  const double rate = f.at("rate")[0];
  int compared = 0;
  for (std::size_t t = 1; t <= 50; ++t) {
    const AdamStep step =
        adam_step(settings[0], settings[1], settings[2], rate, static_cast<std::int64_t>(t), 1.0f);
    const float* g = gradients.data() + (t - 1) * n;
    // In two ranges: they must not depend on each other.
    adam_range(step, g, 5, static_cast<std::int64_t>(n), params.data(), first.data(),
               second.data());
    adam_range(step, g, 0, 5, params.data(), first.data(), second.data());
    for (std::size_t i = 0; i < n; ++i) largest[i] = std::max(largest[i], std::abs(g[i]));
    const std::string suffix = std::to_string(t);
    if (!f.has("params" + suffix)) continue;
    ++compared;
    for (std::size_t i = 0; i < n; ++i) {
      const double p = f.at("params" + suffix)[i], big = largest[i],
                   ulps = static_cast<double>(t) * 0x1p-24;
      EXPECT_NEAR(params[i], p, ulps * (std::abs(p) + 16 * rate))
          << "parameter " << i << " after " << t;
      EXPECT_NEAR(first[i], f.at("first" + suffix)[i], 4 * ulps * big)
          << "parameter " << i << " after " << t;
      EXPECT_NEAR(second[i], f.at("second" + suffix)[i], 4 * ulps * big * big)
          << "parameter " << i << " after " << t;
    }
  }
  EXPECT_EQ(compared, 4);
  EXPECT_EQ(params[10], f.floats("start")[10]);  // no gradient, no step
}

// 1 - beta^t is what Adam divides by. Squaring t's bits away doubles the relative error of the power each time and adds one
// rounding (2^-53), products add another: less than t + 64 roundings in all, and t * beta^t is at most 1 / (e (1 - beta)).
TEST(Adam, IntegerPowerEqualsRepeatedMultiplication) {
  for (const double beta : {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, static_cast<double>(0.999f)}) {
    long double power = 1;
    for (std::int64_t t = 0; t <= 1000000; ++t, power *= beta) {
      if (t > 2000 && t % 997 != 0 && t != 1000000) continue;
      if (power < 1e-300L) break;
      const double got = integer_power(beta, t);
      ASSERT_LE(std::abs(static_cast<long double>(got) - power),
                static_cast<long double>(t + 64) * 0x1p-53L * power)
          << beta << "^" << t;
    }
    EXPECT_EQ(integer_power(beta, 0), 1.0);
    EXPECT_EQ(integer_power(beta, 1), beta);
    EXPECT_EQ(integer_power(beta, 2), beta * beta);
  }
  for (int t = 0; t <= 1000; ++t) EXPECT_EQ(integer_power(0.5, t), std::ldexp(1.0, -t)) << t;
  EXPECT_EQ(integer_power(1.0, 1000000), 1.0);
  EXPECT_EQ(integer_power(0.0, 1000000), 0.0);
  EXPECT_EQ(integer_power(0.9, std::int64_t{1} << 40), 0.0);  // no NaN where it underflows
}

// The bias corrections that a step uses: one rounding to float from the exact ones (the error above is below 2^-40 of them).
TEST(Adam, BiasCorrectionsAreExactToTheLastBit) {
  const float beta1 = 0.9f, beta2 = 0.999f;
  long double power1 = 1, power2 = 1;
  for (std::int64_t t = 1; t <= 1000000; ++t) {
    power1 *= beta1;
    power2 *= beta2;
    if (t > 1000 && t % 997 != 0) continue;
    const AdamStep step = adam_step(beta1, beta2, 1e-5f, 1e-3, t, 1.0f);
    const long double size = 1e-3L / (1 - power1), root = 1 / std::sqrt(1 - power2);
    ASSERT_LE(std::abs(step.step_size - size), size * 0x1.01p-24L) << t;
    ASSERT_LE(std::abs(step.inv_root_v - root), root * 0x1.01p-24L) << t;
  }
}

TEST(Adam, ScalesTheGradientBeforeItsMoments) {
  const float g[] = {2.0f, -8.0f}, quarter[] = {0.5f, -2.0f};
  float a[] = {1, 1}, am[2] = {}, av[2] = {}, b[] = {1, 1}, bm[2] = {}, bv[2] = {};
  adam_range(adam_step(0.9f, 0.999f, 1e-5f, 1e-2, 1, 0.25f), g, 0, 2, a, am, av);
  adam_range(adam_step(0.9f, 0.999f, 1e-5f, 1e-2, 1, 1.0f), quarter, 0, 2, b, bm, bv);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(a[i], b[i]);
    EXPECT_EQ(am[i], bm[i]);
    EXPECT_EQ(av[i], bv[i]);
  }
}

}  // namespace
}  // namespace rollmill
