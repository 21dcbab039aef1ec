// What the policy does to one number, for the CPU's loops (rollout/mlp/*.cc) and the CUDA kernels
// alike.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"

namespace rollmill {

RM_HD float normalize_observation(float x, float shift, float scale, float clip) {
  return math::clamp((x - shift) * scale, -clip, clip);
}

// 1 / (1 + exp(-x)), by the program's own tanh: no overflow, one function to keep exact.
RM_HD float sigmoid(float x) { return 0.5f * math::tanh(0.5f * x) + 0.5f; }

// The stream of a policy's draws for one environment's step.
RM_HD Rng action_rng(std::uint64_t seed, std::uint32_t environment, std::uint32_t episode,
                     std::uint32_t step) {
  return Rng(seed, Purpose::kAction, environment, episode, step);
}

// Discrete action columns take one word each of the stream, in order; real ones two each, after them.
RM_HD float action_uniform(Rng rng, int column) {
  for (int skip = 0; skip < column; ++skip) rng.bits();
  return rng.uniform();
}

// The normal draw of real action a, after `choices` discrete columns.
RM_HD float action_normal(Rng rng, int choices, int a) {
  for (int skip = 0; skip < choices + 2 * a; ++skip) rng.bits();
  return rng.normal();
}

// From the unbounded sample to the environment's bounds.
RM_HD float bound_action(float raw, float middle, float half_range, float low, float high) {
  return math::clamp(middle + half_range * raw, low, high);
}

}  // namespace rollmill
