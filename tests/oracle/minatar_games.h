// How the tests lead each MinAtar game along a record: its file, and the recorded random outcomes as its draws.
#pragma once

#include <cstdint>

#include "envs/minatar/asterix.h"
#include "envs/minatar/breakout.h"
#include "envs/minatar/freeway.h"
#include "envs/minatar/seaquest.h"
#include "envs/minatar/space_invaders.h"

namespace rollmill::test {

// For each game:
//   kName                   of the package's module
//   reset_draws(recorded)   from the record's numbers of one reset
//   draws(sticky, recorded) and of one step
//   alter(state, recorded)  optional: what the recorder changed after the reset
//   set_ramping             the record has episodes with and without
template <class Env>
struct MinAtarGame;

struct WithoutRamping {
  template <class Params>
  static void set_ramping(Params&, bool) {}  // the package's game ignores it, too
};
struct WithRamping {
  template <class Params>
  static void set_ramping(Params& p, bool on) {
    p.ramping = on ? 1 : 0;
  }
};

template <>
struct MinAtarGame<Breakout> : WithoutRamping {
  using AllActions = BreakoutSix;
  static constexpr const char* kName = "breakout";
  static Breakout::ResetDraws reset_draws(const std::int8_t* recorded) {
    return {static_cast<std::uint32_t>(recorded[0])};
  }
  static Breakout::Draws draws(bool sticky, const std::int8_t*) { return {grid::all_if(sticky)}; }
};

// Recorded: eight speeds, negative to the left.
template <>
struct MinAtarGame<Freeway> : WithoutRamping {
  using AllActions = FreewaySix;
  static constexpr const char* kName = "freeway";
  static std::uint32_t speeds(const std::int8_t* recorded) {
    std::uint32_t packed = 0;
    for (int i = 0; i < 8; ++i) {
      const int v = recorded[i];
      packed |= static_cast<std::uint32_t>(v > 0 ? 8 + v : -v) << (4 * i);
    }
    return packed;
  }
  static Freeway::ResetDraws reset_draws(const std::int8_t* recorded) { return {speeds(recorded)}; }
  static Freeway::Draws draws(bool sticky, const std::int8_t* recorded) {
    return {grid::all_if(sticky), speeds(recorded)};
  }
};

template <>
struct MinAtarGame<SpaceInvaders> : WithRamping {
  using AllActions = SpaceInvadersSix;
  static constexpr const char* kName = "space_invaders";
  static SpaceInvaders::ResetDraws reset_draws(const std::int8_t*) { return {}; }
  static SpaceInvaders::Draws draws(bool sticky, const std::int8_t*) {
    return {grid::all_if(sticky)};
  }
};

template <>
struct MinAtarGame<Asterix> : WithRamping {
  using AllActions = AsterixSix;
  static constexpr const char* kName = "asterix";
  static Asterix::ResetDraws reset_draws(const std::int8_t*) { return {}; }
  static void alter(Asterix::State& s, const std::int8_t* recorded) {
    if (recorded[0] != 0) s.spawn_speed = s.move_speed = s.spawn_timer = s.move_timer = 1;
  }
  static Asterix::Draws draws(bool sticky, const std::int8_t* d) {
    return {sticky, static_cast<std::uint32_t>(d[0]), static_cast<std::uint32_t>(d[1]),
            static_cast<std::uint32_t>(d[2])};
  }
};

template <>
struct MinAtarGame<Seaquest> : WithRamping {
  using AllActions = SeaquestSix;
  static constexpr const char* kName = "seaquest";
  static Seaquest::ResetDraws reset_draws(const std::int8_t*) { return {}; }
  static void alter(Seaquest::State& s, const std::int8_t* recorded) {
    Seaquest::Scene scene = Seaquest::unpack(s);
    if (recorded[0] == 1) {
      scene.ramp = Seaquest::kMaxRamp;
      scene.enemy_timer = 1;
    }
    if (recorded[0] == 2) scene.divers_held = -100;
    Seaquest::pack(scene, s);
  }
  // The package's rows are 1 to 8; 0 where nothing came.
  static Seaquest::Draws draws(bool sticky, const std::int8_t* d) {
    const auto row = [](std::int8_t r) { return static_cast<std::uint32_t>(r - 1) & 7u; };
    return {sticky,
            static_cast<std::uint32_t>(d[0]),
            row(d[2]),
            static_cast<std::uint32_t>(d[1]),
            static_cast<std::uint32_t>(d[3]),
            row(d[4])};
  }
};

}  // namespace rollmill::test
