// How the tests lead each MinAtar game along a record: its file, and the recorded random outcomes as its draws.
#pragma once

#include <cstdint>

#include "envs/minatar/breakout.h"

namespace rollmill::test {

// For each game:
//   kName                   of the package's module
//   reset_draws(recorded)   from the record's numbers of one reset
//   draws(sticky, recorded) and of one step
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
    return {recorded[0] != 0};
  }
  static Breakout::Draws draws(bool sticky, const std::int8_t*) { return {sticky}; }
};

}  // namespace rollmill::test
