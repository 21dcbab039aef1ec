// MinAtar: what the scripted players earn, and what may not depend on how a state was reached.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "envs/minatar/breakout.h"
#include "envs/minatar/freeway.h"
#include "envs/minatar/space_invaders.h"

namespace rollmill {
namespace {

struct Played {
  double mean_return;
  double ended;  // part of the episodes that ended within the limit
};

template <class Env>
Played play_expert(float sticky, int episodes, int limit) {
  typename Env::Params p;
  p.sticky_probability = sticky;
  Played played{};
  for (int e = 0; e < episodes; ++e) {
    const auto episode = static_cast<std::uint32_t>(e);
    typename Env::State s{};
    Rng start(1, Purpose::kReset, 0, episode, 0);
    Env::reset(s, p, start);
    for (int t = 0; t < limit; ++t) {
      Rng rng(1, Purpose::kStep, 0, episode, static_cast<std::uint32_t>(t));
      const Transition result = Env::step(s, p, Env::expert(s, p), rng);
      played.mean_return += result.reward / episodes;
      if (result.reason == 0) continue;
      played.ended += 1.0 / episodes;
      break;
    }
  }
  std::printf("%s, sticky %.1f: return %.1f in at most %d steps, %.2f ended\n", Env::info.id,
              sticky, played.mean_return, limit, played.ended);
  return played;
}

// Without repeated actions the ball is never lost, and walls go down one after another: 90 bricks are three.
TEST(MinAtarExpert, BreakoutNeverLosesTheBall) {
  const Played played = play_expert<Breakout>(0.0f, 20, 2000);
  EXPECT_EQ(played.ended, 0.0);
  EXPECT_GT(played.mean_return, 90);
  EXPECT_GT(play_expert<Breakout>(0.1f, 20, 2000).mean_return, Breakout::info.solved_at);
}

// 2,501 steps, one move in three, nine moves a crossing: at most 93.
TEST(MinAtarExpert, FreewayCrosses) {
  const Played played = play_expert<Freeway>(0.0f, 8, 5000);
  EXPECT_EQ(played.ended, 1.0);
  EXPECT_GT(played.mean_return, 40);
  EXPECT_LE(played.mean_return, 93);
  EXPECT_GT(play_expert<Freeway>(0.1f, 8, 5000).mean_return, Freeway::info.solved_at);
}

TEST(MinAtarExpert, SpaceInvadersShootsTwoWaves) {
  EXPECT_GT(play_expert<SpaceInvaders>(0.0f, 20, 2000).mean_return, SpaceInvaders::info.solved_at);
  EXPECT_GT(play_expert<SpaceInvaders>(0.1f, 20, 2000).mean_return, SpaceInvaders::info.solved_at);
}

// What SpaceInvaders::hit_aliens relies on, under random fire: at most one friendly bullet in three rows, one enemy bullet.
TEST(MinAtarSpaceInvaders, BulletsKeepTheirDistance) {
  const SpaceInvaders::Params p;
  SpaceInvaders::State s{};
  SpaceInvaders::apply_reset(s, p, {});
  int friendly = 0, enemy = 0;
  for (std::uint32_t t = 0; t < 50000; ++t) {
    Rng rng(2, Purpose::kTest, 0, 0, t);
    const auto action = static_cast<std::int32_t>(rng.integer(SpaceInvaders::kChoices));
    const Transition result = SpaceInvaders::step(s, p, action, rng);
    for (const std::uint32_t word : s.friendly) {
      ASSERT_EQ(word & (word - 1u), 0u) << t;
      friendly += word != 0;
    }
    int shots = 0;
    for (const std::uint32_t word : s.enemy) shots += __builtin_popcount(word);
    ASSERT_LE(shots, 1) << t;
    enemy += shots;
    int left = 0;
    for (const std::uint32_t word : s.aliens) left += __builtin_popcount(word);
    ASSERT_EQ(static_cast<std::uint32_t>(left), SpaceInvaders::unpack(s).count) << t;
    if (result.reason != 0) SpaceInvaders::apply_reset(s, p, {});
  }
  EXPECT_GT(friendly, 1000);
  EXPECT_GT(enemy, 1000);
}

// Speeds of Freeway's cars are uniform over the ten outcomes: chi-square with 9 degrees of freedom, 0.9999 quantile 33.7,
// for each of the eight cars.
TEST(MinAtarFreeway, SpeedsAreUniform) {
  constexpr int kDraws = 100000;
  int counts[8][16] = {};
  for (std::uint32_t t = 0; t < kDraws; ++t) {
    Rng rng(3, Purpose::kTest, 0, 0, t);
    const std::uint32_t speeds = Freeway::draw({}, rng).speeds;
    for (int car = 0; car < 8; ++car) ++counts[car][(speeds >> (4 * car)) & 15u];
  }
  for (const auto& of_car : counts) {
    double chi_square = 0;
    int seen = 0;
    for (int speed = 1; speed <= 5; ++speed) {
      for (const int count : {of_car[speed], of_car[8 + speed]}) {
        chi_square += (count - 0.1 * kDraws) * (count - 0.1 * kDraws) / (0.1 * kDraws);
        seen += count;
      }
    }
    EXPECT_EQ(seen, kDraws);
    EXPECT_LT(chi_square, 33.7);
  }
}

}  // namespace
}  // namespace rollmill
