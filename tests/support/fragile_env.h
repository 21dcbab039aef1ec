// An environment that breaks: its speed grows without bound and overflows float32 after some steps, sooner under the
// action that pushes. Not part of the product.
#pragma once

#include "core/math/math.h"
#include "envs/env.h"

namespace rollmill::testing {

struct Fragile {
  static constexpr EnvInfo info{"Fragile-v0", "Grows until it is infinite.", 100, 0.0, 1.0, 1.0, {},
                                "tests"};
  struct Params {
    float growth = 1e6f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"growth", "", 1, 1e30}, growth);
    }
  };
  struct State {
    float x;
    std::int32_t pushes;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("x", x);
      field("pushes", pushes);
    }
  };
  using Observation = Box<1>;
  using Action = Discrete<2>;
  static constexpr FieldInfo observation_fields[] = {{"x", "", -3.4e38, 3.4e38}};
  static constexpr FieldInfo action_fields[] = {{"push", "", 0, 1}};
  RM_HD static void reset(State& s, const Params&, Rng& rng) { s.x = rng.uniform(1.0f, 2.0f); }
  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    s.x = s.x * (action == 1 ? p.growth : 1.0f + rng.uniform());
    s.pushes += action;
    return {1.0f, 0u};
  }
  RM_HD static void observe(const State& s, const Params&, Strided<float> out) { out[0] = s.x; }
};

// Its state stays finite, but what it shows of it does not: 1 / x of what becomes 0.
struct Blinding : Fragile {
  static constexpr EnvInfo info{"Blinding-v0", "Shows what is not finite.", 100, 0.0, 1.0, 1.0, {},
                                "tests"};
  static constexpr FieldInfo observation_fields[] = {{"nearness", "", -3.4e38, 3.4e38}};
  RM_HD static Transition step(State& s, const Params&, Action::Value, Rng&) {
    s.x = s.pushes < 8 ? s.x : 0.0f;
    s.pushes += 1;
    return {1.0f, 0u};
  }
  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    out[0] = 1.0f / s.x;
  }
};

// It has no end and no time limit.
struct Endless : Fragile {
  static constexpr EnvInfo info{"Endless-v0", "Goes on.", 0, 0.0, 1.0, 1.0, {}, "tests"};
  RM_HD static Transition step(State&, const Params&, Action::Value, Rng&) { return {1.0f, 0u}; }
};

}  // namespace rollmill::testing
