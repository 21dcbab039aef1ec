// Generalised advantage estimation (Schulman et al. 2016) with exact ends:
//   running     delta = r + gamma V(s') - V(s),              A = delta + gamma lambda A'
//   terminated  delta = r - V(s),                            A = delta   (the future is worth nothing)
//   truncated   delta = r + gamma V(final observation) - V(s), A = delta (bootstrapped at the time limit)
#pragma once

#include "rollout/buffer.h"

namespace rollmill {

struct AdvantageOptions {
  float gamma = 0.99f, lambda = 0.95f, reward_scale = 1.0f;
  float reward_clip = 3.402823466e38f;  // of the scaled reward, to either side
};

// Fills advantages and returns of environments [begin, end) from scaled and clipped rewards, values (slots 0..T), ends and
// final_values.
void compute_gae(const RolloutBuffer& buffer, const AdvantageOptions& options, int begin, int end);

// The same for experience of an older policy: ratios [T][stride], what its actions' probabilities are now over what they were, cut off
// at 1 (V-trace); values are those of now.
void compute_vtrace(const RolloutBuffer& buffer, const AdvantageOptions& options,
                    const float* ratios, int begin, int end);

}  // namespace rollmill
