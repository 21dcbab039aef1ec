// Generalised advantage estimation (Schulman et al. 2016) with exact ends:
//   running     delta = r + gamma V(s') - V(s),              A = delta + gamma lambda A'
//   terminated  delta = r - V(s),                            A = delta   (the future is worth nothing)
//   truncated   delta = r + gamma V(final observation) - V(s), A = delta (bootstrapped at the time limit)
#pragma once

#include "rollout/buffer.h"

namespace rollmill {

// Fills advantages and returns of environments [begin, end) from rewards * reward_scale, values (slots 0..T), ends and
// final_values.
void compute_gae(const RolloutBuffer& buffer, float gamma, float lambda, float reward_scale,
                 int begin, int end);

}  // namespace rollmill
