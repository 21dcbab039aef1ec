// Running moments against NumPy in float64 (tests/oracle/make_statistics.py), and what the normaliser makes of them.
#include "rollout/normalizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "rollout/column_kernels.h"
#include "rollout/mlp/forward.h"
#include "tests/oracle/fixtures/fixture.h"
#include "tests/support/shapes.h"

namespace rollmill {
namespace {

std::vector<float> column(const testing::Fixture& f, std::size_t k) {
  const auto all = f.floats("columns");
  const auto n = static_cast<std::ptrdiff_t>(all.size() / 3);
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(k) * n;
  return {first, first + n};
}

Moments merged(const std::vector<float>& x, std::size_t block) {
  Moments total;
  for (std::size_t i = 0; i < x.size(); i += block) {
    total.merge(column_moments(x.data() + i, static_cast<int>(std::min(block, x.size() - i))));
  }
  return total;
}

// Tolerance: a mean of 1e4 is known to 2e-12, which against the deviation of 0.05 is 4e-11 of the variance, in each of a few
// hundred merges of random sign: 1e-9. Sums of squares (1e4^2 * 240 * 1e-16 = 2e-6 against 0.0025) or float32 fail it.
TEST(Moments, EqualNumpyForAnyBlocks) {
  const testing::Fixture f("statistics.txt");
  for (std::size_t k = 0; k < 3; ++k) {
    const std::vector<float> x = column(f, k);
    for (std::size_t block : {1u, 2u, 7u, 64u, 239u, 240u, 1000u}) {
      const Moments m = merged(x, block);
      const double mean = f.at("columns_mean")[k], variance = f.at("columns_variance")[k];
      EXPECT_EQ(m.count, 240);
      EXPECT_NEAR(m.mean, mean, 1e-13 * std::abs(mean) + 1e-15)
          << "column " << k << " block " << block;
      EXPECT_NEAR(m.variance(), variance, 1e-9 * variance) << "column " << k << " block " << block;
    }
  }
}

TEST(Moments, MergingUnequalPartsInAnyOrder) {
  const testing::Fixture f("statistics.txt");
  const std::vector<float> x = column(f, 0);
  const auto part = [&](int begin, int end) {
    return column_moments(x.data() + begin, end - begin);
  };
  std::vector<Moments> parts = {part(0, 3), part(3, 100), part(100, 101), part(101, 240)};
  std::sort(parts.begin(), parts.end(), [](auto& a, auto& b) { return a.count < b.count; });
  for (int order = 0; order < 4; ++order) {
    std::rotate(parts.begin(), parts.begin() + 1, parts.end());
    Moments total;
    for (const Moments& m : parts) total.merge(m);
    EXPECT_NEAR(total.variance(), f.at("columns_variance")[0], 1e-13);
  }
}

TEST(Moments, EmptyAndSingle) {
  Moments m;
  EXPECT_EQ(m.variance(), 1.0);  // unknown: scale by one
  m.merge({});
  EXPECT_EQ(m.count, 0);
  const Moments before{5, 2.0, 10.0};
  m.merge(before);
  EXPECT_EQ(m.count, 5);
  EXPECT_EQ(m.mean, 2.0);
  EXPECT_EQ(m.m2, 10.0);
  m.merge({});
  EXPECT_EQ(m.mean, 2.0);
}

// Column 0 of a two-column observation, as a network reads it.
std::vector<float> as_read(const std::vector<float>& x, const ObservationNormalizer& normalizer) {
  std::vector<float> columns(x);
  columns.resize(2 * x.size());
  const int n = static_cast<int>(x.size());
  TileInput input(testing::plain_shape(2, true, 2, {4}));
  input.gather({columns.data(), n}, 0, n, normalizer);
  std::vector<float> out;
  for (int r = 0; r < n; ++r) out.push_back(input.dense()[2 * r]);
  return out;
}

TEST(ObservationNormalizer, IdentityBeforeTheFirstUpdateThenStandardises) {
  ObservationNormalizer normalizer(2, true, 3.0f);
  EXPECT_EQ(normalizer.shift()[1], 0.0f);
  EXPECT_EQ(normalizer.scale()[1], 1.0f);
  normalizer.merge({{4, 10.0, 16.0}, {4, -1.0, 0.0}});  // variances 4 and 0
  EXPECT_EQ(normalizer.shift()[0], 10.0f);
  EXPECT_FLOAT_EQ(normalizer.scale()[0], 0.5f);
  EXPECT_FLOAT_EQ(normalizer.scale()[1], 1e4f);  // 1 / sqrt(1e-8): finite for a constant element
  const std::vector<float> out = as_read({12, 10, 30, -30}, normalizer);
  EXPECT_FLOAT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 0.0f);
  EXPECT_EQ(out[2], 3.0f);  // clipped
  EXPECT_EQ(out[3], -3.0f);
}

TEST(ObservationNormalizer, DisabledTouchesNothing) {
  const ObservationNormalizer off(2, false, 0.5f);
  const std::vector<float> out = as_read({1e6f, -7.0f}, off);
  EXPECT_EQ(out[0], 1e6f);
  EXPECT_EQ(out[1], -7.0f);
}

}  // namespace
}  // namespace rollmill
