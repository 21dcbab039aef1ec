// The template's environment with one defect each: what an author may get wrong, and the contract checks must find.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <thread>

#include "envs/template/my_env.h"

namespace rollmill::broken {

// The members that a defect may need to touch, in MyEnv's words.
using State = MyEnv::State;
using Params = MyEnv::Params;
using Action = MyEnv::Action;

constexpr EnvInfo named(const char* id) {
  EnvInfo info = MyEnv::info;
  info.id = id;
  return info;
}

// Another reset for the state that a defect wants to depend on something.
inline void place(State& s, const Params& p, std::uint32_t where) {
  s.position = static_cast<std::int32_t>(where % static_cast<std::uint32_t>(p.length - 1));
  s.flag = p.length - 1;
}

struct WritesBeyondObservation : MyEnv {
  static constexpr EnvInfo info = named("Broken/WritesBeyondObservation-v0");
  static void observe(const State& s, const Params& p, Strided<float> out) {
    MyEnv::observe(s, p, out);
    out[2] = 1.0f;
  }
};

struct LeavesObservationUnwritten : MyEnv {
  static constexpr EnvInfo info = named("Broken/LeavesObservationUnwritten-v0");
  static void observe(const State& s, const Params& p, Strided<float> out) {
    out[0] = static_cast<float>(s.position) / static_cast<float>(p.length);
  }
};

// A static variable that outlives the episode.
struct RemembersEpisodes : MyEnv {
  static constexpr EnvInfo info = named("Broken/RemembersEpisodes-v0");
  static inline std::atomic<std::uint32_t> episodes = 0;
  static void reset(State& s, const Params& p, Rng&) { place(s, p, episodes++ * 2654435761u >> 7); }
};

// Declares what is not so.
struct ResetVaries : MyEnv {
  static constexpr EnvInfo info = named("Broken/ResetVaries-v0");
  static constexpr bool reset_is_constant = true;
};

// The shorter step leaves something out.
struct ShorterStepDiffers : MyEnv {
  static constexpr EnvInfo info = named("Broken/ShorterStepDiffers-v0");
  // (Never of 64 environments at once.)
  static bool usual(const State& s, const Params&) { return s.position < 4; }
  static Transition step_usual(State& s, const Params& p, Action::Value action, Rng& rng) {
    const Transition t = step(s, p, action, rng);
    return {t.reason != 0 ? 0.0f : t.reward, t.reason};
  }
  static void observe_usual(const State& s, const Params& p, Observation::Writer out) {
    observe(s, p, out);
  }
};

struct CallsRand : MyEnv {
  static constexpr EnvInfo info = named("Broken/CallsRand-v0");
  static void reset(State& s, const Params& p, Rng&) {
    place(s, p, static_cast<std::uint32_t>(std::rand()));
  }
};

struct ReadsTheClock : MyEnv {
  static constexpr EnvInfo info = named("Broken/ReadsTheClock-v0");
  static void reset(State& s, const Params& p, Rng&) {
    place(s, p,
          static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count() /
                                     16));
  }
};

// Always the same on the thread that runs the batch, so only a pool shows it.
struct DependsOnThread : MyEnv {
  static constexpr EnvInfo info = named("Broken/DependsOnThread-v0");
  static inline const std::thread::id first = std::this_thread::get_id();
  static void reset(State& s, const Params& p, Rng&) {
    place(s, p, std::this_thread::get_id() == first ? 0u : 1u);
  }
};

struct RewardIsNotFinite : MyEnv {
  static constexpr EnvInfo info = named("Broken/RewardIsNotFinite-v0");
  static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    Transition t = MyEnv::step(s, p, action, rng);
    if (s.position == 0) t.reward = std::numeric_limits<float>::quiet_NaN();
    return t;
  }
};

struct RewardOutOfRange : MyEnv {
  static constexpr EnvInfo info = named("Broken/RewardOutOfRange-v0");
  static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    Transition t = MyEnv::step(s, p, action, rng);
    if (t.reason != 0) t.reward = 2.0f;
    return t;
  }
};

struct ObservationOutOfRange : MyEnv {
  static constexpr EnvInfo info = named("Broken/ObservationOutOfRange-v0");
  static void observe(const State& s, const Params&, Strided<float> out) {
    out[0] = static_cast<float>(s.position);
    out[1] = static_cast<float>(s.flag);
  }
};

struct MaskAllowsNothing : MyEnv {
  static constexpr EnvInfo info = named("Broken/MaskAllowsNothing-v0");
  static void mask(const State& s, const Params&, Words out) { out[0] = s.position > 0 ? 3u : 0u; }
};

struct MaskHasBitsBeyond : MyEnv {
  static constexpr EnvInfo info = named("Broken/MaskHasBitsBeyond-v0");
  static void mask(const State&, const Params&, Words out) { out[0] = 7u; }
};

struct ExpertIsMasked : MyEnv {
  static constexpr EnvInfo info = named("Broken/ExpertIsMasked-v0");
  static Action::Value expert(const State&, const Params&) { return 0; }
};

struct ReasonWithoutName : MyEnv {
  static constexpr EnvInfo info = named("Broken/ReasonWithoutName-v0");
  static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    Transition t = MyEnv::step(s, p, action, rng);
    if (t.reason != 0) t.reason = 5;
    return t;
  }
};

}  // namespace rollmill::broken
