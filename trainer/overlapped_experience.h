// Rollouts that are made while the learner works (ppo.overlap): two buffers by turns, the environments' own thread pool, and a
// copy of the weights that the learner starts from. What comes out does not depend on who is faster.
#pragma once

#include <memory>

#include "trainer/experience.h"

namespace rollmill {

// weights and pool, the learner's, outlive the result.
std::unique_ptr<Experience> make_overlapped_experience(const ExperienceConfig& config,
                                                       const PolicyWeights& weights,
                                                       ThreadPool& pool);

}  // namespace rollmill
