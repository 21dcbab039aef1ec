// A shorter text for common states. An environment may say where it holds and what it is (envs/env.h: usual, step_usual and,
// where it helps, observe_usual); its results are those of the full text, which contract checks compare. The CPU runtime takes
// it for some lanes at a time, where it holds for all of them.
#pragma once

#include "core/base/macros.h"
#include "core/rng/rng.h"
#include "envs/env.h"

namespace rollmill {

template <class Env>
concept HasUsual = requires(typename Env::State& s, const typename Env::Params& p,
                            typename Env::Action::Value action, Rng& rng) {
  Env::usual(s, p);
  Env::step_usual(s, p, action, rng);
};
template <class Env>
concept ObservesUsual = HasUsual<Env> &&
    requires(const typename Env::State& s, const typename Env::Params& p,
             typename Env::Observation::Writer out) {
  Env::observe_usual(s, p, out);
};

// Lanes that take the shorter text together: a few vectors, so that one of another kind takes few along; or as many as the
// environment says, where such are rare and the step so short that the loop's beginning would count.
template <class Env>
constexpr int usual_lanes() {
  if constexpr (requires { Env::usual_lanes; }) {
    static_assert(Env::usual_lanes > 0);
    return Env::usual_lanes;
  } else {
    return 64;
  }
}

// The environment with the shorter text in the place of the full one.
template <class Env>
struct Usual : Env {
  RM_HD static Transition step(typename Env::State& s, const typename Env::Params& p,
                               typename Env::Action::Value action, Rng& rng) {
    return Env::step_usual(s, p, action, rng);
  }
  RM_HD static void observe(const typename Env::State& s, const typename Env::Params& p,
                            typename Env::Observation::Writer out) {
    if constexpr (ObservesUsual<Env>) {
      Env::observe_usual(s, p, out);
    } else {
      Env::observe(s, p, out);
    }
  }
};

}  // namespace rollmill
