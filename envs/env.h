// The environment contract. An author writes plain scalar code in one header and nothing else:
//
//   struct CartPole {
//     static constexpr EnvInfo info{...};                  // id, time limit, reward range, outcomes, references
//     struct Params { float gravity = 9.8f; ... visit };   // every field settable from TOML: [env.params]
//     struct State  { float x, ...;         visit };       // 32-bit words; what a snapshot holds
//     using Observation = Box<4>;   using Action = Discrete<2>;
//     static constexpr FieldInfo observation_fields[] = {{"cart position", "m", -4.8, 4.8}, ...};
//     static constexpr FieldInfo action_fields[] = {{"push", "", 0, 1}};
//     RM_HD static void reset(State&, const Params&, Rng&);
//     RM_HD static Transition step(State&, const Params&, Action::Value, Rng&);
//     RM_HD static void observe(const State&, const Params&, Observation::Writer);
//     // optional, each found by its signature:
//     RM_HD static void mask(const State&, const Params&, Words);  // allowed actions, one bit a choice
//     RM_HD static Action::Value expert(Strided<const float> observation, const Params&);  // sees what a policy sees
//     static Action::Value expert(const State&, const Params&);                            // sees everything
//     static void render(const State&, const Params&, Canvas&);                            // a picture
//     static void text(const State&, const Params&, TextView&);                            // the same in characters
//     static constexpr const char* keys = "ad";  // a key for each choice in `rollmill play`; arrows are w, a, s, d
//     static constexpr bool observe_apart = true;  // CPU: observe in a loop of its own; measure (docs/guides) before you set it
//     static constexpr bool reset_searches = true;  // CPU: a reset that loops until it has a level; none is made in vain
//     static constexpr bool reset_is_constant = true;  // CPU: a reset of Params alone, which draws nothing; it is made once
//     RM_HD static bool usual(const State&, const Params&);  // CPU: where step_usual (and observe_usual, if there is one), with
//                                                            // the signatures of step and observe, do the same in fewer
//                                                            // instructions; false for states of which the short text would
//                                                            // make something else
//     static constexpr int usual_lanes = 256;  // ask that for so many at once (default 64)
//     static constexpr const char* difficulty[] = {"swaps", ...};  // parameters that make it harder, the difficulty vector
//   };
//
// The same text is compiled by g++ for the CPU runtime (envs/batch_cpu.h) and by nvcc for the CUDA one
// (envs/batch_cuda.cuh), without FMA contraction or fast-math; with core/math instead of libm that gives the
// same bits on both. Time limits, autoreset, episode numbers and RNG keys belong to the runtime.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/rng/rng.h"
#include "core/schema/field.h"
#include "envs/spaces.h"

namespace rollmill {

// Why an episode ended. 0 is the runtime's: the time limit. An environment numbers its own reasons from 1 and
// names them in EnvInfo::outcomes.
inline constexpr std::uint8_t kOutcomeTimeLimit = 0;
// The runtime's, too: a number of the state or the reward is NaN or infinite. The episode ends there, with reward 0.
inline constexpr std::uint8_t kOutcomeNotFinite = 255;

// Result of one step. A reason other than 0 terminates the episode: the task's own end, after which the future is
// worth nothing. A time limit is never the environment's business. (One 32-bit word, not a bool and a code: a
// byte in this struct keeps g++ from vectorising the step loop.)
struct Transition {
  float reward;
  std::uint32_t reason;  // 0: goes on; 1 to 254: terminated, see EnvInfo::outcomes
};

// Name, unit and range of one observation element, action element or parameter.
struct FieldInfo {
  const char* name;
  const char* unit;
  double low, high;
  const char* note = "";
};

struct EnvInfo {
  const char* id;       // as in Gymnasium's registry where the task is one of Gymnasium's
  const char* summary;  // one sentence
  int time_limit;       // steps, then truncation; 0: none
  double reward_low, reward_high;  // of one step
  double solved_at;                // mean return at which the field calls it solved
  const char* outcomes[8];         // names of reasons 1, 2, ...; unused ones null
  const char* references;          // where the dynamics and constants come from
  int success = 0;            // the reason that means success; 0: a return of at least solved_at
  const char* measures = "";  // which ability it tests, in a sentence or two
};

}  // namespace rollmill
