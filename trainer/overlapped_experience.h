// Rollouts that are made while the learner works (ppo.overlap): which of two is learned from, which waits, and what a checkpoint keeps.
// What comes out does not depend on who is faster.
#pragma once

#include <memory>

#include "rollout/rollout_pair.h"
#include "trainer/experience.h"

namespace rollmill {

// weights, the learner's, outlive the result.
std::unique_ptr<Experience> make_overlapped_experience(std::unique_ptr<RolloutPair> rollouts,
                                                       const PolicyWeights& weights);

}  // namespace rollmill
