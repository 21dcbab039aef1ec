// Adam against torch.optim.Adam in float64 (tests/oracle/make_adam.py).
#include "trainer/fused/adam.h"

#include <gtest/gtest.h>

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
