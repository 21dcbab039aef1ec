// MemoryCorridor: the expert leaves by the right door, a policy without memory by a random one, and the packed window is what
// a plainly drawn map shows.
#include "envs/grid/memory_corridor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/envs/grid/levels.h"

namespace rollmill {
namespace {

using Env = MemoryCorridor;
using test::BestFunction;
using test::Level;

constexpr auto kNothing = [](const auto&, const auto&, const auto&) {};

bool bit(const test::ObservationWords<Env>& o, int plane, int row, int column) {
  const int index = Env::Observation::index(plane, row, column);
  return (o[index / 32] >> (index % 32) & 1u) != 0;
}

// The whole map, cell by cell, straight from the header's drawing: wall, floor, door, and the symbol on it (-1: none).
struct Cell {
  bool wall = true, door = false;
  int symbol = -1;
};
Cell cell_at(const Env::State& s, const Env::Params& p, int x, int y) {
  Cell cell;
  const bool corridor = y == p.cues - 1 && x >= 0 && x <= p.length;
  const bool rows = y >= 0 && y <= 2 * p.cues - 2;
  cell.door = rows && x == p.length + 1 && y % 2 == 0;
  cell.wall = !corridor && !(rows && x == p.length) && !cell.door;
  if (cell.door) cell.symbol = y / 2;
  if (corridor && x == 0 && s.time < p.cue_steps) cell.symbol = s.cue;
  if (corridor && x > 0 && x < p.length - 2) cell.symbol = Env::distractor(s, p, x);
  return cell;
}

Env::Action::Value random_move(std::uint32_t number, int t) {
  Rng rng(1, Purpose::kAction, 0, number, static_cast<std::uint32_t>(t));
  const std::uint32_t draw = rng.integer(8);  // to the right half of the time
  return draw < 4 ? static_cast<int>(draw) : 1;
}

TEST(MemoryCorridor, ExpertSolvesEveryLevelByTheShortestWay) {
  for (std::uint32_t number = 0; number < 10000; ++number) {
    Level<Env> level = test::make_level<Env>(number);
    const int sideways = std::abs(2 * level.state.cue - (level.params.cues - 1));
    const test::Ended ended = test::play_expert(level);
    ASSERT_EQ(ended.reason, 1u) << "level " << number;
    ASSERT_EQ(ended.episode_return, 1.0f);
    ASSERT_EQ(ended.steps, level.params.length + sideways + 1);
  }
}

TEST(MemoryCorridor, WindowIsTheMap) {
  for (std::uint32_t number = 0; number < 400; ++number) {
    Level<Env> level = test::make_level<Env>(number);
    if (number % 2 == 0) level.params.length = 4 + level.params.length % 9;  // the hall in reach
    int t = 0;
    const auto see = [&](const Env::State& s, const Env::Params& p, Env::Action::Value) {
      const auto o = test::observe<Env>(s, p);
      for (int row = 0; row < 5; ++row) {
        for (int column = 0; column < 5; ++column) {
          const Cell cell = cell_at(s, p, s.x + column - 2, s.y + row - 2);
          ASSERT_EQ(bit(o, 0, row, column), cell.wall);
          ASSERT_EQ(bit(o, 1, row, column), cell.door);
          for (int k = 0; k < Env::kCues; ++k)
            ASSERT_EQ(bit(o, 2 + k, row, column), cell.symbol == k);
        }
      }
      EXPECT_EQ(o[7] >> (Env::Observation::kElements % 32), 0u);  // beyond the last element
    };
    test::play(
        level, [&](const auto&, const auto&) { return random_move(number, t++); }, see);
  }
}

// The control: at the first step into the hall every level shows the same window, so no function of it beats one door in
// `cues`. Its score with hindsight is a maximum of binomial counts: their deviation is below sqrt(1 / (cues n)), times five.
TEST(MemoryCorridor, WithoutMemoryOneInTheNumberOfCues) {
  constexpr int kLevels = 10000;
  for (int cues = 2; cues <= Env::kCues; ++cues) {
    BestFunction<test::ObservationWords<Env>> at_hall;
    for (std::uint32_t number = 0; number < kLevels; ++number) {
      Rng rng(1, Purpose::kParameters, 0, number, 0);
      Env::Params params = test::draw_params<Env>(rng);
      params.cues = cues;
      Level<Env> level = test::make_level<Env>(number, params);
      bool arrived = false;
      const auto see = [&](const Env::State& s, const Env::Params& p, Env::Action::Value) {
        if (s.x == p.length && !arrived) at_hall.add(test::observe<Env>(s, p), s.cue);
        arrived = arrived || s.x == p.length;
      };
      test::play(
          level, [](const auto& s, const auto& p) { return Env::expert(s, p); }, see);
    }
    EXPECT_EQ(at_hall.keys(), 1u);
    EXPECT_LT(at_hall.success(), 1.0 / cues + 5 * std::sqrt(1.0 / (cues * double{kLevels})));
    // 0.9999 quantile of chi-square with 7 degrees of freedom: 29.9; with fewer it is lower.
    EXPECT_LT(test::chi_square(at_hall.cases().begin()->second, cues), 29.9) << cues;
  }
}

// States that differ only in the cue look the same wherever the cue is out of sight or gone: on the whole way from column
// 3 on nothing a policy without memory could see depends on it. And while it lies in sight it can be told.
TEST(MemoryCorridor, NothingLeaksOnceTheCueIsGone) {
  for (std::uint32_t number = 0; number < 400; ++number) {
    Level<Env> level = test::make_level<Env>(number);
    int t = 0;
    const auto see = [&](const Env::State& s, const Env::Params& p, Env::Action::Value) {
      const bool visible = s.x <= 2 && s.time < p.cue_steps;
      for (int other = 0; other < p.cues; ++other) {
        Env::State twin = s;
        twin.cue = other;
        ASSERT_EQ(test::observe<Env>(twin, p) == test::observe<Env>(s, p),
                  !visible || other == s.cue);
      }
    };
    test::play(
        level, [&](const auto&, const auto&) { return random_move(number, t++); }, see);
  }
}

// Windows and a memory of one symbol are enough: this walker never reads the state.
TEST(MemoryCorridor, WindowsAndOneRememberedSymbolAreEnough) {
  for (std::uint32_t number = 0; number < 2000; ++number) {
    Level<Env> level = test::make_level<Env>(number);
    int remembered = -1;
    const auto policy = [&](const Env::State& s, const Env::Params& p) -> Env::Action::Value {
      const auto o = test::observe<Env>(s, p);
      int lowest = -1, nearest = 9;  // a door in sight, and where
      for (int k = 0; k < Env::kCues; ++k) {
        if (remembered < 0 && bit(o, 2 + k, 2, 2)) remembered = k;
        for (int row = 0; row < 5; ++row) {
          if (!bit(o, 1, row, 3) || !bit(o, 2 + k, row, 3)) continue;
          if (k == remembered) nearest = row - 2;
          lowest = k;
        }
      }
      if (lowest < 0) return 1;
      if (nearest == 0) return 1;
      if (nearest < 9) return nearest < 0 ? 0 : 2;
      return remembered < lowest ? 0 : 2;  // doors are in the order of their symbols
    };
    ASSERT_EQ(test::play(level, policy, kNothing).reason, 1u) << "level " << number;
  }
}

TEST(MemoryCorridor, EndsForEachReason) {
  Env::Params params;
  for (int cue = 0; cue < 2; ++cue) {
    Level<Env> level = test::make_level<Env>(1, params);
    level.state.cue = cue;
    const auto always_up = [](const Env::State& s, const Env::Params& p) {
      return s.x < p.length || s.y == 0 ? 1 : 0;
    };
    EXPECT_EQ(test::play(level, always_up, kNothing).reason, cue == 0 ? 1u : 2u);
  }
  Level<Env> level = test::make_level<Env>(1, params);
  const auto back = [](const auto&, const auto&) { return 3; };
  const test::Ended ended = test::play(level, back, kNothing);
  EXPECT_EQ(ended.reason, 3u);
  EXPECT_EQ(ended.steps, params.length + params.cues + params.slack);
}

// Distractors are as frequent as the parameter says, of every symbol alike, and not alike in neighbouring cells or levels.
TEST(MemoryCorridor, DistractorsAreRandom) {
  Env::Params p;
  p.cues = 5;
  p.length = 512;
  p.distractors = 0.5f;
  std::map<std::int32_t, std::int64_t> symbols, pairs;
  std::int64_t cells = 0, there = 0;
  for (std::uint32_t number = 0; number < 200; ++number) {
    const Env::State s = test::make_level<Env>(number, p).state;
    for (int x = 1; x < p.length - 2; ++x) {
      const int symbol = Env::distractor(s, p, x), next = Env::distractor(s, p, x + 1);
      ++cells;
      there += symbol >= 0 ? 1 : 0;
      if (symbol >= 0) ++symbols[symbol];
      if (symbol >= 0 && next >= 0 && x % 2 == 1) ++pairs[symbol * 5 + next];
    }
    for (const int x : {-1, 0, p.length - 2, p.length}) EXPECT_EQ(Env::distractor(s, p, x), -1);
  }
  const auto n = static_cast<double>(cells);
  EXPECT_NEAR(static_cast<double>(there) / n, 0.5, 4 * std::sqrt(0.25 / n));
  EXPECT_LT(test::chi_square(symbols, 5), 23.5);  // 0.9999 quantile, 4 degrees of freedom
  EXPECT_LT(test::chi_square(pairs, 25), 60.0);   // the same, 24 degrees: 59.9
}

TEST(MemoryCorridor, TimeLimitIsNeverShort) {
  Env::Params p;
  p.visit([](const FieldInfo& f, auto& value) {
    value = static_cast<std::remove_reference_t<decltype(value)>>(f.high);
  });
  EXPECT_EQ(Env::info.time_limit, p.length + p.cues + p.slack);
}

}  // namespace
}  // namespace rollmill
