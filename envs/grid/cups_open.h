// Cups with glass in front of the critic: one more plane says where the ball is, covered or not. For what only training knows
// (policy.actor_ignores = ["hidden ball"]), or for a teacher whose student sees cups alone.
#pragma once

#include "envs/grid/cups.h"

namespace rollmill {

struct CupsOpen : Cups {
  static constexpr EnvInfo info = [] {
    EnvInfo open = Cups::info;
    open.id = "Rollmill/CupsOpen-v0";
    open.summary = "Cups, and a plane that shows the ball through them, for a critic or a teacher.";
    open.measures = "Nothing for who sees that plane; for who must not (policy.actor_ignores) what "
                    "Rollmill/Cups-v0 does.";
    return open;
  }();

  using Observation = Planes<4, 3, 16>;
  static constexpr FieldInfo observation_fields[] = {
      Cups::observation_fields[0], Cups::observation_fields[1], Cups::observation_fields[2],
      {"hidden ball", "", 0, 1, "its place on the table, seen or not"}};

  RM_HD static void observe(const State& s, const Params& p, Words out) {
    Cups::observe(s, p, out);      // 144 bits
    out[5] = 1u << (2 * s.ball);  // the plane's second row; its first are the upper bits of word 4
  }
};

}  // namespace rollmill
