// What Seaquest's bounded lists rest on, under the births and surfacings that fill them most. (That they do what the package's
// unbounded ones do is the oracle test's business.)
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>
#include <vector>

#include "envs/describe.h"
#include "envs/minatar/seaquest.h"

namespace rollmill {
namespace {

using State = Seaquest::State;
using Scene = Seaquest::Scene;

struct Most {
  int alive = 0, births_later = 0, in_a_cell = 0, shooting = 0, bullets = 0, divers = 0;
  int usual = 0;  // steps in which Seaquest::usual held
};

// The game with its shorter texts, or without.
template <class Game>
std::vector<std::uint32_t> observed(const State& s) {
  std::vector<std::uint32_t> words(Seaquest::Observation::kSize);
  Game::observe(s, Seaquest::Params{}, Words{words.data(), 1});
  return words;
}

std::vector<std::uint32_t> words_of(State s) {
  std::vector<std::uint32_t> words;
  visit_words(s, [&](auto& word) { words.push_back(word); });
  return words;
}

// The shorter texts do what the full ones do.
void expect_the_same(const State& before, std::int32_t action, const Seaquest::Draws& draws) {
  const Seaquest::Params p;
  EXPECT_EQ(observed<Seaquest>(before), observed<Usual<Seaquest>>(before));
  State full = before, shorter = before;
  const Transition t = Seaquest::apply(full, p, action, draws);
  const Transition u = Seaquest::apply_usual(shorter, p, action, draws);
  EXPECT_EQ(t.reward, u.reward);
  EXPECT_EQ(t.reason, u.reason);
  EXPECT_EQ(words_of(full), words_of(shorter));
}

// Before a step: nothing that is still there may be pushed out by it.
void expect_room(const Scene& s) {
  EXPECT_EQ(s.enemies.alive & 1u, 0u) << "the oldest enemy is about to be shifted out";
  if (s.diver_timer == 0) {
    EXPECT_EQ(s.old_diver, 0u);
  }
  if (s.shot_timer == 0) {
    EXPECT_EQ(s.old_bullet, 0u);
  }
}

std::uint32_t sliced(const std::uint32_t* words, int count, int bit) {
  std::uint32_t value = 0;
  for (int k = 0; k < count; ++k) value |= (words[k] >> bit & 1u) << k;
  return value;
}

// No two enemies share row, column and timer; rows have one direction.
void look_at_enemies(const Scene& s, Most& most) {
  const minatar::Enemies& e = s.enemies;
  std::multiset<std::uint32_t> cells;
  std::set<std::uint32_t> places;
  std::uint32_t seen[8] = {};
  int shooting = 0;
  for (int k = 0; k < 32; ++k) {
    if ((e.alive >> k & 1u) == 0) continue;
    const std::uint32_t row = sliced(e.row, 3, k), cell = row * 10 + sliced(e.column, 4, k);
    cells.insert(cell);
    EXPECT_TRUE(places.insert(cell * 8 + sliced(e.timer, 3, k)).second);
    seen[row] |= 1u << (e.right >> k & 1u);
    shooting += (e.submarine >> k & 1u) != 0 && sliced(e.shot, 4, k) == 0;
    most.in_a_cell = std::max(most.in_a_cell, static_cast<int>(cells.count(cell)));
  }
  for (const std::uint32_t directions : seen) EXPECT_NE(directions, 3u);
  most.alive = std::max(most.alive, std::popcount(e.alive));
  if (e.alive != 0) most.births_later = std::max(most.births_later, 31 - std::countr_zero(e.alive));
  most.shooting = std::max(most.shooting, shooting);
  EXPECT_LE(shooting, 3);
}

// Plays on after ends; there are always divers to surface with, `hurry` of 4 steps go up or down at the surface, and enemies all
// come from one side, so that no birth is called off.
Most play(std::uint32_t seed, std::uint32_t hurry, bool all_submarines, int steps) {
  Most most;
  const Seaquest::Params p;
  State state{};
  Seaquest::apply_reset(state, p, {});
  for (int t = 0; t < steps && !testing::Test::HasFailure(); ++t) {
    Scene s = Seaquest::unpack(state);
    s.divers_held = -100;
    s.oxygen = 100;
    Seaquest::pack(s, state);
    expect_room(s);
    look_at_enemies(s, most);
    most.bullets = std::max(most.bullets, (s.old_bullet != 0) + (s.new_bullet != 0));
    most.divers = std::max(most.divers, (s.old_diver != 0) + (s.new_diver != 0));
    Rng rng(seed, Purpose::kTest, 0, 0, static_cast<std::uint32_t>(t));
    auto draws = Seaquest::draw(p, rng);
    draws.sticky = 0;
    draws.enemy_right = 1;
    draws.enemy_is_sub |= all_submarines;
    const bool bounces = (rng.bits() & 3u) < hurry;
    const std::uint32_t other = multiply_high(rng.bits(), 6);
    const std::int32_t action = !bounces   ? static_cast<std::int32_t>(other)
                                : s.y == 0 ? minatar::kDown
                                           : minatar::kUp;
    if (Seaquest::usual(state, p)) {
      expect_the_same(state, action, draws);
      ++most.usual;
    }
    Seaquest::apply(state, p, action, draws);
  }
  return most;
}

TEST(Seaquest, ListsNeverOverflow) {
  Most all;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    const Most most = play(seed, seed % 5, seed % 2 == 0, 700);
    all.alive = std::max(all.alive, most.alive);
    all.births_later = std::max(all.births_later, most.births_later);
    all.in_a_cell = std::max(all.in_a_cell, most.in_a_cell);
    all.shooting = std::max(all.shooting, most.shooting);
    all.bullets = std::max(all.bullets, most.bullets);
    all.divers = std::max(all.divers, most.divers);
    all.usual += most.usual;
  }
  // The limits are reached: the test fills the lists.
  EXPECT_EQ(all.alive, 29);
  EXPECT_EQ(all.births_later, 28);  // an enemy goes in the step of the 29th
  EXPECT_EQ(all.in_a_cell, 3);
  EXPECT_GE(all.shooting, 2);
  EXPECT_EQ(all.bullets, 2);
  EXPECT_EQ(all.divers, 2);
  EXPECT_GT(all.usual, 10000);
}

}  // namespace
}  // namespace rollmill
