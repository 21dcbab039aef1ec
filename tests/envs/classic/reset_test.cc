// First states of episodes: as Gymnasium draws them, uniform over its ranges, each component for
// itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "envs/batch_cpu.h"
#include "envs/classic/acrobot.h"
#include "envs/classic/cartpole.h"
#include "envs/classic/mountain_car.h"
#include "envs/classic/mountain_car_continuous.h"
#include "envs/classic/pendulum.h"

namespace rollmill {
namespace {

constexpr int kResets = 20000;

// Gymnasium 1.4.0's ranges, copied by hand from its sources; equal ends: always that value.
struct Range {
  double low, high;
};
template <class Env>
std::vector<Range> gymnasium_ranges();
template <>
std::vector<Range> gymnasium_ranges<CartPole>() {
  return std::vector<Range>(4, {-0.05, 0.05});
}
template <>
std::vector<Range> gymnasium_ranges<Acrobot>() {
  return std::vector<Range>(4, {-0.1, 0.1});
}
template <>
std::vector<Range> gymnasium_ranges<MountainCar>() {
  return {{-0.6, -0.4}, {0, 0}};
}
template <>
std::vector<Range> gymnasium_ranges<MountainCarContinuous>() {
  return {{-0.6, -0.4}, {0, 0}};
}
template <>
std::vector<Range> gymnasium_ranges<Pendulum>() {
  return {{-M_PI, M_PI}, {-1, 1}};
}

template <class Env>
class ResetTest : public testing::Test {
 protected:
  // Column k holds component k of kResets first states.
  static std::vector<std::vector<float>> first_states() {
    BatchConfig config;
    config.num_envs = kResets;
    config.seed = 11;
    CpuBatch<Env> batch(config, nullptr);
    std::vector<float> observations(batch.stride() * Env::Observation::kSize);
    batch.reset(observations.data());
    std::vector<std::vector<float>> columns(kWords<typename Env::State>);
    for (int i = 0; i < kResets; ++i) {
      const auto words = batch.state_words(i);
      for (std::size_t k = 0; k < words.size(); ++k)
        columns[k].push_back(math::from_bits(words[k]));
    }
    return columns;
  }
};

using Tasks = testing::Types<CartPole, Acrobot, MountainCar, MountainCarContinuous, Pendulum>;
TYPED_TEST_SUITE(ResetTest, Tasks);

// Kolmogorov and Smirnov's statistic against the uniform distribution. Its value exceeds sqrt(ln(2
// / p) / 2n) by chance with probability p (Massart 1990); p = 1e-6. Also reaches to within 20 / n
// of both ends.
TYPED_TEST(ResetTest, IsUniformOverGymnasiumsRanges) {
  const auto ranges = gymnasium_ranges<TypeParam>();
  auto columns = this->first_states();
  ASSERT_EQ(columns.size(), ranges.size());
  for (std::size_t k = 0; k < columns.size(); ++k) {
    SCOPED_TRACE("component " + std::to_string(k));
    auto& values = columns[k];
    std::sort(values.begin(), values.end());
    const auto [low, high] = ranges[k];
    EXPECT_GE(values.front(), static_cast<float>(low));
    EXPECT_LE(values.back(), static_cast<float>(high));
    if (low == high) continue;
    const double margin = 20.0 / kResets * (high - low);
    EXPECT_LE(values.front(), low + margin);
    EXPECT_GE(values.back(), high - margin);
    double statistic = 0;
    for (int i = 0; i < kResets; ++i) {
      const double at = (values[i] - low) / (high - low);
      statistic = std::max({statistic, at - i / double{kResets}, (i + 1) / double{kResets} - at});
    }
    EXPECT_LE(statistic, std::sqrt(std::log(2 / 1e-6) / (2 * kResets)));
  }
}

// Correlation of two independent columns has a standard deviation of n^-1/2; five of them.
TYPED_TEST(ResetTest, ComponentsAreIndependent) {
  const auto ranges = gymnasium_ranges<TypeParam>();
  const auto columns = this->first_states();
  for (std::size_t a = 0; a < columns.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      if (ranges[a].low == ranges[a].high || ranges[b].low == ranges[b].high) continue;
      double sum = 0;
      for (int i = 0; i < kResets; ++i) {
        const double x = (columns[a][i] - ranges[a].low) / (ranges[a].high - ranges[a].low) - 0.5;
        const double y = (columns[b][i] - ranges[b].low) / (ranges[b].high - ranges[b].low) - 0.5;
        sum += x * y * 12;
      }
      EXPECT_LE(std::abs(sum / kResets), 5 / std::sqrt(double{kResets}));
    }
  }
}

TYPED_TEST(ResetTest, TimeLimitIsGymnasiums) {
  const std::string id = TypeParam::info.id;
  const int expected = id == "MountainCarContinuous-v0"            ? 999
                       : id == "CartPole-v1" || id == "Acrobot-v1" ? 500
                                                                   : 200;
  EXPECT_EQ(TypeParam::info.time_limit, expected);
}

}  // namespace
}  // namespace rollmill
