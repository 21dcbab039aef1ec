// Statistics against NumPy and SciPy (tests/oracle/make_statistics.py).
#include "evaluation/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/oracle/fixtures/fixture.h"

namespace rollmill {
namespace {

// Sums of at most 101 float64 numbers below 1000 in another order: 1e-13 of their size.
TEST(Statistics, EqualNumpyAndScipy) {
  const testing::Fixture f("statistics.txt");
  for (double n : f.at("sizes")) {
    const std::string suffix = std::to_string(static_cast<int>(n));
    const auto& x = f.at("sample" + suffix);
    const auto& expected = f.at("expected" + suffix);
    EXPECT_NEAR(mean(x), expected[0], 1e-10) << n;
    EXPECT_NEAR(median(x), expected[1], 1e-10) << n;
    EXPECT_NEAR(interquartile_mean(x), expected[2], 1e-10) << n;
    EXPECT_NEAR(standard_deviation(x), expected[3], 1e-10) << n;
    auto shuffled = x;  // none depends on the order
    std::reverse(shuffled.begin(), shuffled.end());
    EXPECT_EQ(median(shuffled), median(x));
    EXPECT_NEAR(interquartile_mean(shuffled), expected[2], 1e-10) << n;
  }
}

// Two percentile bootstraps of 20,000 resamples: each end has a standard error of sqrt(0.025 * 0.975 / 20000) / 0.058
// = 0.019 deviations of the mean; five sigma of the difference of two: 0.135. A 90 % interval would be off by 0.31.
TEST(Bootstrap, EqualsScipy) {
  const testing::Fixture f("statistics.txt");
  const auto& x = f.at("bootstrap_sample");
  const double deviation = standard_deviation(x) / std::sqrt(static_cast<double>(x.size()));
  for (std::uint64_t seed : {1u, 2u, 3u}) {
    const Interval i = bootstrap_mean_interval(x, seed, 20000);
    EXPECT_NEAR(i.low, f.at("bootstrap_interval")[0], 0.135 * deviation);
    EXPECT_NEAR(i.high, f.at("bootstrap_interval")[1], 0.135 * deviation);
  }
}

TEST(Bootstrap, IsAFunctionOfDataAndSeed) {
  const testing::Fixture f("statistics.txt");
  const auto& x = f.at("sample101");
  const Interval a = bootstrap_mean_interval(x, 1), b = bootstrap_mean_interval(x, 1),
                 c = bootstrap_mean_interval(x, 2);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_NE(a.low, c.low);
  EXPECT_LT(a.low, mean(x));
  EXPECT_GT(a.high, mean(x));
}

TEST(Bootstrap, OfEqualNumbersIsThatNumber) {
  const Interval i = bootstrap_mean_interval({7.5, 7.5, 7.5, 7.5}, 3);
  EXPECT_EQ(i.low, 7.5);
  EXPECT_EQ(i.high, 7.5);
  const Interval one = bootstrap_mean_interval({-2.0}, 3);
  EXPECT_EQ(one.low, -2.0);
  EXPECT_EQ(one.high, -2.0);
}

}  // namespace
}  // namespace rollmill
