// The text that both runtimes compile: what happens to environment i in one step, and at a reset. The CPU runtime
// loops over it, the CUDA runtime gives each environment a thread.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "envs/batch.h"
#include "envs/describe.h"
#include "envs/env.h"
#include "envs/world.h"

namespace rollmill {

// Column pointers of a batch, by value into kernels. Environment i's state word k is state[k * stride + i].
struct BatchColumns {
  std::uint32_t* state;
  std::uint32_t* environment;
  std::uint32_t* episode;
  std::uint32_t* step;
  float* episode_return;
  std::uint32_t* level;   // null: the world has no levels
  std::uint32_t* params;  // words [P] of the parameters; null: the same for all environments
  std::int64_t stride;
};

// Constants of a batch.
struct BatchConstants {
  std::uint64_t seed;
  std::uint32_t episode_stride;
  std::uint32_t time_limit;  // 0xFFFFFFFF: none
  WorldView world;
};

// The parameters' words, in the manifest's order; a parameter has the type its author gave it.
template <class Params>
RM_HD Params load_params(const std::uint32_t* base, std::int64_t stride, std::int64_t i) {
  Params p{};
  int k = 0;
  p.visit([&](const FieldInfo&, auto& value) {
    using T = std::remove_reference_t<decltype(value)>;
    static_assert(kIsWord<T>, "parameters are float, int32 or uint32");
    value = reinterpret_cast<const T*>(base + k * stride)[i];
    ++k;
  });
  return p;
}

template <class Params>
RM_HD void store_params(Params& p, std::uint32_t* base, std::int64_t stride, std::int64_t i) {
  int k = 0;
  p.visit([&](const FieldInfo&, auto& value) {
    using T = std::remove_reference_t<decltype(value)>;
    reinterpret_cast<T*>(base + k * stride)[i] = value;
    ++k;
  });
}

// Parameters of the episode that the columns name. kVaried: they have columns of their own.
// (By reference where they are shared: a copy in the loop keeps g++ from vectorising some environments.)
template <class Env, bool kVaried>
RM_HD std::conditional_t<kVaried, typename Env::Params, const typename Env::Params&> params_at(
    const BatchColumns& columns, const typename Env::Params& params, std::int64_t i) {
  if constexpr (kVaried) {
    return load_params<typename Env::Params>(columns.params, columns.stride, i);
  } else {
    return params;
  }
}

inline constexpr std::uint32_t kExponent = 0x7F800000u;  // all ones: NaN or infinity

RM_HD std::uint32_t magnitude_bits(float x) { return math::to_bits(math::abs(x)); }

// The largest magnitude among the floats of a state, as bits; kExponent or more if one of them is not finite. (A maximum and one
// comparison: g++ takes a chain of comparisons in the step loop apart bit by bit. And a limit on |x| has these bits already.)
template <class State>
RM_HD std::uint32_t largest_magnitude(State& state) {
  std::uint32_t largest = 0;
  visit_words(state, [&](auto& word) {
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(word)>, float>) {
      const std::uint32_t size = magnitude_bits(word);
      largest = size > largest ? size : largest;
    }
  });
  return largest;
}

template <class Env>
RM_HD void write_observation(const typename Env::State& state, const typename Env::Params& params,
                             float* observations, Word* masks, std::int64_t stride,
                             std::int64_t i) {
  using Writer = typename Env::Observation::Writer;
  Env::observe(state, params,
               Writer{reinterpret_cast<decltype(Writer::data)>(observations) + i, stride});
  if constexpr (HasMask<Env>) Env::mask(state, params, Words{masks + i, stride});
}

// Dynamics, reward and, unless the caller sees to it, observation. Writes this environment's slots of `columns` and `out`;
// returns end | outcome << 8 and leaves an ended episode's columns at its last step, for finish_episode.
template <class Env, bool kVaried, bool kObserve = true>
RM_HD std::uint32_t step_environment(const BatchColumns& columns, const BatchConstants& constants,
                                     const typename Env::Params& shared, const StepBuffers& out,
                                     std::int64_t i) {
  using State = typename Env::State;
  using Action = typename Env::Action;
  const auto& params = params_at<Env, kVaried>(columns, shared, i);
  State state = load_columns<State>(columns.state, columns.stride, i);
  const std::uint32_t step = columns.step[i];
  Rng rng(constants.seed, Purpose::kStep, columns.environment[i], columns.episode[i], step);
  const auto action = Action::load(out.actions, columns.stride, i);
  const Transition t = Env::step(state, params, action, rng);
  const std::uint32_t of_state = largest_magnitude(state), of_reward = magnitude_bits(t.reward);
  const std::uint32_t largest = of_reward > of_state ? of_reward : of_state;
  const float reward = largest >= kExponent ? 0.0f : t.reward;
  const std::uint32_t reason = largest >= kExponent ? std::uint32_t{kOutcomeNotFinite} : t.reason;
  store_columns(state, columns.state, columns.stride, i);
  if constexpr (kObserve)
    write_observation<Env>(state, params, out.observations, out.masks, columns.stride, i);
  out.rewards[i] = reward;
  columns.episode_return[i] += reward;
  columns.step[i] = step + 1;
  const std::uint32_t at_limit = step + 1 >= constants.time_limit ? std::uint32_t{kTruncated} : 0u;
  return reason != 0 ? std::uint32_t{kTerminated} | (reason << 8) : at_limit;
}

// Draws the parameters of an episode. `rng` is the episode's or the level's.
template <class Params>
RM_HD void draw_params(Params& params, const WorldView& world, Rng rng) {
  for (int d = 0; d < world.draw_count; ++d) {
    const float value = draw_parameter(world.draws[d], rng);
    int k = 0;
    params.visit([&](const FieldInfo&, auto& field) {
      using T = std::remove_reference_t<decltype(field)>;
      field = k == world.draws[d].param ? static_cast<T>(value) : field;
      ++k;
    });
  }
}

// Level and parameters of the episode that the columns name, into their columns: a function of the seed and the columns
// environment and episode alone. Only where the world varies.
template <class Env>
RM_HD void draw_world(const BatchColumns& columns, const BatchConstants& constants,
                      const typename Env::Params& shared, std::int64_t i) {
  const WorldView& world = constants.world;
  const std::uint32_t environment = columns.environment[i], episode = columns.episode[i];
  const std::uint32_t level = draw_level(world, constants.seed, environment, episode);
  columns.level[i] = level;
  const WorldKeys keys = world_keys(world, constants.seed, environment, episode, level);
  typename Env::Params params = shared;
  draw_params(params, world,
              Rng(keys.seed, Purpose::kParameters, keys.environment, keys.episode, 0));
  store_params(params, columns.params, columns.stride, i);
}

// Makes the initial state of the episode that the columns name in the world that draw_world has drawn. `state` comes empty.
// (Apart from the drawing, whose loops g++ does not vectorise over environments.)
template <class Env, bool kVaried>
RM_HD void make_state(const BatchColumns& columns, const BatchConstants& constants,
                      const typename Env::Params& params, typename Env::State& state,
                      std::int64_t i) {
  WorldKeys keys{constants.seed, columns.environment[i], columns.episode[i]};
  if constexpr (kVaried)
    keys = world_keys(constants.world, keys.seed, keys.environment, keys.episode, columns.level[i]);
  Rng rng(keys.seed, Purpose::kReset, keys.environment, keys.episode, 0);
  Env::reset(state, params, rng);
  store_columns(state, columns.state, columns.stride, i);
}

// Starts the episode that the columns name, in the world that draw_world has drawn.
template <class Env, bool kVaried>
RM_HD void start_episode(const BatchColumns& columns, const BatchConstants& constants,
                         const typename Env::Params& shared, float* observations, Word* masks,
                         std::int64_t i) {
  const auto& params = params_at<Env, kVaried>(columns, shared, i);
  typename Env::State state{};
  make_state<Env, kVaried>(columns, constants, params, state, i);
  write_observation<Env>(state, params, observations, masks, columns.stride, i);
  columns.step[i] = 0;
  columns.episode_return[i] = 0.0f;
}

// Draws the world and starts the episode that the columns name.
template <class Env, bool kVaried>
RM_HD void reset_environment(const BatchColumns& columns, const BatchConstants& constants,
                             const typename Env::Params& shared, float* observations, Word* masks,
                             std::int64_t i) {
  if constexpr (kVaried) draw_world<Env>(columns, constants, shared, i);
  start_episode<Env, kVaried>(columns, constants, shared, observations, masks, i);
}

// Records the ended episode of environment i. A broken one's observation may hold no number that is not finite: those are
// written as 0.
template <class Env>
RM_HD void record_episode(const BatchColumns& columns, const StepBuffers& out, std::uint32_t code,
                          std::int64_t i) {
  if (out.final_observations != nullptr) {
    const bool broken =
        (code >> 8) == kOutcomeNotFinite && Env::Observation::kKind == ObservationKind::kReal;
    for (int k = 0; k < Env::Observation::kSize; ++k) {
      const Word word = reinterpret_cast<const Word*>(out.observations)[k * columns.stride + i];
      const bool bad = broken && (word & kExponent) == kExponent;
      reinterpret_cast<Word*>(out.final_observations)[k * columns.stride + i] = bad ? 0u : word;
    }
  }
  if (out.final_masks != nullptr) {
    for (int k = 0; k < mask_columns<Env>(); ++k)
      out.final_masks[k * columns.stride + i] = out.masks[k * columns.stride + i];
  }
  if (out.outcomes != nullptr) out.outcomes[i] = static_cast<std::uint8_t>(code >> 8);
  if (out.episode_returns != nullptr) out.episode_returns[i] = columns.episode_return[i];
  if (out.episode_lengths != nullptr) {
    out.episode_lengths[i] = static_cast<std::int32_t>(columns.step[i]);
  }
  if (out.episode_levels != nullptr) {
    out.episode_levels[i] = columns.level != nullptr ? columns.level[i] : 0u;
  }
}

// Records the ended episode of environment i and starts its next one.
template <class Env, bool kVaried>
RM_HD void finish_episode(const BatchColumns& columns, const BatchConstants& constants,
                          const typename Env::Params& params, const StepBuffers& out,
                          std::uint32_t code, std::int64_t i) {
  record_episode<Env>(columns, out, code, i);
  columns.episode[i] += constants.episode_stride;
  reset_environment<Env, kVaried>(columns, constants, params, out.observations, out.masks, i);
}

}  // namespace rollmill
