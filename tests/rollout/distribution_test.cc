// Log-probabilities against closed forms in float64, sampling against the probabilities it was given.
#include "rollout/mlp/distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/rng/rng.h"

namespace rollmill {
namespace {

// math::exp and math::log are within a few ulp (tests/core/math); the sum of `choices` terms rounds choices times and
// the difference to the largest logit once: 1e-6 of the result's and the logits' size.
TEST(LogSoftmax, EqualsFloat64) {
  Rng rng(3, Purpose::kTest, 0, 0, 0);
  for (int choices : {1, 2, 3, 18}) {
    for (float spread : {0.0f, 1.0f, 30.0f, 1e4f}) {
      std::vector<float> z(static_cast<std::size_t>(choices * kTileRows));
      for (float& v : z) v = spread * rng.normal();
      const std::vector<float> logits = z;
      log_softmax(z.data(), choices, kTileRows);
      for (int r = 0; r < kTileRows; ++r) {
        const auto logit = [&](int a) {
          return static_cast<double>(logits[static_cast<std::size_t>(a * kTileRows + r)]);
        };
        double top = logit(0), sum = 0, total = 0;
        for (int a = 1; a < choices; ++a) top = std::max(top, logit(a));
        for (int a = 0; a < choices; ++a) sum += std::exp(logit(a) - top);
        for (int a = 0; a < choices; ++a) {
          const double exact = logit(a) - top - std::log(sum);
          const double got = z[static_cast<std::size_t>(a * kTileRows + r)];
          ASSERT_NEAR(got, exact, 1e-6 * (1 + std::abs(exact) + std::abs(top)))
              << choices << " choices, " << spread;
          total += std::exp(got);
        }
        // Logits of 1e4 leave 1e-3 in a log-probability.
        ASSERT_NEAR(total, 1, spread <= 30 ? 1e-4 : 1e-2);
      }
    }
  }
}

TEST(Categorical, FrequenciesMatchProbabilities) {
  const double p[] = {0.5, 0.03, 0.0, 0.27, 0.2};
  const int batches = 4000;
  std::vector<float> logp(5 * kTileRows);
  for (int a = 0; a < 5; ++a) {
    for (int r = 0; r < kTileRows; ++r) {
      logp[static_cast<std::size_t>(a * kTileRows + r)] =
          p[a] > 0 ? static_cast<float>(std::log(p[a])) : -200.0f;
    }
  }
  std::vector<double> seen(5);
  for (std::uint32_t b = 0; b < batches; ++b) {
    float u[kTileRows];
    std::int32_t action[kTileRows];
    Rng rng(21, Purpose::kTest, b, 0, 0);
    for (float& v : u) v = rng.uniform();
    sample_categorical(logp.data(), u, 5, kTileRows, action);
    for (std::int32_t a : action) ++seen.at(static_cast<std::size_t>(a));
  }
  EXPECT_EQ(seen[2], 0);
  double chi2 = 0;
  for (int a : {0, 1, 3, 4}) {
    const double expected = p[a] * batches * kTileRows;
    chi2 += (seen[static_cast<std::size_t>(a)] - expected) *
            (seen[static_cast<std::size_t>(a)] - expected) / expected;
  }
  EXPECT_LT(chi2,
            21.1);  // chi-square with 3 degrees of freedom: probability 1e-4; the seed is fixed
}

TEST(Categorical, TheExtremeUniformsTakeFirstAndLast) {
  std::vector<float> logp(3 * kTileRows, static_cast<float>(std::log(1.0 / 3)));
  float u[kTileRows] = {0.0f, 1.0f - 0x1p-24f, 0.33f, 0.34f, 0.66f, 0.67f};
  std::int32_t action[kTileRows];
  sample_categorical(logp.data(), u, 3, 6, action);
  const std::int32_t expected[] = {0, 2, 0, 1, 1, 2};
  for (int r = 0; r < 6; ++r) EXPECT_EQ(action[r], expected[r]) << "u = " << u[r];
}

// Over what a mask allows: the distribution of the allowed choices alone, bit for bit; nothing for the others.
TEST(Masked, ExcludedChoicesAreAsIfTheyWereNotThere) {
  constexpr int kChoices = 37, kBefore = 11;  // of two columns; bits of the second one cross a word
  Rng rng(9, Purpose::kTest, 0, 0, 0);
  std::vector<std::uint32_t> mask(2 * kTileRows);
  std::vector<float> z(kChoices * kTileRows);
  for (std::uint32_t& w : mask) w = rng.bits();
  for (float& v : z) v = 5.0f * rng.normal();
  mask[7] = mask[kTileRows + 7] = 0;                 // forbids everything
  mask[8] = 1u << kBefore, mask[kTileRows + 8] = 0;  // one choice each
  const auto allowed = [&](int r, int a) {
    const int b = kBefore + a;
    return r == 7 ||
           ((mask[static_cast<std::size_t>(b / 32 * kTileRows + r)] >> (b % 32)) & 1u) != 0;
  };
  const std::vector<float> logits = z;
  exclude_masked(z.data(), mask.data(), kBefore, kChoices, kTileRows);
  log_softmax(z.data(), kChoices, kTileRows);
  float ends[2][kTileRows];
  for (int r = 0; r < kTileRows; ++r) ends[0][r] = 0.0f, ends[1][r] = 1.0f - 0x1p-24f;
  std::int32_t drawn[2][kTileRows], greedy[kTileRows];
  for (int e = 0; e < 2; ++e) {
    sample_categorical(z.data(), ends[e], kChoices, kTileRows, drawn[e]);
    keep_allowed(z.data(), kChoices, kTileRows, drawn[e]);
  }
  argmax_categorical(z.data(), kChoices, kTileRows, greedy);
  for (int r = 0; r < kTileRows; ++r) {
    std::vector<float> alone;
    std::vector<int> which;
    for (int a = 0; a < kChoices; ++a) {
      if (!allowed(r, a)) continue;
      alone.push_back(logits[static_cast<std::size_t>(a * kTileRows + r)]);
      which.push_back(a);
    }
    log_softmax<1>(alone.data(), static_cast<int>(alone.size()), 1);
    std::size_t next = 0;
    for (int a = 0; a < kChoices; ++a) {
      const float l = z[static_cast<std::size_t>(a * kTileRows + r)];
      if (allowed(r, a)) {
        ASSERT_EQ(l, alone[next++]) << "row " << r << ", choice " << a;
      } else {
        ASSERT_EQ(math::exp(l), 0.0f);
        ASSERT_EQ(math::exp(l) * l, 0.0f);  // what it adds to the entropy
      }
    }
    EXPECT_EQ(drawn[0][r], which.front());
    EXPECT_TRUE(allowed(r, drawn[1][r])) << "row " << r;
    EXPECT_TRUE(allowed(r, greedy[r])) << "row " << r;
  }
}

TEST(Argmax, TakesTheLowestIndexAmongEquals) {
  const float rows[4][4] = {{1, 1, 1, 1}, {0, 2, 2, 1}, {-3, -2, -1, -1}, {5, 4, 5, 5}};
  float logp[4 * kTileRows] = {};
  for (int r = 0; r < 4; ++r) {
    for (int a = 0; a < 4; ++a) logp[a * kTileRows + r] = rows[r][a];
  }
  std::int32_t action[kTileRows];
  argmax_categorical(logp, 4, 4, action);
  EXPECT_EQ(action[0], 0);
  EXPECT_EQ(action[1], 1);
  EXPECT_EQ(action[2], 2);
  EXPECT_EQ(action[3], 0);
}

// z = (raw - mean) / std is rounded three times and squared: 8 * 2^-24 of the largest term.
TEST(Gaussian, LogDensityIsTheClosedForm) {
  Rng rng(5, Purpose::kTest, 0, 0, 0);
  for (float log_std : {-3.0f, -0.5f, 0.0f, 1.5f}) {
    float raw[kTileRows], mean[kTileRows], logp[kTileRows] = {};
    for (int r = 0; r < kTileRows; ++r) {
      mean[r] = 3 * rng.normal();
      raw[r] = mean[r] + 2 * std::exp(log_std) * rng.normal();
      logp[r] = static_cast<float>(r);  // adds to what is there
    }
    add_gaussian_logp(raw, mean, log_std, kTileRows, logp);
    for (int r = 0; r < kTileRows; ++r) {
      const double s = std::exp(static_cast<double>(log_std)),
                   d = static_cast<double>(raw[r]) - mean[r];
      const double density = std::exp(-d * d / (2 * s * s)) / (s * std::sqrt(2 * M_PI));
      const double size = r + d * d / (2 * s * s) + std::abs(log_std) + 1;
      // raw - mean is rounded to an ulp of the operands, which 1/s enlarges.
      const double input = 0x1p-23 * std::abs(d) / s * (std::abs(static_cast<double>(raw[r])) / s);
      ASSERT_NEAR(logp[r], r + std::log(density), 8 * 0x1p-24 * size + input) << log_std;
    }
  }
}

}  // namespace
}  // namespace rollmill
