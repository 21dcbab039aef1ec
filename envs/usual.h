// A shorter text for common states. An environment may say where it holds and what it is (envs/env.h: usual, step_usual,
// observe_usual); its results are those of the full text, which contract checks compare. The CPU runtime takes it for a few
// vectors of lanes at a time, where it holds for all of them.
#pragma once

#include "core/base/macros.h"
#include "core/rng/rng.h"
#include "envs/env.h"

namespace rollmill {

template <class Env>
concept HasUsual = requires(typename Env::State& s, const typename Env::Params& p,
                            typename Env::Action::Value action, Rng& rng,
                            typename Env::Observation::Writer out) {
  Env::usual(s, p);
  Env::step_usual(s, p, action, rng);
  Env::observe_usual(s, p, out);
};

// The environment with the shorter text in the place of the full one.
template <class Env>
struct Usual : Env {
  RM_HD static Transition step(typename Env::State& s, const typename Env::Params& p,
                               typename Env::Action::Value action, Rng& rng) {
    return Env::step_usual(s, p, action, rng);
  }
  RM_HD static void observe(const typename Env::State& s, const typename Env::Params& p,
                            typename Env::Observation::Writer out) {
    Env::observe_usual(s, p, out);
  }
};

}  // namespace rollmill
