// The text that both runtimes compile: what happens to environment i in one step, and at a reset. The CPU runtime
// loops over it, the CUDA runtime gives each environment a thread.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "envs/batch.h"
#include "envs/env.h"

namespace rollmill {

// Column pointers of a batch, by value into kernels. Environment i's state word k is state[k * stride + i].
struct BatchColumns {
  std::uint32_t* state;
  std::uint32_t* environment;
  std::uint32_t* episode;
  std::uint32_t* step;
  float* episode_return;
  std::int64_t stride;
};

// Constants of a batch.
struct BatchConstants {
  std::uint64_t seed;
  std::uint32_t episode_stride;
  std::uint32_t time_limit;  // 0xFFFFFFFF: none
};

// Dynamics, reward and observation. Writes this environment's slots of `columns` and `out`; returns
// end | outcome << 8 and leaves an ended episode's columns at its last step, for finish_episode.
template <class Env>
RM_HD std::uint32_t step_environment(const BatchColumns& columns, const BatchConstants& constants,
                                     const typename Env::Params& params, const StepBuffers& out,
                                     std::int64_t i) {
  using State = typename Env::State;
  using Action = typename Env::Action;
  State state = load_columns<State>(columns.state, columns.stride, i);
  const std::uint32_t step = columns.step[i];
  Rng rng(constants.seed, Purpose::kStep, columns.environment[i], columns.episode[i], step);
  const auto action =
      Action::load(static_cast<const typename Action::Element*>(out.actions), columns.stride, i);
  const Transition t = Env::step(state, params, action, rng);
  store_columns(state, columns.state, columns.stride, i);
  Env::observe(state, params, Strided<float>{out.observations + i, columns.stride});
  out.rewards[i] = t.reward;
  columns.episode_return[i] += t.reward;
  columns.step[i] = step + 1;
  const std::uint32_t at_limit = step + 1 >= constants.time_limit ? std::uint32_t{kTruncated} : 0u;
  return t.reason != 0 ? std::uint32_t{kTerminated} | (t.reason << 8) : at_limit;
}

// The initial state of the episode that the columns name.
template <class Env>
RM_HD void reset_environment(const BatchColumns& columns, const BatchConstants& constants,
                             const typename Env::Params& params, float* observations,
                             std::int64_t i) {
  typename Env::State state{};
  Rng rng(constants.seed, Purpose::kReset, columns.environment[i], columns.episode[i], 0);
  Env::reset(state, params, rng);
  store_columns(state, columns.state, columns.stride, i);
  Env::observe(state, params, Strided<float>{observations + i, columns.stride});
  columns.step[i] = 0;
  columns.episode_return[i] = 0.0f;
}

// Records the ended episode of environment i.
template <class Env>
RM_HD void record_episode(const BatchColumns& columns, const StepBuffers& out, std::uint32_t code,
                          std::int64_t i) {
  if (out.final_observations != nullptr) {
    for (int k = 0; k < Env::Observation::kSize; ++k) {
      out.final_observations[k * columns.stride + i] = out.observations[k * columns.stride + i];
    }
  }
  if (out.outcomes != nullptr) out.outcomes[i] = static_cast<std::uint8_t>(code >> 8);
  if (out.episode_returns != nullptr) out.episode_returns[i] = columns.episode_return[i];
  if (out.episode_lengths != nullptr) {
    out.episode_lengths[i] = static_cast<std::int32_t>(columns.step[i]);
  }
}

// Records the ended episode of environment i and starts its next one.
template <class Env>
RM_HD void finish_episode(const BatchColumns& columns, const BatchConstants& constants,
                          const typename Env::Params& params, const StepBuffers& out,
                          std::uint32_t code, std::int64_t i) {
  record_episode<Env>(columns, out, code, i);
  columns.episode[i] += constants.episode_stride;
  reset_environment<Env>(columns, constants, params, out.observations, i);
}

}  // namespace rollmill
