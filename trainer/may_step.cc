#include "trainer/may_step.h"

#include <cmath>

#include "core/base/error.h"

namespace rollmill {

bool may_step(double norm, double loss, int most, const std::string& what, OptimizerState& state) {
  if (std::isfinite(norm) && std::isfinite(loss)) {
    state.skipped = 0;
    return true;
  }
  if (++state.skipped <= most) return false;
  fail_numerical("optimiser step " + std::to_string(state.step) + ": NaN or infinity in the " +
                 what + "'s loss or its gradient, " + std::to_string(state.skipped) +
                 " times in a row (trainer.max_skipped = " + std::to_string(most) +
                 "); lower the learning rate, scale rewards (trainer.reward_scale) or normalise "
                 "observations (policy.normalize_observations = true)");
}

}  // namespace rollmill
