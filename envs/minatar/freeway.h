// MinAtar Freeway: a chicken crosses eight lanes of cars, each with a speed and a direction of its own.
// Rules of the `minatar` package 1.0.15 (Young and Tian 2019), step for step.
//
// The cars are eight nibbles of a word, moved all at once: car i, in row i + 1, is bits 4 i to 4 i + 3 of State::columns (where
// it is), of State::timers (steps until it moves), and of State::speeds (bit 3: to the right, bits 0 to 2: it moves every
// 1 to 5 steps).
#pragma once

#include <algorithm>
#include <utility>

#include "envs/minatar/common.h"

namespace rollmill {

struct FreewayGame {
  static constexpr EnvInfo about{
      "Freeway",
      "Cross a road of eight lanes of cars as often as possible.",
      0,
      0.0,
      1.0,
      40.0,
      {"time_is_up"},  // the game's own end after 2,501 steps, seen by no one: a termination in the package, too
      "Young and Tian 2019, MinAtar (arXiv:1903.03176); package minatar 1.0.15"};
  static constexpr const char* minimal_id = "MinAtar/Freeway-v1";
  static constexpr const char* all_id = "MinAtar/Freeway-v0";
  static constexpr std::int32_t minimal[] = {minatar::kNone, minatar::kUp, minatar::kDown};
  static constexpr const char* minimal_note = "0 none, 1 up, 2 down";

  static constexpr std::uint32_t kCars = 8, kHome = 9, kColumn = 4, kMoveDelay = 3, kFrames = 2500;

  struct Params {
    float sticky_probability = 0.1f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(minatar::sticky_field(), sticky_probability);
    }
  };

  struct State {
    std::uint32_t columns, timers, speeds;
    std::uint32_t chicken;  // row; bits 4 and 5: steps until it may move; from bit 8: last action
    std::uint32_t frames;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("columns", columns);
      field("timers", timers);
      field("speeds", speeds);
      field("chicken", chicken);
      field("frames", frames);
    }
  };

  static constexpr bool observe_apart = true;
  using Observation = Planes<7, 10, 10>;
  static constexpr FieldInfo observation_fields[] = {
      {"chicken", "", 0, 1},
      {"car", "", 0, 1},
      {"speed 1", "", 0, 1, "behind a car that moves every step"},
      {"speed 2", "", 0, 1, "behind a car that moves every 2nd step"},
      {"speed 3", "", 0, 1, "behind a car that moves every 3rd step"},
      {"speed 4", "", 0, 1, "behind a car that moves every 4th step"},
      {"speed 5", "", 0, 1, "behind a car that moves every 5th step"}};
  static constexpr minatar::Look looks[] = {{'@', minatar::Mark::kDisc, palette::kVermillion},
                                            {'H', minatar::Mark::kBlock, palette::kBlue},
                                            {'1', minatar::Mark::kDot, palette::kKinds[0]},
                                            {'2', minatar::Mark::kDot, palette::kKinds[1]},
                                            {'3', minatar::Mark::kDot, palette::kKinds[2]},
                                            {'4', minatar::Mark::kDot, palette::kKinds[3]},
                                            {'5', minatar::Mark::kDot, palette::kKinds[4]}};

  struct ResetDraws {
    std::uint32_t speeds;
  };
  RM_HD static ResetDraws draw_reset(const Params&, Rng& rng) { return {draw_speeds(rng)}; }
  RM_HD static void apply_reset(State& s, const Params&, const ResetDraws& d) {
    s.columns = 0;
    s.timers = d.speeds & 0x77777777u;
    s.speeds = d.speeds;
    s.chicken = kHome | kMoveDelay << 4;
    s.frames = 0;
  }

  struct Draws {
    std::uint32_t sticky;  // all ones: the last action is done again
    std::uint32_t speeds;  // should the chicken arrive
  };
  RM_HD static Draws draw(const Params& p, Rng& rng) {
    const std::uint32_t sticky = grid::all_if(minatar::draw_sticky(p.sticky_probability, rng));
    return {sticky, draw_speeds(rng)};
  }

  RM_HD static Transition apply(State& s, const Params&, std::int32_t chosen, const Draws& d) {
    const std::uint32_t last = s.chicken >> 8;
    const std::uint32_t action =
        (last & d.sticky) | (static_cast<std::uint32_t>(chosen) & ~d.sticky);
    const std::uint32_t wait = (s.chicken >> 4) & 3u;
    const std::uint32_t up = all_if(action == minatar::kUp) & all_if(wait == 0);
    const std::uint32_t down = all_if(action == minatar::kDown) & all_if(wait == 0);
    const std::uint32_t row = (s.chicken & 15u);
    const std::uint32_t moved = row + up - (down & all_if(row != kHome));  // a mask is -1

    const std::uint32_t arrived = all_if(moved == 0);
    s.speeds = (s.speeds & ~arrived) | (d.speeds & arrived);
    s.timers = (s.timers & ~arrived) | (d.speeds & 0x77777777u & arrived);

    const std::uint32_t before = s.columns;
    move_cars(s);
    const std::uint32_t hit = car_at(before, moved) | car_at(s.columns, moved);
    const std::uint32_t home = arrived | hit;
    const std::uint32_t still = (kMoveDelay & (up | down)) | (wait & ~(up | down));
    s.chicken = (kHome & home) | (moved & ~home) | (still + all_if(still != 0)) << 4 | action << 8;
    s.frames += 1;
    return {static_cast<float>(static_cast<std::int32_t>(arrived & 1u)),
            all_if(s.frames > kFrames) & 1u};
  }

  RM_HD static void observe(const State& s, const Params&, Words out) {
    minatar::PlaneBits<7> planes;
    planes.set<0>(10u * (s.chicken & 15u) + kColumn);
    Rows cars, trails;
    spread(s.columns, cars, std::make_integer_sequence<int, kCars>{});
    spread(behind(s), trails, std::make_integer_sequence<int, kCars>{});
    planes.put_row<1, 1>(cars.row[0] | cars.row[1] | cars.row[2]);
    planes.put_row<1, 4>(cars.row[3] | cars.row[4] | cars.row[5]);
    planes.put_row<1, 7>(cars.row[6] | cars.row[7]);
    put_trails<1>(planes, trails, s.speeds);
    put_trails<2>(planes, trails, s.speeds);
    put_trails<3>(planes, trails, s.speeds);
    put_trails<4>(planes, trails, s.speeds);
    put_trails<5>(planes, trails, s.speeds);
    planes.store(out);
  }

  // The first action of a way that arrives soonest, or gets highest within the horizon; the cars' future is known until then.
  // Repeated actions are not foreseen.
  static std::int32_t best_action(const State& s, const Params& p) {
    // first[row][wait]: first action of a way that is there now, plus 1; 0: there is none.
    std::int32_t first[10][4] = {};
    State now = s;
    const auto step = [&](std::uint32_t row, std::uint32_t wait, std::int32_t action) {
      State next = now;
      next.chicken = row | wait << 4;
      const bool arrives = apply(next, p, action, {0, now.speeds}).reward > 0;
      return std::pair{next.chicken, arrives};
    };
    first[s.chicken & 15u][(s.chicken >> 4) & 3u] = minatar::kDown + 1;
    std::int32_t best = minatar::kNone;
    for (int t = 0; t < kHorizon; ++t) {
      std::int32_t later[10][4] = {};
      for (std::uint32_t cell = 0; cell < 40; ++cell) {
        const std::uint32_t row = cell / 4, wait = cell % 4;
        if (first[row][wait] == 0) continue;
        for (const std::int32_t action : {minatar::kNone, minatar::kUp, minatar::kDown}) {
          const auto [chicken, arrives] = step(row, wait, action);
          const std::int32_t began = t == 0 ? action : first[row][wait] - 1;
          if (arrives) return began;
          later[chicken & 15u][(chicken >> 4) & 3u] = began + 1;
        }
      }
      std::copy(&later[0][0], &later[0][0] + 40, &first[0][0]);
      for (std::uint32_t cell = 40; cell-- > 0;)
        best = first[cell / 4][cell % 4] != 0 ? first[cell / 4][cell % 4] - 1 : best;
      apply(now, p, minatar::kNone, {0, now.speeds});
    }
    return best;
  }

 private:
  static constexpr int kHorizon = 64;
  static constexpr std::uint32_t kOnes = 0x11111111u;  // one in each nibble
  RM_HD static std::uint32_t all_if(bool condition) { return grid::all_if(condition); }

  // Ten outcomes a car, taken digit by digit from 28 bits of a word; the last of three has a bias below 1,000 / 2^28.
  RM_HD static std::uint32_t draw_speeds(Rng& rng) {
    std::uint32_t speeds = 0;
    add_speeds<0, 3>(speeds, rng.bits() >> 4);
    add_speeds<3, 3>(speeds, rng.bits() >> 4);
    add_speeds<6, 2>(speeds, rng.bits() >> 4);
    return speeds;
  }
  template <int kFirst, int kCount>
  RM_HD static void add_speeds(std::uint32_t& speeds, std::uint32_t fraction) {
    const std::uint32_t product = fraction * 10u;
    const std::uint32_t digit = product >> 28;
    const std::uint32_t speed = digit + 1u + (all_if(digit >= 5u) & 3u);  // 1..5 or 8 + 1..5
    speeds |= speed << (4 * kFirst);
    if constexpr (kCount > 1) add_speeds<kFirst + 1, kCount - 1>(speeds, product & 0x0FFFFFFFu);
  }

  // Each nibble of `columns` one to the left where `left` has a 1, one to the right where `right` has; both wrap.
  RM_HD static std::uint32_t shift(std::uint32_t columns, std::uint32_t left, std::uint32_t right) {
    const std::uint32_t first = ~(columns | columns >> 1 | columns >> 2 | columns >> 3) & left;
    const std::uint32_t moved = columns + right + 10u * first - left;
    const std::uint32_t beyond = (moved >> 3) & (moved >> 1) & kOnes;  // 10: 1010 in bits
    return moved - 10u * beyond;
  }
  RM_HD static void move_cars(State& s) {
    const std::uint32_t now = ~(s.timers | s.timers >> 1 | s.timers >> 2) & kOnes;
    const std::uint32_t right = (s.speeds >> 3) & now;
    s.columns = shift(s.columns, now & ~right, right);
    s.timers = s.timers - (kOnes & ~now) + (s.speeds & (7u * now));
  }
  // Where the trails are: one step behind.
  RM_HD static std::uint32_t behind(const State& s) {
    const std::uint32_t right = (s.speeds >> 3) & kOnes;
    return shift(s.columns, right, kOnes & ~right);
  }
  // All ones if the car in a row of the board is in the chicken's column; there are none in rows 0 and 9.
  RM_HD static std::uint32_t car_at(std::uint32_t columns, std::uint32_t row) {
    const std::uint32_t column = (columns >> ((4u * row - 4u) & 31u)) & 15u;
    return all_if(column == kColumn) & all_if(row - 1u < kCars);
  }

  // The row of each car with its bit at its column, moved to its place among three rows.
  struct Rows {
    std::uint32_t row[kCars];
  };
  template <int... i>
  RM_HD static void spread(std::uint32_t columns, Rows& rows, std::integer_sequence<int, i...>) {
    ((rows.row[i] = (1u << ((columns >> (4 * i)) & 15u)) << (10 * (i % 3))), ...);
  }
  template <int kSpeed, int kCar>
  RM_HD static std::uint32_t trail(const Rows& trails, std::uint32_t speeds) {
    return trails.row[kCar] & all_if(((speeds >> (4 * kCar)) & 7u) == kSpeed);
  }
  template <int kSpeed>
  RM_HD static void put_trails(minatar::PlaneBits<7>& planes, const Rows& t, std::uint32_t v) {
    planes.put_row<1 + kSpeed, 1>(trail<kSpeed, 0>(t, v) | trail<kSpeed, 1>(t, v) |
                                  trail<kSpeed, 2>(t, v));
    planes.put_row<1 + kSpeed, 4>(trail<kSpeed, 3>(t, v) | trail<kSpeed, 4>(t, v) |
                                  trail<kSpeed, 5>(t, v));
    planes.put_row<1 + kSpeed, 7>(trail<kSpeed, 6>(t, v) | trail<kSpeed, 7>(t, v));
  }
};

using Freeway = minatar::Minimal<FreewayGame>;
using FreewaySix = minatar::AllActions<FreewayGame>;

}  // namespace rollmill
