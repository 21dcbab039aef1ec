// The units that a rollout is cut into for learning, for the CPU's loops (trainer/fused/shard.cc) and the CUDA kernels
// (trainer/fused/learner_memory.cuh) alike: unit u is environment u % num_envs in its sequence u / num_envs, or without memory
// at step u / num_envs.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "rollout/buffer.h"
#include "rollout/mlp/patches.h"

namespace rollmill {

// Sequences taken through time together: few, so that several threads have some.
inline constexpr int kSequenceRows = 16;
// Their steps that make a window of patches.
inline constexpr int kWindowSteps = kPatchRows / kSequenceRows;

RM_HD int steps_of_unit(const RolloutBuffer& b) {
  return b.memory_columns > 0 ? b.sequence_length : 1;
}

// A unit's advantages added up in their order, or the squares of their distance from `mean`.
RM_HD double advantages_of_unit(const RolloutBuffer& b, std::uint32_t unit, double mean,
                                bool squared) {
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  const int length = steps_of_unit(b);
  const std::int64_t t = std::int64_t{unit / n} * length, i = unit % n;
  double sum = 0;
  for (int j = 0; j < length; ++j) {
    const double a = static_cast<double>(b.advantages[(t + j) * b.stride + i]) - mean;
    sum += squared ? a * a : a;
  }
  return sum;
}

// Whether an episode ended right before step t. (What came before step 0 is told by the state that the rollout kept.)
RM_HD bool starts_episode(const RolloutBuffer& b, std::int64_t t, std::int64_t i) {
  return t > 0 && b.ends[(t - 1) * b.stride + i] != kRunning;
}

// Where a row's state comes from at a step: the rollout kept it, an episode begins and has none, or the step before left it.
enum class StateFrom : int { kRollout, kNothing, kBefore };

struct SequenceStep {
  std::int64_t time, environment;
  StateFrom from;
};

// Step j of a unit that is a sequence. Below 0: of its burn-in, as much of it as the rollout has; where that begins later the
// row waits at its beginning, which it takes again and again.
RM_HD SequenceStep sequence_step(const RolloutBuffer& b, std::uint32_t unit, int j) {
  const auto n = static_cast<std::uint32_t>(b.num_envs);
  const auto k = static_cast<int>(unit / n);
  const std::int64_t i = unit % n, start = b.sequence_start(k);
  const std::int64_t wanted = std::int64_t{k} * b.sequence_length + j;
  const std::int64_t t = wanted > start ? wanted : start;
  const StateFrom from = t == start                ? StateFrom::kRollout
                         : starts_episode(b, t, i) ? StateFrom::kNothing
                                                   : StateFrom::kBefore;
  return {t, i, from};
}

}  // namespace rollmill
