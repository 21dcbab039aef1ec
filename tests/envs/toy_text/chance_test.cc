// The randomness of the toy text tasks: how often each outcome comes. Every test is a chi-square test at a significance of
// 1e-6 (a correct generator fails one in a million of them; the seeds are fixed, so a run repeats).
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "envs/toy_text/blackjack.h"
#include "envs/toy_text/cliff_walking.h"
#include "envs/toy_text/frozen_lake.h"
#include "envs/toy_text/taxi.h"

namespace rollmill {
namespace {

// Upper 1e-6 quantile of chi-square by Wilson and Hilferty (1931): z = 4.75; within 2 % for the degrees used here.
double critical(int degrees) {
  const double k = degrees, c = 2.0 / (9.0 * k);
  return 1.02 * k * std::pow(1.0 - c + 4.75 * std::sqrt(c), 3.0);
}

// Counts against probabilities; an outcome of probability 0 must not come at all.
void expect_frequencies(const std::vector<int>& counts, const std::vector<double>& probabilities) {
  double n = 0, statistic = 0;
  int degrees = -1;
  for (const int count : counts) n += count;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const double expected = n * probabilities[k];
    if (expected == 0) {
      EXPECT_EQ(counts[k], 0) << k;
      continue;
    }
    statistic += (counts[k] - expected) * (counts[k] - expected) / expected;
    ++degrees;
  }
  if (degrees == 0) return;  // only one outcome may come
  EXPECT_LT(statistic, critical(degrees)) << "of " << n << " draws";
}

constexpr int kDraws = 400000;
const std::vector<double> kThirds = {1.0 / 3, 1.0 / 3, 1.0 / 3};

template <class Env>
Rng step_key(int i) {
  const auto u = static_cast<std::uint32_t>(i);
  return Rng(7, Purpose::kStep, u % 1000, u / 1000, 0);
}
Rng reset_key(int i) {
  const auto u = static_cast<std::uint32_t>(i);
  return Rng(7, Purpose::kReset, u % 1000, u / 1000, 0);
}

// How often a step from a middle cell leads to each of `cells`. It must lead nowhere else.
template <class Env>
std::vector<int> ways(const typename Env::State& from, const typename Env::Params& params,
                      int action, const std::vector<std::uint32_t>& cells) {
  std::vector<int> counts(cells.size(), 0);
  int elsewhere = 0;
  for (int i = 0; i < kDraws; ++i) {
    typename Env::State s = from;
    Rng rng = step_key<Env>(i);
    Env::step(s, params, action, rng);
    std::uint32_t cell = 0;
    if constexpr (requires { s.position; }) cell = s.position;
    if constexpr (requires { s.cell; }) cell = s.cell;
    std::size_t k = 0;
    while (k < cells.size() && cells[k] != cell) ++k;
    ++(k < cells.size() ? counts[k] : elsewhere);
  }
  EXPECT_EQ(elsewhere, 0);
  return counts;
}

TEST(ToyTextChance, FrozenLakeSlips) {
  const FrozenLake8x8::State middle{9, {0, 0}};  // right: 10, below: 17, above: 1
  FrozenLake8x8::Params p;
  expect_frequencies(ways<FrozenLake8x8>(middle, p, 2, {17, 10, 1}), kThirds);
  p.success_rate = 0.75f;
  expect_frequencies(ways<FrozenLake8x8>(middle, p, 2, {17, 10, 1}), {0.125, 0.75, 0.125});
  p.is_slippery = 0;
  expect_frequencies(ways<FrozenLake8x8>(middle, p, 2, {17, 10, 1}), {0, 1, 0});
}

TEST(ToyTextChance, CliffWalkingSlips) {
  CliffWalking::Params p;
  expect_frequencies(ways<CliffWalking>({17}, p, 1, {5, 18, 29}), {0, 1, 0});
  p.is_slippery = 1;
  expect_frequencies(ways<CliffWalking>({17}, p, 1, {5, 18, 29}), kThirds);
}

TEST(ToyTextChance, TaxiSlipsInRain) {
  Taxi::Params p;
  const Taxi::State middle{12, 0, 1, 0};
  expect_frequencies(ways<Taxi>(middle, p, 2, {7, 13, 17}), {0, 1, 0});
  p.is_rainy = 1;
  expect_frequencies(ways<Taxi>(middle, p, 2, {7, 13, 17}), {0.1, 0.8, 0.1});
}

TEST(ToyTextChance, TaxiStartsAnywhere) {
  Taxi::Params p;
  p.fickle_passenger = 1;
  std::vector<int> starts(25 * 16, 0), fickle(2, 0), goals(4, 0);
  for (int i = 0; i < kDraws; ++i) {
    Taxi::State s{};
    Rng rng = reset_key(i);
    Taxi::reset(s, p, rng);
    ++starts.at((s.cell * 4 + s.passenger) * 4 + s.destination);
    ++fickle.at(s.fickle);
    s = {12, Taxi::kRiding, 1, 1};
    Rng step = step_key<Taxi>(i);
    Taxi::step(s, p, 2, step);
    ++goals.at(s.destination);
  }
  std::vector<double> expected;
  for (int k = 0; k < 25 * 16; ++k) expected.push_back(k / 4 % 4 == k % 4 ? 0.0 : 1.0 / 300);
  expect_frequencies(starts, expected);
  expect_frequencies(fickle, {0.7, 0.3});
  expect_frequencies(goals, {1.0 / 3, 0, 1.0 / 3, 1.0 / 3});
}

// Each of the ten cards of a draw, pairs of neighbours (which mostly share random bits), and the dealer's two first cards.
TEST(ToyTextChance, BlackjackCards) {
  std::vector<double> card(11, 1.0 / 13), pair;
  card[0] = 0;
  card[10] = 4.0 / 13;
  for (int k = 0; k < 121; ++k) pair.push_back(card[k / 11] * card[k % 11]);
  std::vector<std::vector<int>> singles(12, std::vector<int>(11, 0)),
      pairs(10, std::vector<int>(121, 0));
  for (int i = 0; i < kDraws; ++i) {
    Rng rng = step_key<Blackjack>(i);
    const Blackjack::Draws d = Blackjack::draw({}, {}, rng);
    for (int k = 0; k < 10; ++k) {
      ++singles[k].at(d.card[k]);
      if (k > 0) ++pairs[k].at(d.card[k - 1] * 11 + d.card[k]);
    }
    Blackjack::State s{};
    Rng reset = reset_key(i);
    Blackjack::reset(s, {}, reset);
    ++singles[10].at(s.showing);
    ++singles[11].at(s.dealer - s.showing);
  }
  for (int k = 0; k < 12; ++k) expect_frequencies(singles[k], card);
  for (int k = 1; k < 10; ++k) expect_frequencies(pairs[k], pair);
}

// ---- random maps
bool can_cross(std::uint64_t holes, int side) {
  std::vector<int> queue{0};
  std::vector<bool> seen(static_cast<std::size_t>(side * side), false);
  seen[0] = true;
  for (std::size_t k = 0; k < queue.size(); ++k) {
    const int row = queue[k] / side, column = queue[k] % side;
    for (const auto& [r, c] : {std::pair{row - 1, column}, std::pair{row + 1, column},
                               std::pair{row, column - 1}, std::pair{row, column + 1}}) {
      if (r < 0 || c < 0 || r >= side || c >= side) continue;
      const int cell = r * side + c;
      if (seen[static_cast<std::size_t>(cell)] || ((holes >> cell) & 1) != 0) continue;
      seen[static_cast<std::size_t>(cell)] = true;
      queue.push_back(cell);
    }
  }
  return seen.back();
}

template <class Env>
std::uint64_t drawn_map(const typename Env::Params& p, int i) {
  typename Env::State s{};
  Rng rng = reset_key(i);
  Env::reset(s, p, rng);
  std::uint64_t holes = s.holes[0];
  if constexpr (Env::Map::kWords > 1) holes |= std::uint64_t{s.holes[1]} << 32;
  return holes;
}

// Maps of 4 x 4 against their exact distribution: p to the number of frozen tiles, given that one can cross. All 2^14 maps
// are enumerated; each tile is one test, the number of holes another.
TEST(ToyTextChance, SmallMapsHaveTheirDistribution) {
  for (const double frozen : {0.8, 0.5}) {
    std::vector<double> tile(16, 0), holes(15, 0);
    double all = 0;
    for (std::uint64_t map = 0; map < 1u << 16; map += 2) {
      if ((map >> 15) != 0 || !can_cross(map, 4)) continue;
      const int count = __builtin_popcountll(map);
      const double weight = std::pow(frozen, 14 - count) * std::pow(1 - frozen, count);
      all += weight;
      holes[count] += weight;
      for (int k = 0; k < 16; ++k) tile[k] += (map >> k & 1) != 0 ? weight : 0;
    }
    FrozenLake::Params p;
    p.random_map = 1;
    p.frozen_probability = static_cast<float>(frozen);
    std::vector<int> tiles(16, 0), counts(15, 0);
    constexpr int kMaps = 100000;
    for (int i = 0; i < kMaps; ++i) {
      const std::uint64_t map = drawn_map<FrozenLake>(p, i);
      ASSERT_TRUE(can_cross(map, 4)) << i;
      ++counts.at(static_cast<std::size_t>(__builtin_popcountll(map)));
      for (int k = 0; k < 16; ++k) tiles[k] += (map >> k & 1) != 0;
    }
    for (int k = 0; k < 16; ++k) {
      expect_frequencies({tiles[k], kMaps - tiles[k]}, {tile[k] / all, 1 - tile[k] / all});
    }
    // Counts that come less than 5 times in the mean are left to the tiles.
    std::vector<int> common;
    std::vector<double> expected;
    int seen = 0;
    double rest = 1;
    for (int k = 0; k < 15; ++k) {
      if (holes[k] / all * kMaps < 5) continue;
      common.push_back(counts[k]);
      expected.push_back(holes[k] / all);
      seen += counts[k];
      rest -= holes[k] / all;
    }
    for (double& e : expected) e /= 1 - rest;
    EXPECT_GT(seen, kMaps - 100);
    expect_frequencies(common, expected);
  }
}

// However few tiles are frozen; with none of them the path that is made in the end is all there is.
TEST(ToyTextChance, EveryMapCanBeCrossed) {
  for (const float frozen : {1.0f, 0.8f, 0.6f, 0.3f, 0.0f}) {
    FrozenLake8x8::Params p;
    p.random_map = 1;
    p.frozen_probability = frozen;
    int wrong = 0, holes = 0;
    for (int i = 0; i < 10000; ++i) {
      const std::uint64_t map = drawn_map<FrozenLake8x8>(p, i);
      wrong += !can_cross(map, 8) || (map & 1) != 0 || (map >> 63) != 0;
      holes += __builtin_popcountll(map);
    }
    EXPECT_EQ(wrong, 0) << frozen;
    if (frozen == 1.0f) {
      EXPECT_EQ(holes, 0);
    }
    if (frozen == 0.0f) {
      EXPECT_EQ(holes, 10000 * (64 - 15));
    }
  }
}

}  // namespace
}  // namespace rollmill
