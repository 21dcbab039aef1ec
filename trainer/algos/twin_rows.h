// What SAC and TD3 do to one row of a minibatch: one text for the CPU (trainer/algos/sac.cc, td3.cc) and for CUDA
// (trainer/algos/twin_kernels.cuh).
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/mlp/distribution.h"
#include "rollout/mlp/elementwise.h"

namespace rollmill {

// Which of an update's samples (SAC).
inline constexpr std::uint32_t kNextAction = 0, kPresentAction = 1;

// The noise of row `row` of a minibatch.
RM_HD Rng update_noise(std::uint64_t seed, int row, std::int64_t step, std::uint32_t draw) {
  return Rng(seed, Purpose::kUpdateNoise, static_cast<std::uint32_t>(row),
             static_cast<std::uint32_t>(step), draw);
}

// A squashed Gaussian's sample before the tanh.
RM_HD float squashed_raw(float mean, float log_std, float noise) {
  return mean + math::exp(bound_log_std(log_std)) * noise;
}

// TD3's action next to the target policy's.
RM_HD float near_action(float action, float normal, float deviation, float most) {
  return math::clamp(action + math::clamp(deviation * normal, -most, most), -1.0f, 1.0f);
}

// A stored action's number a, scaled to [-1, 1].
RM_HD float unit_action(std::int32_t word, float middle, float half_range) {
  return (math::from_bits(static_cast<std::uint32_t>(word)) - middle) / half_range;
}

// TD3's noise on what environment i is given: number a of its action, in the environment's units.
RM_HD float noisy_action(float action, const Rng& rng, int a, float noise, float half_range,
                         float low, float high) {
  return math::clamp(action + half_range * (noise * action_normal(rng, 0, a)), low, high);
}

// d loss / d mean and d loss / d log_std of SAC's actor: raw = mean + std * noise; log pi = ... - log std - log(1 - tanh(raw)^2), the
// noise being fixed. dvalue: d Q / d action.
struct SquashedGradient {
  float mean, log_std;
};
RM_HD SquashedGradient squashed_gradient(float raw, float log_std, float noise, float dvalue,
                                         float alpha, float inv_n) {
  const float unit = math::tanh(raw), bounded = bound_log_std(log_std);
  const float draw = inv_n * (2.0f * alpha * unit - dvalue * (1.0f - unit * unit));
  const float dlog_std = draw * math::exp(bounded) * noise - inv_n * alpha;
  return {draw, bounded == log_std ? dlog_std : 0.0f};
}

// Loss -log temperature * (log pi + target entropy): the weight of entropy grows while there is too little of it.
RM_HD float temperature_gradient(double logp, float target_entropy) {
  return static_cast<float>(-(logp + static_cast<double>(target_entropy)));
}

}  // namespace rollmill
