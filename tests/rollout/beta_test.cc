// The Beta distribution against closed forms in float64 (lgamma of the C library, derivatives of it by differences) and its
// samples against the integral of its density.
#include "rollout/mlp/beta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rollout/mlp/tile_input.h"

namespace rollmill {
namespace {

double log_norm(double a, double b) { return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b); }

// Of 2 x - 1 in [-1, 1].
double exact_logp(double a, double b, double x) {
  return (a - 1) * std::log(x) + (b - 1) * std::log1p(-x) - log_norm(a, b) - std::log(2.0);
}

// By the recurrence up to 30 and the asymptotic series there, whose next term is below 1e-17.
double digamma(double z) {
  double shift = 0;
  for (; z < 30; ++z) shift -= 1 / z;
  const double w = 1 / (z * z);
  return shift + std::log(z) - 0.5 / z -
         w * (1.0 / 12 - w * (1.0 / 120 - w * (1.0 / 252 - w * (1.0 / 240 - w / 132))));
}
double exact_entropy(double a, double b) {
  return log_norm(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) +
         (a + b - 2) * digamma(a + b) + std::log(2.0);
}

constexpr float kShapes[] = {1.0f, 1.001f, 1.5f,  1.6931472f, 2.0f,
                             3.7f, 12.0f,  80.0f, 900.0f,     10001.0f};

// Logarithms are within an ulp of numbers below 17, and are multiplied by shapes: 4e-7 of what is added, and where the density
// is written around its peak, of the shape times the distance from there; shape / sum is rounded twice, which the shape
// multiplies, too: 2^-23 of both.
TEST(Beta, DensityAndItsSlopesAreTheClosedForms) {
  for (const float a : kShapes) {
    for (const float b : kShapes) {
      const BetaTerms t = beta_terms(a, b);
      const double mean = static_cast<double>(a) / (a + b);
      const double deviation = std::sqrt(mean * (1 - mean) / (1.0 + a + b));
      for (const double away : {-3.0, -1.0, -0.1, 0.0, 0.5, 2.0, 4.0}) {
        const float x = bound_beta(static_cast<float>(mean + away * deviation));
        const double dx = static_cast<double>(x);
        const double exact = exact_logp(static_cast<double>(a), static_cast<double>(b), dx);
        // x itself is what it is; its logarithm's last bit counts a times.
        const double size =
            20 +
            (a * std::abs(std::log(dx / mean)) + b * std::abs(std::log((1 - dx) / (1 - mean)))) +
            (static_cast<double>(a) + b) * 0.5;
        EXPECT_NEAR(beta_logp(t, x), exact, 4e-7 * size) << a << " " << b << " " << x;
        const double by_a =
            std::log(dx) - digamma(static_cast<double>(a)) + digamma(static_cast<double>(a) + b);
        const double by_b =
            std::log1p(-dx) - digamma(static_cast<double>(b)) + digamma(static_cast<double>(a) + b);
        EXPECT_NEAR(beta_logp_slope(t, math::log(x), t.wa, t.log_a), by_a,
                    2e-6 * (1 + std::abs(std::log(dx))));
        EXPECT_NEAR(beta_logp_slope(t, math::log(1.0f - x), t.wb, t.log_b), by_b,
                    2e-6 * (1 + std::abs(std::log1p(-dx))));
      }
    }
  }
}

// A term of the entropy's slope is at most 1, of the entropy about 20; differences of float64 have 1e-7 here.
TEST(Beta, EntropyAndItsSlopesAreTheClosedForms) {
  for (const float a : kShapes) {
    for (const float b : kShapes) {
      const BetaTerms t = beta_terms(a, b);
      const auto da = static_cast<double>(a), db = static_cast<double>(b);
      EXPECT_NEAR(beta_entropy(t), exact_entropy(da, db), 1e-5) << a << " " << b;
      const double h = 1e-4 * da;
      const double by_a = (exact_entropy(da + h, db) - exact_entropy(da - h, db)) / (2 * h);
      EXPECT_NEAR(beta_entropy_slope(t, a, t.wa), by_a, 2e-6) << a << " " << b;
      const double k = 1e-4 * db;
      const double by_b = (exact_entropy(da, db + k) - exact_entropy(da, db - k)) / (2 * k);
      EXPECT_NEAR(beta_entropy_slope(t, b, t.wb), by_b, 2e-6) << a << " " << b;
    }
  }
}

TEST(Beta, ShapesAreOnePlusSoftplus) {
  for (double z = -30; z < 60; z += 0.37) {
    const auto output = static_cast<float>(z);
    EXPECT_NEAR(beta_shape(output), 1 + std::log1p(std::exp(static_cast<double>(output))),
                4e-7 * (1 + std::max(0.0, z)));
    EXPECT_NEAR(beta_shape_slope(output), 1 / (1 + std::exp(-static_cast<double>(output))), 2e-7);
  }
  EXPECT_EQ(beta_shape(3e4f), 1.0f + kMaxBetaShape);
  EXPECT_EQ(beta_shape_slope(3e4f), 0.0f);
}

// Kolmogorov and Smirnov: 20,000 samples are farther than 2.2 / sqrt(n) from the integral with probability 1e-4.
TEST(Beta, SamplesFollowTheDensity) {
  constexpr int kSamples = 20000, kGrid = 20000;
  const float pairs[][2] = {{1, 1}, {1, 5}, {1.6931472f, 1.6931472f}, {30, 2}, {500, 300}};
  for (const auto& [a, b] : pairs) {
    std::vector<double> x;
    for (int i = 0; i < kSamples; ++i) {
      Rng rng(5, Purpose::kTest, static_cast<std::uint32_t>(i), 0, 0);
      x.push_back(static_cast<double>(sample_beta(a, b, rng)));
    }
    std::sort(x.begin(), x.end());
    std::vector<double> integral(kGrid + 1);
    for (int g = 0; g < kGrid; ++g) {
      const double middle = (g + 0.5) / kGrid;
      integral[static_cast<std::size_t>(g) + 1] =
          integral[static_cast<std::size_t>(g)] +
          2 * std::exp(exact_logp(static_cast<double>(a), static_cast<double>(b), middle)) / kGrid;
    }
    EXPECT_NEAR(integral.back(), 1, 1e-4);
    double farthest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double at = x[i] * kGrid;
      const auto g = static_cast<std::size_t>(at);
      const double expected = integral[g] + (at - std::floor(at)) * (integral[g + 1] - integral[g]);
      farthest = std::max({farthest, std::abs(expected - static_cast<double>(i) / kSamples),
                           std::abs(expected - static_cast<double>(i + 1) / kSamples)});
    }
    EXPECT_LT(farthest, 2.2 / std::sqrt(kSamples)) << a << " " << b;
  }
}

TEST(Beta, NotANumberStaysOneAndEnds) {
  Rng rng(1, Purpose::kTest, 0, 0, 0);
  EXPECT_TRUE(std::isnan(sample_gamma(std::numeric_limits<float>::quiet_NaN(), rng)));
  float logp = 0;
  const float nan = std::numeric_limits<float>::quiet_NaN(), x = 0.5f, output = 0.0f;
  add_beta_logp<1>(&x, &nan, &output, 1, &logp);
  EXPECT_TRUE(std::isnan(logp));
}

}  // namespace
}  // namespace rollmill
